"""An embedding of the index of a time step, for networks that are conditioned on it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """Embeds the index of a time step: sines and cosines of it, then two linear layers with LeakyReLU 0.2 after each.

    Ho et al., Denoising Diffusion Probabilistic Models, NeurIPS 2020, appendix B, in the layout of the authors of
    UNSB, whose key of the layers is `main`.

    Takes indices (N,), returns (N, channels).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Linear(channels, channels), nn.LeakyReLU(0.2), nn.Linear(channels, channels), nn.LeakyReLU(0.2)
        )

    def forward(self, time: Tensor) -> Tensor:
        """time: (N,), int64. Returns (N, channels)."""
        first = self.main[0]
        assert isinstance(first, nn.Linear)
        y: Tensor = self.main(sinusoids(time, first.in_features, first.weight.dtype))
        return y


def sinusoids(time: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    """sin(ω_i · time), then cos(ω_i · time), with ω_i = 10000^(-i / (n - 1)), i = 0 … n - 1, n = channels / 2.

    time: (N,). channels: even, at least 4. Returns (N, channels).
    """
    assert channels >= 4
    assert channels % 2 == 0
    count = channels // 2
    frequencies = torch.exp(torch.arange(count, device=time.device, dtype=dtype) * (-math.log(10000) / (count - 1)))
    angles = time.to(dtype)[:, None] * frequencies
    return torch.cat((angles.sin(), angles.cos()), 1)
