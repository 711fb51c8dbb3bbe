"""The generator of U-GAT-IT."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from translate_core import UserError
from translate_plugins.attention import ClassActivation
from translate_plugins.generators.resnet import ResidualBlock
from translate_plugins.halvings import Halvings
from translate_plugins.norms import ILN, AdaLIN, clip_mixtures, norm_layer
from translate_plugins.padding import PADS


def reflected(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A reflect-padded convolution without bias; its output has the sides of the input divided by the stride."""
    return [PADS["reflect"](kernel // 2), nn.Conv2d(inputs, outputs, kernel, stride=stride, bias=False)]


def encoder(in_channels: int, width: int, downs: int, blocks: int) -> nn.Sequential:
    """A 7×7 convolution, halvings that double the channels, residual blocks: all with instance norm."""
    layers = [*reflected(in_channels, width, 7), norm_layer("instance", width), nn.ReLU(inplace=True)]
    channels = width
    for _ in range(downs):
        layers += [*reflected(channels, 2 * channels, 3, stride=2), norm_layer("instance", 2 * channels)]
        layers += [nn.ReLU(inplace=True)]
        channels *= 2
    layers += [ResidualBlock(channels, "instance", 0.0, "reflect", bias=False) for _ in range(blocks)]
    return nn.Sequential(*layers)


def doublings(channels: int, out_channels: int, downs: int) -> nn.Sequential:
    """Nearest-neighbour doublings and 3×3 convolutions that halve the channels, with ILN; a 7×7 convolution, tanh."""
    layers: list[nn.Module] = []
    for _ in range(downs):
        half = channels // 2
        layers += [nn.Upsample(scale_factor=2, mode="nearest"), *reflected(channels, half, 3)]
        layers += [ILN(half), nn.ReLU(inplace=True)]
        channels = half
    return nn.Sequential(*layers, *reflected(channels, out_channels, 7), nn.Tanh())


class AdaLINBlock(nn.Module):
    """A residual block with two AdaLIN norms that share γ and β: x + AdaLIN(conv(ReLU(AdaLIN(conv(x)))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*reflected(channels, channels, 3))
        self.norm1 = AdaLIN(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Sequential(*reflected(channels, channels, 3))
        self.norm2 = AdaLIN(channels)

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """x: (N, C, H, W). gamma, beta: (N, C). Returns the shape of x."""
        y = self.relu(self.norm1(self.conv1(x), gamma, beta))
        return x + self.norm2(self.conv2(y), gamma, beta)


class Modulation(nn.Module):
    """Computes γ and β of AdaLIN from features: two linear layers with ReLU, then one for γ and one for β, no biases.

    side: side of the feature maps, all values of which the first layer takes; other maps are averaged to this size.
    None for a first layer that takes the mean of each map.
    """

    def __init__(self, channels: int, side: int | None) -> None:
        super().__init__()
        self.side = side
        self.fc = nn.Sequential(
            nn.Linear(channels * (1 if side is None else side**2), channels, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels, channels, bias=False),
            nn.ReLU(inplace=True),
        )
        self.gamma = nn.Linear(channels, channels, bias=False)
        self.beta = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: (N, C, H, W). Returns γ and β, (N, C) each."""
        side = 1 if self.side is None else self.side
        if x.shape[2:] != (side, side):
            x = F.adaptive_avg_pool2d(x, side)
        hidden = self.fc(x.flatten(1))
        return self.gamma(hidden), self.beta(hidden)


class UGATITGenerator(nn.Module):
    """The generator of U-GAT-IT: residual, with an attention module in the middle and AdaLIN after it.

    Kim et al., U-GAT-IT, ICLR 2020, section 2.1 and appendix, in the version of the authors' PyTorch code. A 7×7
    convolution, halvings by 3×3 convolutions of stride 2 and residual blocks, all with instance norm; a class
    activation module; as many residual blocks with AdaLIN, sharing one γ and one β, which linear layers compute from
    the features; nearest-neighbour doublings and 3×3 convolutions with ILN; a 7×7 convolution, tanh. Convolutions are
    reflect-padded; only the 1×1 convolution of the attention has a bias. With the defaults 278,959,808 parameters,
    10,589,888 if `light`. ρ of AdaLIN and ILN is clipped to [0, 1] after each update.

    The first linear layer of the full model takes every value of the features, so its shape depends on `size`; the
    features of images of another size are averaged to that of `size` before this layer.

    Takes (N, in_channels, H, W) in [-1, 1], H and W multiples of `multiple` and at least `smallest`; returns
    (N, out_channels, H, W) in [-1, 1]. Raises UserError for a `size` that is not a multiple of 2^downs, and for a
    `size` given to a light model, which does not use it.

    Args:
        in_channels: channels of the input images.
        out_channels: channels of the output images.
        width: channels after the first convolution; each halving doubles them.
        downs: number of halvings, and of doublings.
        blocks: number of residual blocks before the attention, and the number after it.
        light: compute γ and β from the mean of each map instead of from every value, with a twenty-sixth of the
            parameters.
        size: side of the images that the first linear layer of the full model is built for.
    """

    multiple: int
    smallest: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: PositiveInt = 64,
        downs: Halvings = 2,
        blocks: PositiveInt = 4,
        light: bool = False,
        size: PositiveInt = 256,
    ) -> None:
        super().__init__()
        self.multiple = 2**downs
        self.smallest = 2 * self.multiple
        if light and size != 256:
            raise UserError(
                f"cannot have both light: true and size: {size}, since the light model does not depend on a size: "
                f"leave one of them out"
            )
        if size % self.multiple:
            raise UserError(f"size must be a multiple of {self.multiple}, since it is halved {downs} times, not {size}")
        channels = width * self.multiple
        self.encoder = encoder(in_channels, width, downs, blocks)
        self.attention = ClassActivation(channels, nn.ReLU(inplace=True))
        self.modulation = Modulation(channels, None if light else size // self.multiple)
        self.blocks = nn.ModuleList(AdaLINBlock(channels) for _ in range(blocks))
        self.doublings = doublings(channels, out_channels, downs)

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x: (N, in_channels, H, W).

        Returns the translation (N, out_channels, H, W) in [-1, 1], the logits (N, 2) of the auxiliary domain
        classifier, and the attention map (N, 1, H / multiple, W / multiple), unscaled.
        """
        features, logits, attention = self.attention(self.encoder(x))
        gamma, beta = self.modulation(features)
        for block in self.blocks:
            features = block(features, gamma, beta)
        return self.doublings(features), logits, attention

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns the translation (N, out_channels, H, W) in [-1, 1]."""
        return self.attend(x)[0]

    def after_update(self) -> None:
        """Clips every ρ to [0, 1]."""
        clip_mixtures(self)
