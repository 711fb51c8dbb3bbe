"""Small networks for roles of a method that need nothing in particular."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

Build = Callable[..., nn.Module]
"""Builds a network from the arguments that its role supplies."""


class _Plain(nn.Module):
    """Convolutions whose output depends on every condition."""

    layers: nn.Module

    def forward(self, x: Tensor, *conditions: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        for condition in conditions:
            mean = condition.to(y.dtype).flatten(1).mean(1) if condition.dim() > 1 else condition.to(y.dtype)
            y = y + 0.01 * torch.tanh(mean)[:, None, None, None]
        return y


class _PlainGenerator(_Plain):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, out_channels, 1), nn.Tanh()
        )


class _PlainDiscriminator(_Plain):
    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 4, 4, stride=2, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1)
        )


def _generator(**given: Any) -> nn.Module:
    return _PlainGenerator(given["in_channels"], given["out_channels"])


def _discriminator(**given: Any) -> nn.Module:
    return _PlainDiscriminator(given["in_channels"])


PLAIN: Mapping[str, Build] = {"generator": _generator, "discriminator": _discriminator}
"""By kind, a network that takes an image and any conditions, whatever else its role supplies to the constructor."""
