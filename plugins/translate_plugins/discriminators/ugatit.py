"""The discriminator of U-GAT-IT."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from translate_plugins.attention import ClassActivation
from translate_plugins.norms import spectrally_normed
from translate_plugins.padding import PADS


class UGATITDiscriminator(nn.Module):
    """The discriminator of U-GAT-IT: a spectrally normed PatchGAN with an attention module before its last convolution.

    Kim et al., U-GAT-IT, ICLR 2020, section 2.1 and appendix, in the version of the authors' PyTorch code. 4×4
    convolutions, reflect-padded by 1, with spectral norm, a bias and LeakyReLU 0.2: `layers` - 2 of stride 2, which
    double the channels, and one of stride 1 that doubles them once more; a class activation module, LeakyReLU 0.2; a
    4×4 convolution of stride 1 to one channel, without bias. The paper has two for each domain, a global one of 7
    layers (53,130,176 parameters; 6×6 out of 256×256) and a local one of 5 (3,290,560; 30×30).

    Takes (N, in_channels, H, W) of sides of at least `smallest`; returns a list of two logits: of patches
    (N, 1, floor(H / 2^(layers - 2)) - 2, …), and (N, 2) of the classifier on the mean and the maximum of each map.
    Smaller sides raise torch's RuntimeError.

    Args:
        in_channels: channels of the input images.
        layers: number of 4×4 convolutions, including the last; 7 for the global, 5 for the local discriminator.
        width: channels after the first convolution.
        spectral_norm: divide the weights of all but the 1×1 convolution by their largest singular value (Miyato et al.,
            ICLR 2018).
    """

    multiple: int
    smallest: int

    def __init__(
        self,
        in_channels: int,
        *,
        layers: Annotated[int, Field(ge=2)] = 7,
        width: PositiveInt = 64,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        self.multiple = 1
        self.smallest = 3 * 2 ** (layers - 2)

        def conv(inputs: int, outputs: int, stride: int, bias: bool = True) -> list[nn.Module]:
            convolution = nn.Conv2d(inputs, outputs, 4, stride=stride, bias=bias)
            return [PADS["reflect"](1), spectrally_normed(convolution, spectral_norm)]

        stages: list[nn.Module] = []
        channels = in_channels
        for layer in range(layers - 1):
            wider = width * 2**layer
            stages += [*conv(channels, wider, stride=2 if layer < layers - 2 else 1), nn.LeakyReLU(0.2, inplace=True)]
            channels = wider
        self.encoder = nn.Sequential(*stages)
        self.attention = ClassActivation(channels, nn.LeakyReLU(0.2, inplace=True), spectral_norm=spectral_norm)
        self.last = nn.Sequential(*conv(channels, 1, stride=1, bias=False))

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (N, in_channels, H, W). Returns logits of patches (N, 1, h, w) and of the classifier (N, 2), high where an
        image looks real."""
        features, logits, _ = self.attention(self.encoder(x))
        return [self.last(features), logits]
