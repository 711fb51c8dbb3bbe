"""The promise about taps and the features there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from translate_core.conformance.kit import same, size
from translate_core.conformance.networks.subject import NetworkSubject
from translate_core.conformance.promise import Broken, promise


@promise(
    "has the taps that it declares",
    "methods build heads for the channels in `taps` and compare the maps that `features` returns by position",
    applies=lambda subject: hasattr(subject.meta, "taps"),
)
def has_its_taps(subject: NetworkSubject) -> None:
    """Each tap alone, all taps, and all in reverse order give the same maps, with the declared channels."""
    taps = subject.meta.taps
    if not isinstance(taps, Mapping) or not taps or not all(isinstance(item, int) for item in taps.values()):
        raise Broken("`taps` must be a mapping from names to numbers of channels")
    if not callable(getattr(subject.meta, "features", None)):
        raise Broken("it has `taps` and no method `features(x, taps)`")
    module = subject.build().eval()
    names = tuple(taps)
    with torch.no_grad():
        maps = dict(zip(names, _features(module, subject.image, names), strict=True))
        turned = dict(zip(reversed(names), _features(module, subject.image, names[::-1]), strict=True))
        alone = {name: _features(module, subject.image, (name,))[0] for name in names}
    for name in names:
        if maps[name].shape[:2] != (len(subject.image), taps[name]):
            raise Broken(f"tap '{name}' is declared with {taps[name]} channels, and its map is {size(maps[name])}")
        if not same(maps[name], alone[name]) or not same(maps[name], turned[name]):
            raise Broken(f"the map at tap '{name}' depends on the other taps in the call: a later layer overwrites it")


def _features(module: nn.Module, images: Tensor, names: tuple[str, ...]) -> list[Tensor]:
    found = module.features(images, names)  # type: ignore[operator]
    if not isinstance(found, list) or len(found) != len(names):
        raise Broken(f"features(x, {names}) must return a list of {len(names)} maps, in the order of the taps")
    return found
