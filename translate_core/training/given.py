"""What the data give, on the device and as the networks take it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from translate_core.contracts.dataset import to_unit_range
from translate_core.contracts.given import GivenKind, given_of
from translate_core.contracts.method import Method


def on_device(
    item: Mapping[str, Tensor],
    kinds: Mapping[str, str],
    device: torch.device,
    dtype: torch.dtype,
    layout: torch.memory_format = torch.contiguous_format,
) -> dict[str, Tensor]:
    """Images in [-1, 1] in that dtype and memory layout, vectors in that dtype; labels and maps as they are.

    item: batches by name. kinds: by name; what is not listed are images. Does not synchronise.
    """
    placed = {}
    for name, value in item.items():
        kind = kinds.get(name, "image")
        moved = value.to(device, non_blocking=True)
        if kind == "image":
            moved = to_unit_range(moved, dtype).contiguous(memory_format=layout)
        elif kind == "vector":
            moved = moved.to(dtype)
        placed[name] = moved
    return placed


def kinds_of(method: Method) -> dict[str, GivenKind]:
    """The kind of each given tensor of a method, by name."""
    return {item.name: item.kind for item in given_of(method.given)}
