"""Taps and places of the patches that a contrastive loss compares."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from translate_core import Method, UserError


def check_taps(taps: Sequence[str], network: str) -> None:
    """Raises UserError for taps that are none, and for one that occurs twice. network: for the message."""
    if not taps:
        raise UserError(f"taps must name at least one tap of {network}")
    repeated = [tap for number, tap in enumerate(taps) if tap in taps[:number]]
    if repeated:
        raise UserError(f"taps lists {repeated[0]} twice")


def drawn_places(batch: Method, features: Sequence[Tensor], taps: Sequence[str], count: int, name: str) -> list[Tensor]:
    """For each tap, int64 (places,): indices into the flattened height and width of its features (N, C, H, W).

    `count` different places are drawn for each tap, with the method's numbers of `name`; fewer where a map is smaller.
    All images of the batch have the same.
    """
    return [
        batch.permutation(feature[0, 0].numel(), feature, "places", name, tap)[:count]
        for tap, feature in zip(taps, features, strict=True)
    ]
