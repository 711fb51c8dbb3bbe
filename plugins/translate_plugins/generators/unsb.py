"""The generator of UNSB, which takes a time and a latent vector beside the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from translate_plugins.norms import norm_layer
from translate_plugins.padding import PADS
from translate_plugins.sampling import BlurDown, BlurUp
from translate_plugins.taps import check_taps
from translate_plugins.time_embedding import TimeEmbedding


class Scaled(nn.Module):
    """A scale and a bias for each channel, which a linear layer computes from a style vector."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.style_net = nn.Linear(style, 2 * channels)
        with torch.no_grad():
            self.style_net.bias[:channels] = 1
            self.style_net.bias[channels:] = 0

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x: (N, channels, H, W). style: (N, style). Returns the shape of x."""
        scale, bias = self.style_net(style)[..., None, None].chunk(2, dim=1)
        return scale * x + bias


class Unused(nn.Module):
    """The weight and the bias of a layer that the published network has and never uses, as buffers.

    So the published weights can be loaded, and no optimizer updates what has no gradient.
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(shape))
        self.register_buffer("bias", torch.zeros(shape[0]))


def _second_half(channels: int) -> nn.Sequential:
    """ReLU, a reflect-padded 3×3 convolution, instance norm."""
    return nn.Sequential(
        nn.ReLU(inplace=True),
        PADS["reflect"](1),
        nn.Conv2d(channels, channels, 3),
        norm_layer("instance", channels),
    )


class PublishedBlock(nn.Module):
    """The residual block as the authors' code computes it: x + IN(conv(ReLU(γ · IN(x) + β))).

    A linear layer computes γ and β from the style. The published weights also hold a first convolution (`conv_block`),
    a layer for the time (`Dense_time`) and a second one for the style (`style`), which have no effect.
    """

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.conv_block = nn.ModuleDict({"1": Unused(channels, channels, 3, 3)})
        self.norm = norm_layer("instance", channels)
        self.adaptive = Scaled(channels, style)
        self.conv_fin = _second_half(channels)
        self.Dense_time = Unused(channels, style)
        self.style = Unused(2 * channels, style)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x: (N, channels, H, W). style: (N, style). Returns the shape of x."""
        y: Tensor = self.conv_fin(self.adaptive(self.norm(x), style))
        return x + y


class TimedBlock(nn.Module):
    """A residual block with both of its convolutions: x + IN(conv(ReLU((1 + γ) · IN(conv(x)) + β))).

    A linear layer computes γ and β from the style. The 1 makes it a usual residual block at first, when γ is near 0.
    """

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            PADS["reflect"](1), nn.Conv2d(channels, channels, 3), norm_layer("instance", channels)
        )
        self.style_net = nn.Linear(style, 2 * channels)
        self.conv_fin = _second_half(channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x: (N, channels, H, W). style: (N, style). Returns the shape of x."""
        scale, bias = self.style_net(style)[..., None, None].chunk(2, dim=1)
        y: Tensor = self.conv_fin((1 + scale) * self.conv_block(x) + bias)
        return x + y


class UNSBGenerator(nn.Module):
    """The generator of UNSB: the antialiased ResNet of CUT, whose blocks take a time and a latent vector.

    Kim et al., Unpaired Image-to-Image Translation via Neural Schrödinger Bridge, ICLR 2024, in the version of the
    authors' code: a 7×7 convolution, two halvings (a 3×3 convolution and a blur), residual blocks, two doublings, a 7×7
    convolution, tanh; instance norm. The latent vector is divided by the root of its mean square and mapped by four
    linear layers with LeakyReLU 0.2 to the style, from which each block computes a scale and a bias of its maps.

    In the authors' code a residual block discards its first convolution and the time, so that the generator does not
    depend on the time; `time: ignored` reproduces this, and loads and saves their weights, those without an effect
    included. With `time: used` the embedding of the time is added to the style, and a block has both convolutions.

    Its taps: `image`, the padded input; `down1`, `down2`, the output of the convolution of that halving, before its
    norm; `block1`, `block2` …, the output of that residual block.

    Takes (N, in_channels, H, W) in [-1, 1], H and W multiples of `multiple` and at least `smallest`, indices of time
    steps (N,) and latent vectors (N, `latent_channels`); returns (N, out_channels, H, W) in [-1, 1].

    Args:
        in_channels: channels of the input images.
        out_channels: channels of the output images.
        blocks: number of residual blocks.
        width: channels after the first convolution; each halving doubles them. A latent vector has 4 · `width` values.
        time: used, as in the paper; or ignored, as in the authors' code.
    """

    multiple: int
    smallest: int
    taps: Mapping[str, int]
    """Channels of the maps that `features` returns, by name."""
    latent_channels: int
    """Length of a latent vector, for methods that draw one."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        blocks: PositiveInt = 9,
        width: PositiveInt = 64,
        time: Literal["used", "ignored"] = "used",
    ) -> None:
        super().__init__()
        self.multiple, self.smallest = 4, 8
        channels = self.latent_channels = 4 * width
        self.model = nn.Sequential(
            *(PADS["reflect"](3), nn.Conv2d(in_channels, width, 7), *_norm_relu(width)),
            *(nn.Conv2d(width, 2 * width, 3, padding=1), *_norm_relu(2 * width), BlurDown(2 * width)),
            *(nn.Conv2d(2 * width, channels, 3, padding=1), *_norm_relu(channels), BlurDown(channels)),
        )
        block = TimedBlock if time == "used" else PublishedBlock
        self.model_res = nn.ModuleList(block(channels, channels) for _ in range(blocks))
        self.model_upsample = nn.Sequential(
            *(BlurUp(channels), nn.Conv2d(channels, 2 * width, 3, padding=1), *_norm_relu(2 * width)),
            *(BlurUp(2 * width), nn.Conv2d(2 * width, width, 3, padding=1), *_norm_relu(width)),
            *(PADS["reflect"](3), nn.Conv2d(width, out_channels, 7), nn.Tanh()),
        )
        self.z_transform = nn.Sequential(
            nn.RMSNorm(channels, eps=1e-8, elementwise_affine=False),
            *(layer for _ in range(4) for layer in (nn.Linear(channels, channels), nn.LeakyReLU(0.2))),
        )
        self.time_embed = (
            TimeEmbedding(channels)
            if time == "used"
            else nn.ModuleDict({"0": Unused(channels, width), "2": Unused(channels, channels)})
        )
        # The places of the layers in `model` and then `model_res`.
        blocks_at = {f"block{block}": len(self.model) + block - 1 for block in range(1, blocks + 1)}
        self._places = {"image": 0, "down1": 4, "down2": 8, **blocks_at}
        self.taps = {"image": in_channels, "down1": 2 * width, "down2": channels, **dict.fromkeys(blocks_at, channels)}

    def forward(self, x: Tensor, time: Tensor, latent: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). time: (N,), int64. latent: (N, latent_channels). Returns (N, out_channels, H, W)
        in [-1, 1]."""
        return self.with_features(x, (), time, latent)[0]

    def with_features(
        self, x: Tensor, taps: tuple[str, ...], time: Tensor, latent: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Returns what `forward` returns, and the maps at those taps, in that order, computed in one pass.

        Raises UserError for a tap that is not among `taps` of the network.
        """
        maps, found = self._maps(x, taps, time, latent, len(self.model) + len(self.model_res))
        return self.model_upsample(maps), found

    def features(self, x: Tensor, taps: tuple[str, ...], time: Tensor, latent: Tensor) -> list[Tensor]:
        """Returns the maps at those taps, in that order, computing no deeper than needed.

        Raises UserError for a tap that is not among `taps` of the network.
        """
        check_taps(taps, self.taps)
        depth = max((self._places[tap] + 1 for tap in taps), default=0)
        return self._maps(x, taps, time, latent, depth)[1]

    def _maps(
        self, x: Tensor, taps: tuple[str, ...], time: Tensor, latent: Tensor, depth: int
    ) -> tuple[Tensor, list[Tensor]]:
        """The output of the first `depth` layers of `model` and `model_res`, and the maps at the taps."""
        check_taps(taps, self.taps)
        wanted = {self._places[tap] for tap in taps}
        found: dict[int, Tensor] = {}
        style = self._style(time, latent) if depth > len(self.model) else None
        for place, layer in enumerate((*self.model, *self.model_res)):
            if place == depth:
                break
            x = layer(x) if place < len(self.model) else layer(x, style)
            if place in wanted:
                found[place] = x
        return x, [found[self._places[tap]] for tap in taps]

    def _style(self, time: Tensor, latent: Tensor) -> Tensor:
        """The vector (N, 4 · width) from which the blocks compute their scales and biases."""
        style: Tensor = self.z_transform(latent)
        return style + self.time_embed(time) if isinstance(self.time_embed, TimeEmbedding) else style


def _norm_relu(channels: int) -> tuple[nn.Module, ...]:
    return norm_layer("instance", channels), nn.ReLU(inplace=True)
