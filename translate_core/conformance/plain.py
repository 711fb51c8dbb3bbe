"""Small networks for roles of a method that need nothing in particular."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

_WIDTH = 4

Build = Callable[..., nn.Module]
"""Builds a network from the arguments that its role supplies."""


class _Plain(nn.Module):
    """Two convolutions whose output depends on every condition. Its tap: `hidden`, the output of the first."""

    taps: Mapping[str, int]

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.taps = {"hidden": _WIDTH}

    def forward(self, x: Tensor, *conditions: Tensor) -> Tensor:
        return self.with_features(x, (), *conditions)[0]

    def features(self, x: Tensor, taps: tuple[str, ...], *conditions: Tensor) -> list[Tensor]:
        return self.with_features(x, taps, *conditions)[1]

    def with_features(self, x: Tensor, taps: tuple[str, ...], *conditions: Tensor) -> tuple[Tensor, list[Tensor]]:
        hidden = self.first(x)
        for condition in conditions:
            mean = condition.to(x.dtype).flatten(1).mean(1) if condition.dim() > 1 else condition.to(x.dtype)
            hidden = hidden + 0.1 * torch.tanh(mean)[:, None, None, None]
        return self.second(torch.tanh(hidden)), [hidden for _ in taps]


class _PlainGenerator(_Plain):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        second = nn.Sequential(nn.Conv2d(_WIDTH, out_channels, 1), nn.Tanh())
        super().__init__(nn.Conv2d(in_channels, _WIDTH, 3, padding=1), second)


class _PlainDiscriminator(_Plain):
    def __init__(self, in_channels: int) -> None:
        first = nn.Conv2d(in_channels, _WIDTH, 4, stride=2, padding=1)
        super().__init__(first, nn.Conv2d(_WIDTH, 1, 3, padding=1))


def _generator(**given: Any) -> nn.Module:
    return _PlainGenerator(given["in_channels"], given["out_channels"])


def _discriminator(**given: Any) -> nn.Module:
    return _PlainDiscriminator(given["in_channels"])


PLAIN: Mapping[str, Build] = {"generator": _generator, "discriminator": _discriminator}
"""By kind, a network that takes an image and any conditions, whatever else its role supplies to the constructor."""
