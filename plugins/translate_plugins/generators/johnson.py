"""The image transformation network of Johnson et al."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from translate_plugins.generators.resnet import ResidualBlock
from translate_plugins.norms import Norm, conv_bias, norm_layer
from translate_plugins.padding import PADS, Padding
from translate_plugins.taps import output_and_taps, tap


class Johnson(nn.Module):
    """The image transformation network of Johnson et al.: 9×9 convolutions at the ends, 5 residual blocks of 128.

    Perceptual Losses for Real-Time Style Transfer and Super-Resolution (ECCV 2016, supplement), as it is used in
    write-ups of CycleGAN: a 9×9 convolution to 32 channels, two 3×3 convolutions of stride 2 to 64 and 128, residual
    blocks, two doublings to 64 and 32, a 9×9 convolution, tanh. Every convolution but the last is followed by a norm
    and, except at the end of a block, a ReLU. Convolutions have a bias with norm instance only; the last always has
    one.

    It departs from the paper where these write-ups do: instance norm instead of batch norm, padding of every
    convolution instead of padding the image by 40 once, and upsampling without checkerboard artefacts. It has a seventh
    of the parameters of `resnet` with 9 blocks.

    Its taps: `image`, the padded input; `down1`, `down2`, the output of the convolution of that halving, before its
    norm; `block1`, `block2` …, the output of that residual block.

    Takes (N, in_channels, H, W) in [-1, 1], H and W multiples of `multiple` and at least `smallest`; returns
    (N, out_channels, H, W) in [-1, 1].

    Args:
        in_channels: channels of the input images.
        out_channels: channels of the output images.
        blocks: number of residual blocks.
        width: channels after the first convolution; each halving doubles them.
        norm: instance (no affine weights, no running statistics), batch, or none.
        padding: of every convolution except transposed ones.
        upsample: resize_conv is nearest-neighbour doubling and a 3×3 convolution (Odena et al., Distill 2016);
            transposed is a 3×3 transposed convolution of stride 2, as in the paper.
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
        blocks: PositiveInt = 5,
        width: PositiveInt = 32,
        norm: Norm = "instance",
        padding: Padding = "reflect",
        upsample: Literal["resize_conv", "transposed"] = "resize_conv",
    ) -> None:
        super().__init__()
        self.multiple = 4
        # Maps of 1×1 in the blocks can be neither reflect-padded nor normalised.
        self.smallest = 8 if padding == "reflect" or norm != "none" else 4
        bias = conv_bias(norm)

        def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, bias=bias)
            return [PADS[padding](kernel // 2), convolution, norm_layer(norm, outputs), nn.ReLU(inplace=True)]

        def double(channels: int) -> list[nn.Module]:
            half = channels // 2
            if upsample == "resize_conv":
                return [nn.Upsample(scale_factor=2, mode="nearest"), *conv(channels, half, 3)]
            transposed = nn.ConvTranspose2d(channels, half, 3, stride=2, padding=1, output_padding=1, bias=bias)
            return [transposed, norm_layer(norm, half), nn.ReLU(inplace=True)]

        layers = [
            *conv(in_channels, width, 9),
            *conv(width, 2 * width, 3, stride=2),
            *conv(2 * width, 4 * width, 3, stride=2),
        ]
        self._places = {"image": 0, "down1": 5, "down2": 9}
        self._places.update({f"block{block}": len(layers) + block - 1 for block in range(1, blocks + 1)})
        self.taps = {"image": in_channels, "down1": 2 * width, "down2": 4 * width}
        self.taps.update({f"block{block}": 4 * width for block in range(1, blocks + 1)})
        layers += [ResidualBlock(4 * width, norm, 0.0, padding) for _ in range(blocks)]
        layers += [*double(4 * width), *double(2 * width)]
        layers += [PADS[padding](4), nn.Conv2d(width, out_channels, 9), nn.Tanh()]
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
