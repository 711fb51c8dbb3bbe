"""The pixel discriminator of pix2pix."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor, nn

from translate_plugins.norms import Norm, conv_bias, norm_layer, spectrally_normed


class PixelGAN(nn.Module):
    """Pixel discriminator: the 1×1 PatchGAN, three 1×1 convolutions.

    From pix2pix (Isola et al., CVPR 2017, appendix 6.1.2) in the layout of the authors' PyTorch code, whose weights
    can be loaded. Channels are `width`, 2 · `width`, 1, with LeakyReLU 0.2 between; a norm follows the second
    convolution only, so with norm instance or batch a pixel's score also depends on the statistics of its image. The
    first convolution always has a bias, the others with norm instance only.

    Takes (N, in_channels, H, W), returns logits (N, 1, H, W).

    Args:
        in_channels: channels of the input images.
        width: channels after the first convolution.
        norm: instance (no affine weights, no running statistics), batch, or none.
        spectral_norm: divide every weight by its largest singular value (Miyato et al., ICLR 2018).
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: PositiveInt = 64,
        norm: Norm = "instance",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int, bias: bool) -> nn.Conv2d:
            return spectrally_normed(nn.Conv2d(inputs, outputs, kernel_size=1, bias=bias), spectral_norm)

        bias = conv_bias(norm)
        self.net = nn.Sequential(
            conv(in_channels, width, bias=True),
            nn.LeakyReLU(0.2, inplace=True),
            conv(width, 2 * width, bias=bias),
            norm_layer(norm, 2 * width),
            nn.LeakyReLU(0.2, inplace=True),
            conv(2 * width, 1, bias=bias),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns logits (N, 1, H, W), high where a pixel looks real."""
        y: Tensor = self.net(x)
        return y
