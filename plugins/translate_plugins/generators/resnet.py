"""The residual generator of CycleGAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from translate_core import UserError
from translate_plugins.halvings import Halvings
from translate_plugins.norms import Norm, conv_bias, norm_layer
from translate_plugins.padding import PADS, Padding
from translate_plugins.sampling import BlurDown, BlurUp
from translate_plugins.taps import output_and_taps, tap


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a skip: x + norm(conv(dropout(ReLU(norm(conv(x)))))), no activation after the sum.

    bias: whether the convolutions have one; None for `conv_bias` of the norm, as in CycleGAN.
    """

    def __init__(self, channels: int, norm: Norm, dropout: float, padding: Padding, bias: bool | None = None) -> None:
        super().__init__()
        pad = PADS[padding]
        bias = conv_bias(norm) if bias is None else bias
        self.conv_block = nn.Sequential(
            pad(1),
            nn.Conv2d(channels, channels, kernel_size=3, bias=bias),
            norm_layer(norm, channels),
            nn.ReLU(inplace=True),
            *([nn.Dropout(dropout)] if dropout > 0 else []),
            pad(1),
            nn.Conv2d(channels, channels, kernel_size=3, bias=bias),
            norm_layer(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W). Returns the same shape."""
        residual: Tensor = self.conv_block(x)
        return x + residual


class ResNet(nn.Module):
    """The residual generator: a 7×7 convolution, halvings, residual blocks, doublings, a 7×7 convolution, tanh.

    With 9 blocks it is the generator of CycleGAN at 256×256, with 6 that at 128×128 (Zhu et al., ICCV 2017, appendix
    7.2, after Johnson et al., ECCV 2016); with `upsample: transposed` the published weights can be loaded. The halvings
    are 3×3 convolutions of stride 2, zero-padded whatever `padding` is. Every convolution but the last is followed by a
    norm and, except at the end of a block, a ReLU. Convolutions have a bias with norm instance only; the last always
    has one. With `antialias` it is the generator of CUT and FastCUT (Park et al., ECCV 2020), in their layout.

    Its taps: `image`, the padded input; `down1`, `down2` …, the output of the convolution of that halving, before its
    norm; `block1`, `block2` …, the output of that residual block. CUT's five are image, down1, down2, block1 and
    block5.

    Takes (N, in_channels, H, W) in [-1, 1], H and W multiples of `multiple` and at least `smallest`; returns
    (N, out_channels, H, W) in [-1, 1]. Other sides raise torch's RuntimeError or give an output of another size.

    Args:
        in_channels: channels of the input images.
        out_channels: channels of the output images.
        blocks: number of residual blocks.
        width: channels after the first convolution; each halving doubles them.
        downs: number of halvings, and of doublings.
        norm: instance (no affine weights, no running statistics), batch, or none.
        dropout: probability of zeroing a value between the two convolutions of a block; the optional dropout of the
            authors' code is 0.5, and 0 omits the layer.
        padding: of the 7×7 convolutions, the blocks and the convolutions of `upsample: resize_conv`.
        upsample: transposed is a 3×3 transposed convolution of stride 2; resize_conv is nearest-neighbour doubling and
            a 3×3 convolution, which avoids checkerboard artefacts (Odena et al., Distill 2016).
        antialias: downsample by a convolution of stride 1 and a blur, upsample by a blur and a convolution of stride 1;
            both convolutions are 3×3 and zero-padded (Zhang, ICML 2019). A small shift of the input then mostly
            just shifts the output. The blur does the upsampling, so `upsample` must be left out.
    """

    multiple: int
    smallest: int
    taps: Mapping[str, int]
    """Channels of the maps that `features` returns, by name."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        blocks: PositiveInt = 9,
        width: PositiveInt = 64,
        downs: Halvings = 2,
        norm: Norm = "instance",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        padding: Padding = "reflect",
        upsample: Literal["transposed", "resize_conv"] = "transposed",
        antialias: bool = False,
    ) -> None:
        super().__init__()
        if antialias and upsample != "transposed":
            raise UserError(
                f"cannot have both antialias: true and upsample: {upsample}, since antialias upsamples by a blur: "
                f"leave one of them out"
            )
        self.multiple = 2**downs
        # Maps of 1×1 in the blocks can be neither reflect-padded nor normalised.
        needs_neighbours = padding == "reflect" or norm != "none"
        self.smallest = 2 * self.multiple if needs_neighbours else self.multiple

        pad, bias = PADS[padding], conv_bias(norm)

        def norm_relu(channels: int) -> list[nn.Module]:
            return [norm_layer(norm, channels), nn.ReLU(inplace=True)]

        def double(channels: int) -> list[nn.Module]:
            half = channels // 2
            if antialias:
                return [BlurUp(channels), nn.Conv2d(channels, half, 3, padding=1, bias=bias)]
            if upsample == "transposed":
                return [nn.ConvTranspose2d(channels, half, 3, stride=2, padding=1, output_padding=1, bias=bias)]
            return [nn.Upsample(scale_factor=2, mode="nearest"), pad(1), nn.Conv2d(channels, half, 3, bias=bias)]

        layers = [pad(3), nn.Conv2d(in_channels, width, kernel_size=7, bias=bias), *norm_relu(width)]
        channels = width
        self._places = {"image": 0}
        self.taps = taps = {"image": in_channels}
        for down in range(1, downs + 1):
            self._places[f"down{down}"] = len(layers)
            stride = 1 if antialias else 2
            layers += [nn.Conv2d(channels, 2 * channels, kernel_size=3, stride=stride, padding=1, bias=bias)]
            channels *= 2
            taps[f"down{down}"] = channels
            layers += norm_relu(channels)
            layers += [BlurDown(channels)] if antialias else []
        for block in range(1, blocks + 1):
            self._places[f"block{block}"] = len(layers)
            taps[f"block{block}"] = channels
            layers += [ResidualBlock(channels, norm, dropout, padding)]
        for _ in range(downs):
            layers += double(channels)
            channels //= 2
            layers += norm_relu(channels)
        layers += [pad(3), nn.Conv2d(channels, out_channels, kernel_size=7), nn.Tanh()]
        # One flat sequence, since its indices are the keys of the published weights.
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, out_channels, H, W) in [-1, 1]."""
        y: Tensor = self.model(x)
        return y

    def features(self, x: Tensor, taps: tuple[str, ...]) -> list[Tensor]:
        """x: (N, in_channels, H, W). Returns the maps at those taps, in that order, computing no deeper than needed.

        Raises UserError for a tap that is not among `taps` of the network.
        """
        return tap(self.model, self._places, x, taps)

    def with_features(self, x: Tensor, taps: tuple[str, ...]) -> tuple[Tensor, list[Tensor]]:
        """Returns what `forward` returns, and the maps at those taps, in that order, computed in one pass.

        Raises UserError for a tap that is not among `taps` of the network.
        """
        return output_and_taps(self.model, self._places, x, taps)
