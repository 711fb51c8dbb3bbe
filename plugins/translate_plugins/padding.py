"""Padding that computes in the precision that it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Padding = Literal["reflect", "replicate", "zero"]


class _Reflect(nn.ReflectionPad2d):
    def forward(self, input: Tensor) -> Tensor:
        with _without_autocast():
            return super().forward(input)


class _Replicate(nn.ReplicationPad2d):
    def forward(self, input: Tensor) -> Tensor:
        with _without_autocast():
            return super().forward(input)


def _without_autocast() -> torch.autocast:
    """On a CPU autocast takes these paddings to float32, and what follows back: two copies for nothing."""
    return torch.autocast("cpu", enabled=False)


PADS: dict[Padding, Callable[[int], nn.Module]] = {
    "reflect": _Reflect,
    "replicate": _Replicate,
    "zero": nn.ZeroPad2d,
}
"""A layer that pads every side by that many pixels."""
