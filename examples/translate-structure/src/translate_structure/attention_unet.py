"""A U-Net with attention gates on its shortcuts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn


class AttentionUNet(nn.Module):
    """A U-Net with attention gates: deeper layers select the details that the shortcuts carry over.

    The encoder and decoder are those of Ronneberger, Fischer and Brox, U-Net, MICCAI 2015, padded and with instance
    norms: two 3×3 convolutions at each scale, max pooling by 2, nearest-neighbour upsampling by 2 and a convolution.
    The gates are those of Oktay et al., Attention U-Net: Learning Where to Look for the Pancreas, MIDL 2018, arXiv
    1804.03999, equations 1 and 2, in two dimensions.

    Its taps: `image`, and `scale1`, `scale2` …, the output of the encoder at each scale, the finest first.

    Takes (N, in_channels, H, W) in [-1, 1], H and W multiples of `multiple` and at least `smallest`; returns
    (N, out_channels, H, W) in [-1, 1].

    Args:
        in_channels: channels of the input images.
        out_channels: channels of the output images.
        width: channels at full size; each downsampling doubles them. 64 in the papers.
        downs: downsampling steps, and upsampling steps, each by 2. 4 in the papers.
    """

    multiple: int
    smallest: int
    taps: Mapping[str, int]

    def __init__(self, in_channels: int, out_channels: int, *, width: PositiveInt = 64, downs: PositiveInt = 4) -> None:
        super().__init__()
        self.multiple = 2**downs
        self.smallest = 2 * self.multiple  # an instance norm needs more than one pixel
        channels = [width * 2**level for level in range(downs + 1)]
        self.taps = {"image": in_channels, **{f"scale{level}": count for level, count in enumerate(channels, 1)}}
        self.encoder = nn.ModuleList(
            _twice(source, target) for source, target in zip([in_channels, *channels], channels, strict=False)
        )
        pairs = list(zip(channels[:0:-1], channels[-2::-1], strict=True))  # coarse and fine, the coarsest first
        self.gates = nn.ModuleList(Gate(fine, coarse) for coarse, fine in pairs)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2), *_layer(coarse, fine)) for coarse, fine in pairs
        )
        self.decoder = nn.ModuleList(_twice(2 * fine, fine) for _, fine in pairs)
        self.leave = nn.Sequential(nn.Conv2d(width, out_channels, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, out_channels, H, W) in [-1, 1]."""
        *shortcuts, y = self._scales(x, len(self.encoder))
        for gate, up, decode in zip(self.gates, self.ups, self.decoder, strict=True):
            shortcut = shortcuts.pop()
            y = decode(torch.cat((gate(shortcut, y), up(y)), dim=1))
        output: Tensor = self.leave(y)
        return output

    def features(self, x: Tensor, taps: tuple[str, ...]) -> list[Tensor]:
        """x: (N, in_channels, H, W). Returns the maps at those taps, in that order, computing no deeper than needed."""
        names = list(self.taps)
        maps = [x, *self._scales(x, max((names.index(tap) for tap in taps), default=0))]
        return [maps[names.index(tap)] for tap in taps]

    def _scales(self, x: Tensor, count: int) -> list[Tensor]:
        """The outputs of the first `count` scales of the encoder, the finest first."""
        maps: list[Tensor] = []
        for encode in list(self.encoder)[:count]:
            maps.append(encode(F.max_pool2d(maps[-1], 2) if maps else x))
        return maps


class Gate(nn.Module):
    """An additive attention gate: a shortcut times a map of 0 … 1 that depends on it and on the coarser signal.

    Args:
        fine: channels of the shortcut.
        coarse: channels of the signal, of half the height and width.
    """

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        inner = max(fine // 2, 1)
        self.theta = nn.Conv2d(fine, inner, 2, stride=2, bias=False)
        self.phi = nn.Conv2d(coarse, inner, 1)
        self.psi = nn.Conv2d(inner, 1, 1)

    def forward(self, shortcut: Tensor, signal: Tensor) -> Tensor:
        """shortcut: (N, fine, H, W). signal: (N, coarse, H / 2, W / 2). Returns the shape of the shortcut."""
        attention = self.psi(F.relu(self.theta(shortcut) + self.phi(signal))).sigmoid()
        return shortcut * F.interpolate(attention, scale_factor=2, mode="bilinear", align_corners=False)


def _layer(source: int, target: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(source, target, 3, padding=1), nn.InstanceNorm2d(target), nn.ReLU()


def _twice(source: int, target: int) -> nn.Sequential:
    return nn.Sequential(*_layer(source, target), *_layer(target, target))
