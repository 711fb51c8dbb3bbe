"""The promises about taps and the features there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from translate_core.conformance.kit import same, size
from translate_core.conformance.networks.subject import NetworkSubject
from translate_core.conformance.promise import Broken, promise


def _has_taps(subject: NetworkSubject) -> bool:
    return hasattr(subject.meta, "taps")


@promise(
    "has the taps that it declares",
    "methods build heads for the channels in `taps` and compare the maps that `features` returns by position",
    applies=_has_taps,
)
def has_its_taps(subject: NetworkSubject) -> None:
    """Each tap alone, all taps, and all in reverse order give the same maps, with the declared channels."""
    taps = subject.meta.taps
    if not isinstance(taps, Mapping) or not taps or not all(isinstance(item, int) for item in taps.values()):
        raise Broken("`taps` must be a mapping from names to numbers of channels")
    if not callable(getattr(subject.meta, "features", None)):
        raise Broken("it has `taps` and no method `features(x, taps, *conditions)`")
    module = subject.build().eval()
    names = tuple(taps)
    with torch.no_grad():
        maps = dict(zip(names, _features(subject, module, names), strict=True))
        turned = dict(zip(reversed(names), _features(subject, module, names[::-1]), strict=True))
        alone = {name: _features(subject, module, (name,))[0] for name in names}
    for name in names:
        if maps[name].shape[:2] != (len(subject.image), taps[name]):
            raise Broken(f"tap '{name}' is declared with {taps[name]} channels, and its map is {size(maps[name])}")
        if not same(maps[name], alone[name]) or not same(maps[name], turned[name]):
            raise Broken(f"the map at tap '{name}' depends on the other taps in the call: a later layer overwrites it")


def _needs_both(subject: NetworkSubject) -> bool:
    return hasattr(subject.meta, "with_features") or (_has_taps(subject) and subject.kind == "discriminator")


@promise(
    "returns its output and features in one pass",
    "a loss on features and a loss on scores share a pass of a discriminator, by `with_features`",
    applies=_needs_both,
)
def returns_both(subject: NetworkSubject) -> None:
    """The output of `forward` and the maps of `features`, for no tap, one, and all in reverse order."""
    module = subject.build().eval()
    if not callable(getattr(module, "with_features", None)):
        raise Broken("it has `taps` and no method `with_features(x, taps, *conditions)`")
    images, *conditions = subject.on(subject.image)
    taps = module.taps
    assert isinstance(taps, Mapping)
    with torch.no_grad():
        expected = module(images, *conditions)
        for names in ((), tuple(taps)[-1:], tuple(taps)[::-1]):
            both = module.with_features(images, names, *conditions)  # type: ignore[operator]
            if not isinstance(both, tuple) or len(both) != 2:
                raise Broken(f"with_features(x, {names}) returns {type(both).__name__}, not its output and the maps")
            if not same(both[0], expected):
                raise Broken(f"with_features(x, {names}) returns another output than forward")
            if not same(_listed(both[1], names, "with_features"), _features(subject, module, names)):
                raise Broken(f"with_features(x, {names}) returns other maps than features")


def _features(subject: NetworkSubject, module: nn.Module, names: tuple[str, ...]) -> list[Tensor]:
    images, *conditions = subject.on(subject.image)
    return _listed(module.features(images, names, *conditions), names, "features")  # type: ignore[operator]


def _listed(maps: Any, names: tuple[str, ...], what: str) -> list[Tensor]:
    if not isinstance(maps, list) or len(maps) != len(names):
        raise Broken(f"{what}(x, {names}) must return a list of {len(names)} maps, in the order of the taps")
    return maps
