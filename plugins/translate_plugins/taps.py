"""Feature maps inside a network, by name, for losses on features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from translate_core import UserError, did_you_mean


def check_taps(taps: Iterable[str], existing: Mapping[str, object]) -> None:
    """Raises UserError for the first tap that does not exist, with the nearest name and all names that do."""
    for tap in taps:
        if tap not in existing:
            raise UserError(
                f"the network has no tap '{tap}'{did_you_mean(tap, existing)} It has: {', '.join(existing)}"
            )


def tap(layers: nn.Sequential, places: Mapping[str, int], x: Tensor, taps: tuple[str, ...]) -> list[Tensor]:
    """The outputs of layers of a sequence, in the order of `taps`; layers after the deepest tap are not called.

    places: the index of each tap's layer. x: the input of the first layer.
    Raises UserError for a tap that is not in `places`.
    """
    check_taps(taps, places)
    return _through(layers, places, x, taps, max((places[name] + 1 for name in taps), default=0))[1]


def output_and_taps(
    layers: nn.Sequential, places: Mapping[str, int], x: Tensor, taps: tuple[str, ...]
) -> tuple[Tensor, list[Tensor]]:
    """The output of a sequence, and those of layers, as `tap` returns them, in one pass."""
    check_taps(taps, places)
    return _through(layers, places, x, taps, len(layers))


def _through(
    layers: nn.Sequential, places: Mapping[str, int], x: Tensor, taps: tuple[str, ...], depth: int
) -> tuple[Tensor, list[Tensor]]:
    """The output of the first `depth` layers, and those at the taps."""
    wanted = {places[name] for name in taps}
    found = {}
    for index in range(depth):
        x = layers[index](x)
        if index in wanted:
            found[index] = x
            if index + 1 < depth and _overwritten(layers, index):
                x = x.clone()
    return x, [found[places[name]] for name in taps]


def _overwritten(layers: nn.Sequential, index: int) -> bool:
    """Whether the next layer, identities aside, computes in place on the output of this one."""
    for layer in layers[index + 1 :]:
        if not isinstance(layer, nn.Identity):
            return bool(getattr(layer, "inplace", False))
    return False
