"""Layers of networks that are conditioned on a time: its embedding, residual blocks, self-attention, resampling."""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Convolution = TypeVar("Convolution", nn.Conv1d, nn.Conv2d)


def time_embedding(time: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    """Cosines, then sines, of the time at geometrically decreasing frequencies from 1 to nearly 1/10000.

    time: (N,), integers or floats. Returns (N, channels) of that dtype; of an odd number of channels the last one is 0.
    Ho et al. (NeurIPS 2020) take the embedding of positions of Vaswani et al. (NeurIPS 2017), section 3.5.
    """
    half = channels // 2
    frequencies = torch.exp(torch.arange(half, device=time.device, dtype=dtype) * (-math.log(10000) / half))
    angles = time.to(dtype)[:, None] * frequencies
    return F.pad(torch.cat((angles.cos(), angles.sin()), dim=1), (0, channels % 2))


def zeroed(layer: Convolution) -> Convolution:
    """The convolution with weights and bias of 0, so that the residual block that it ends begins as its skip."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class ResidualBlock(nn.Module):
    """Norm, SiLU, 3×3 convolution; norm, condition, SiLU, dropout, 3×3 convolution; around both a skip.

    A linear layer computes from the embedded time a bias for each channel, and with `scaled` also a scale: adaptive
    group norm, (1 + scale) · norm(h) + bias (Dhariwal and Nichol, NeurIPS 2021, section 3.1). Without, the bias is
    added before the second norm (Ho et al., NeurIPS 2020). The skip is a 1×1 convolution where channels change.

    resize: halves ("down") or doubles ("up") the sides before the first convolution, and on the skip.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        embedding: int,
        *,
        groups: int,
        dropout: float,
        scaled: bool,
        resize: Literal["down", "up"] | None = None,
    ) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(groups, channels), nn.SiLU(), nn.Conv2d(channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, out_channels * (2 if scaled else 1)))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(groups, out_channels),
            nn.SiLU(),
            nn.Dropout(dropout),
            zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1)),
        )
        same = channels == out_channels
        self.skip_connection = nn.Identity() if same else nn.Conv2d(channels, out_channels, 1)
        self.scaled = scaled
        self.resize = resize

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        """x: (N, channels, H, W). embedded: (N, embedding). Returns (N, out_channels, H', W')."""
        norm, activation, convolution = self.in_layers
        h = convolution(self._resized(activation(norm(x))))
        condition = self.emb_layers(embedded)[..., None, None]
        norm, *rest = self.out_layers
        if self.scaled:
            scale, bias = condition.chunk(2, dim=1)
            h = norm(h) * (1 + scale) + bias
        else:
            h = norm(h + condition)
        for layer in rest:
            h = layer(h)
        y: Tensor = self.skip_connection(self._resized(x)) + h
        return y

    def _resized(self, x: Tensor) -> Tensor:
        if self.resize == "down":
            return F.avg_pool2d(x, 2)
        return doubled(x) if self.resize == "up" else x


class SelfAttention(nn.Module):
    """Multi-head self-attention between all places of a map, added to the map.

    softmax(qᵀk / sqrt(channels of a head)) v (Vaswani et al., NeurIPS 2017, equation 1), between a group norm with a
    1×1 convolution, and a 1×1 convolution that begins as 0. Of the channels of `qkv`, each head has three consecutive
    ranges: its queries, keys and values.
    """

    def __init__(self, channels: int, head_channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = zeroed(nn.Conv1d(channels, channels, 1))
        self.head_channels = head_channels

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, channels, H, W). Returns the same shape."""
        count, channels, height, width = x.shape
        places = height * width
        joined = self.qkv(self.norm(x).reshape(count, channels, places))
        heads = joined.view(count, channels // self.head_channels, 3, self.head_channels, places).transpose(3, 4)
        # The fused kernels, whose memory grows with the places and not with their square, need contiguous channels.
        attended = F.scaled_dot_product_attention(*heads.contiguous().unbind(dim=2))
        y = self.proj_out(attended.transpose(2, 3).reshape(count, channels, places))
        return x + y.view(count, channels, height, width)


class Halving(nn.Module):
    """A 3×3 convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, channels, H, W). Returns (N, channels, H / 2, W / 2), rounded up."""
        y: Tensor = self.op(x)
        return y


class Doubling(nn.Module):
    """Each value repeated 2×2 times, then a 3×3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, channels, H, W). Returns (N, channels, 2 · H, 2 · W)."""
        y: Tensor = self.conv(doubled(x))
        return y


def doubled(x: Tensor) -> Tensor:
    """The maps with each value repeated 2×2 times."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Stage(nn.ModuleList):
    """Layers in sequence, of which residual blocks also receive the embedded time."""

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        """x: (N, C, H, W). embedded: (N, embedding). Returns the last layer's output."""
        for layer in self:
            x = layer(x, embedded) if isinstance(layer, ResidualBlock) else layer(x)
        return x
