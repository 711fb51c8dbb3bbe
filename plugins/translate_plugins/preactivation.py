"""Pre-activation residual blocks and the encoder built from them, shared by the networks of StarGAN v2."""

from __future__ import annotations

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from translate_plugins.norms import InstanceNorm

SLOPE = 0.2
"""The factor of the leaky ReLUs on negative values."""


class PreActivationBlock(nn.Module):
    """A pre-activation residual block (He et al., Identity Mappings in Deep Residual Networks, ECCV 2016).

    (skip(x) + conv(act(norm(pool(conv(act(norm(x)))))))) / √2, 3×3 convolutions with bias, leaky ReLU 0.2. The first
    convolution keeps the number of channels. The skip is a 1×1 convolution without bias where the second changes it,
    then the pooling. The division keeps the variance of a sum of two maps of equal variance.

    norm: instance norm with a learned factor and bias, or none. down: pool averages over 2×2 pixels, or is left out.
    """

    def __init__(self, inputs: int, outputs: int, *, norm: bool, down: bool) -> None:
        super().__init__()
        self.normed, self.down = norm, down
        self.norm1 = InstanceNorm(inputs, affine=True) if norm else nn.Identity()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.norm2 = InstanceNorm(inputs, affine=True) if norm else nn.Identity()
        self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, inputs, H, W). Returns (N, outputs, H, W), or half of each side, rounded down."""
        # Without a norm the activation has x itself as its input, which the skip needs unchanged.
        y = self.conv1(F.leaky_relu(self.norm1(x), SLOPE, inplace=self.normed))
        skip = self.skip(x)
        if self.down:
            y, skip = F.avg_pool2d(y, 2), F.avg_pool2d(skip, 2)
        y = self.conv2(F.leaky_relu(self.norm2(y), SLOPE, inplace=True))
        total: Tensor = (skip + y) / math.sqrt(2)
        return total


def widths(width: int, max_width: int, levels: int) -> list[int]:
    """The channels at each level of a network: `width`, doubled by every halving of the image, at most `max_width`."""
    return [min(width * 2**level, max_width) for level in range(levels + 1)]


class VectorEncoder(nn.Module):
    """The trunk of the discriminator and of the style encoder of StarGAN v2: an image to a vector of `channels`.

    Choi et al., StarGAN v2, CVPR 2020, appendix: a convolution to `width` channels, `downs` pre-activation residual
    blocks without norm that halve the image, leaky ReLU, a 4×4 convolution without padding, leaky ReLU. An image of
    4 · 2^downs pixels a side leaves one position, as in the paper; of a larger one the positions are averaged.
    """

    channels: int
    smallest: int

    def __init__(self, in_channels: int, width: int, max_width: int, downs: int) -> None:
        super().__init__()
        levels = widths(width, max_width, downs)
        self.channels = levels[-1]
        self.smallest = 4 * 2**downs
        self.enter = nn.Conv2d(in_channels, width, 3, padding=1)
        self.blocks = nn.Sequential(
            *(PreActivationBlock(inputs, outputs, norm=False, down=True) for inputs, outputs in pairwise(levels))
        )
        self.leave = nn.Conv2d(self.channels, self.channels, 4)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W), sides of at least `smallest`. Returns (N, channels)."""
        y = F.leaky_relu(self.blocks(self.enter(x)), SLOPE)
        return F.leaky_relu(self.leave(y), SLOPE).mean(dim=(2, 3))


def of_domain(outputs: Tensor, label: Tensor) -> Tensor:
    """The output of each image's own domain. outputs: (N, domains, C). label: int64 (N,). Returns (N, C)."""
    index = label[:, None, None].expand(-1, 1, outputs.shape[2])
    return outputs.gather(1, index).squeeze(1)
