"""The patch discriminator of pix2pix and CycleGAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from translate_plugins.norms import Norm, conv_bias, norm_layer, spectrally_normed
from translate_plugins.sampling import BlurDown
from translate_plugins.taps import output_and_taps, tap


class PatchGAN(nn.Module):
    """Patch discriminator: a fully convolutional network with one score for each of many overlapping patches.

    From pix2pix (Isola et al., CVPR 2017, section 3.2.2 and appendix 6.1.2) in the layout of the authors' PyTorch code,
    whose weights can be loaded. All convolutions are 4×4 with padding 1: `layers` of stride 2, one of stride 1, and one
    of stride 1 to a single channel; LeakyReLU 0.2 between them, and a norm before it after all but the first. Channels
    are 1, 2, 4, 8, 8, … times `width`. Convolutions have a bias with norm instance only; the first and the last have
    one always.

    Its taps: `stage1`, `stage2` …, the output of each convolution but the last, after its norm, its activation and its
    blur.

    A patch is 16, 34, 70, 142, 286 pixels wide for 1 … 5 `layers`, with `antialias` 18, 40, 84, 172, 348. Takes
    (N, in_channels, H, W) with sides of at least 3 · 2^layers, returns (N, 1, H', W') with
    H' = floor(H / 2^layers) - 2: 30×30 for 256×256 and 3 layers. Smaller sides raise torch's RuntimeError.

    Args:
        in_channels: channels of the input images.
        layers: number of convolutions of stride 2.
        width: channels after the first convolution.
        norm: instance (no affine weights, no running statistics), batch, or none.
        padding: of every convolution; zero in the authors' code.
        output: logits, or sigmoid for probabilities. Probabilities suit lsgan; bce, hinge and wgan_gp need logits.
        antialias: replace stride 2 by stride 1 and a downsampling blur after the activation (Zhang, ICML 2019), as in
            the discriminator of CUT (Park et al., ECCV 2020), whose weights can then be loaded.
        spectral_norm: divide every weight by its largest singular value (Miyato et al., ICLR 2018), in addition to
            `norm`, which may be none.
    """

    taps: Mapping[str, int]
    """Channels of the maps that `features` returns, by name."""

    def __init__(
        self,
        in_channels: int,
        *,
        layers: PositiveInt = 3,
        width: PositiveInt = 64,
        norm: Norm = "instance",
        padding: Literal["zero", "reflect", "replicate"] = "zero",
        output: Literal["logits", "sigmoid"] = "logits",
        antialias: bool = False,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        mode: Literal["zeros", "reflect", "replicate"] = "zeros" if padding == "zero" else padding

        def conv(inputs: int, outputs: int, stride: int, bias: bool) -> nn.Conv2d:
            layer = nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1, padding_mode=mode, bias=bias)
            return spectrally_normed(layer, spectral_norm)

        stages: list[nn.Module] = []
        self.taps = taps = {}
        self._places = {}
        channels = in_channels
        for layer in range(layers + 1):
            wider, halves = width * min(2**layer, 8), layer < layers
            stages += [
                conv(channels, wider, stride=2 if halves and not antialias else 1, bias=layer == 0 or conv_bias(norm)),
                *([norm_layer(norm, wider)] if layer > 0 else []),
                nn.LeakyReLU(0.2, inplace=True),
                *([BlurDown(wider)] if halves and antialias else []),
            ]
            channels = wider
            taps[f"stage{layer + 1}"] = wider
            self._places[f"stage{layer + 1}"] = len(stages) - 1
        stages += [conv(channels, 1, stride=1, bias=True)]
        if output == "sigmoid":
            stages += [nn.Sigmoid()]
        self.model = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, 1, H', W'), high where a patch looks real."""
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
