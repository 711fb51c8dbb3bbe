"""The generator of StarGAN v2."""

from __future__ import annotations

import math
from itertools import pairwise

import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from translate_plugins.halvings import Halvings
from translate_plugins.norms import AdaIN, InstanceNorm
from translate_plugins.preactivation import SLOPE, PreActivationBlock, widths


class StyledNorm(nn.Module):
    """AdaIN whose scale and bias are an affine function of the style: (1 + γ(s)) · IN(x) + β(s).

    With biases of 0 the scale is initially around 1: the paper's biases of 1 for the scaling vectors (appendix,
    training details).
    """

    def __init__(self, channels: int, style_channels: int) -> None:
        super().__init__()
        self.affine = nn.Linear(style_channels, 2 * channels)
        self.norm = AdaIN(channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x: (N, C, H, W). style: (N, style_channels). Returns the shape of x."""
        scale, bias = self.affine(style).chunk(2, dim=1)
        y: Tensor = self.norm(x, 1 + scale, bias)
        return y


class StyledBlock(nn.Module):
    """A pre-activation residual block with AdaIN: (skip(x) + conv(act(AdaIN(conv(up(act(AdaIN(x)))))))) / √2.

    3×3 convolutions with bias, leaky ReLU 0.2. The first convolution has the new number of channels. The skip is
    enlarged like x; then a 1×1 convolution without bias follows where the number of channels changes.

    up: doubles the sides by repeating every pixel, or is left out.
    """

    def __init__(self, inputs: int, outputs: int, style_channels: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.norm1 = StyledNorm(inputs, style_channels)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = StyledNorm(outputs, style_channels)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x: (N, inputs, H, W). style: (N, style_channels). Returns (N, outputs, H, W), or twice each side."""
        y = F.leaky_relu(self.norm1(x, style), SLOPE, inplace=True)
        # A 1×1 convolution and repeating pixels commute; in this order the convolution is four times cheaper.
        skip = self.skip(x)
        if self.up:
            y, skip = (F.interpolate(z, scale_factor=2, mode="nearest") for z in (y, skip))
        y = self.conv2(F.leaky_relu(self.norm2(self.conv1(y), style), SLOPE, inplace=True))
        total: Tensor = (skip + y) / math.sqrt(2)
        return total


class StarGANv2Generator(nn.Module):
    """The generator of StarGAN v2: an image and a style to an image; the style alone decides the target domain.

    Choi et al., StarGAN v2: Diverse Image Synthesis for Multiple Domains, CVPR 2020, section 2 and appendix. A 3×3
    convolution (the paper's table has 1×1); pre-activation residual blocks with instance norm, `downs` that halve the
    image and double the channels and `blocks` that keep both; the same blocks with AdaIN, which end with `downs`
    doublings, nearest-neighbour; instance norm, leaky ReLU, a 1×1 convolution. The paper initialises all weights by
    He's rule: `init: {type: kaiming}`.

    This is the network for AFHQ. The high-pass skip with heat maps of facial landmarks, which the authors use for
    faces (CelebA-HQ), is not provided; without it a translated face keeps less of its identity.

    The last convolution has no activation, as published. In evaluation mode the output is clamped to [-1, 1].

    Takes (N, in_channels, H, W) in [-1, 1], H and W multiples of `multiple` and at least `smallest`, and a style
    (N, style_channels); returns (N, out_channels, H, W). Other sides raise torch's RuntimeError or ValueError, or give
    an output of another size.

    Args:
        in_channels: channels of the input images.
        out_channels: channels of the output images.
        style_channels: length of a style.
        width: channels after the first convolution; each halving doubles them. The authors use 2^14 / side: 64 for
            256×256.
        max_width: the largest number of channels.
        downs: number of halvings, and of doublings; 4 in the paper, from 256×256 to 16×16.
        blocks: residual blocks at the lowest resolution with instance norm, and as many with AdaIN.
    """

    multiple: int
    smallest: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        style_channels: int,
        *,
        width: PositiveInt = 64,
        max_width: PositiveInt = 512,
        downs: Halvings = 4,
        blocks: NonNegativeInt = 2,
    ) -> None:
        super().__init__()
        self.multiple = 2**downs
        self.smallest = 2 * self.multiple  # one pixel has no instance norm
        levels = widths(width, max_width, downs)
        deepest = levels[-1]
        pairs = list(pairwise(levels))
        self.enter = nn.Conv2d(in_channels, levels[0], 3, padding=1)
        self.encoder = nn.Sequential(
            *(PreActivationBlock(inputs, outputs, norm=True, down=True) for inputs, outputs in pairs),
            *(PreActivationBlock(deepest, deepest, norm=True, down=False) for _ in range(blocks)),
        )
        self.decoder = nn.ModuleList(
            [
                *(StyledBlock(deepest, deepest, style_channels, up=False) for _ in range(blocks)),
                *(StyledBlock(inputs, outputs, style_channels, up=True) for outputs, inputs in reversed(pairs)),
            ]
        )
        self.leave = nn.Sequential(
            InstanceNorm(levels[0], affine=True),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(levels[0], out_channels, 1),
        )

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). style: (N, style_channels). Returns (N, out_channels, H, W)."""
        y: Tensor = self.encoder(self.enter(x))
        for block in self.decoder:
            y = block(y, style)
        y = self.leave(y)
        return y if self.training else y.clamp(-1, 1)
