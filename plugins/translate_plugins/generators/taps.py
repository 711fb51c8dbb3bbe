"""Maps from inside a generator, by name: what a loss on features is computed of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from translate_core import UserError, did_you_mean


def check_taps(asked: Iterable[str], existing: Mapping[str, object]) -> None:
    """Raises UserError for the first tap that the generator lacks, with the nearest and all that it has."""
    for tap in asked:
        if tap not in existing:
            raise UserError(
                f"the generator has no tap '{tap}'{did_you_mean(tap, existing)} It has: {', '.join(existing)}"
            )


def tap(layers: nn.Sequential, places: Mapping[str, int], x: Tensor, taps: tuple[str, ...]) -> list[Tensor]:
    """What layers of a sequence compute, in the order asked for; no layer behind the last of them is called.

    places: the index of the layer whose output each tap is. x: what the first layer takes.
    Raises UserError for a tap that is not among `places`.
    """
    check_taps(taps, places)
    wanted = {places[name] for name in taps}
    found = {}
    for index in range(max(wanted, default=-1) + 1):
        x = layers[index](x)
        if index in wanted:
            found[index] = x
            if index < max(wanted) and _overwritten(layers, index):
                x = x.clone()
    return [found[places[name]] for name in taps]


def _overwritten(layers: nn.Sequential, index: int) -> bool:
    """Whether a later layer computes in place on what this one returned."""
    for layer in layers[index + 1 :]:
        if not isinstance(layer, nn.Identity):
            return bool(getattr(layer, "inplace", False))
    return False
