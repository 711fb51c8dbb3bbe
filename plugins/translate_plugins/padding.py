"""Padding layers that keep the dtype of their input under autocast."""

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
    """Disables autocast on the CPU, which would cast these paddings to float32 and the next layer back: two copies."""
    return torch.autocast("cpu", enabled=False)


PADS: dict[Padding, Callable[[int], nn.Module]] = {
    "reflect": _Reflect,
    "replicate": _Replicate,
    "zero": nn.ZeroPad2d,
}
"""Constructors of the padding layers; their argument is the number of pixels added on every side."""
