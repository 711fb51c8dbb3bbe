"""The style encoder of StarGAN v2."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor, nn

from translate_plugins.preactivation import VectorEncoder, of_domain


class StarGANv2Style(nn.Module):
    """The style encoder of StarGAN v2, the paper's E: an image and the number of its domain to its style.

    Choi et al., StarGAN v2, CVPR 2020, section 2 and appendix: the trunk of `starganv2`, the discriminator, and a
    linear layer for each domain, of which the domain's own is used. There is no norm and, for the paper's images, no
    pooling over positions, so that a style can hold fine properties of an image. The paper initialises all weights by
    He's rule: `init: {type: kaiming}`.

    Takes (N, in_channels, H, W), sides of at least `smallest`, and int64 (N,); returns (N, style_channels). Smaller
    sides raise torch's RuntimeError. For images of `smallest` pixels a side the 4×4 convolution leaves one position; of
    larger ones the positions are averaged.

    Args:
        in_channels: channels of the input images.
        domains: number of domains.
        style_channels: length of a style.
        width: channels after the first convolution; each halving doubles them. The authors use 2^14 / side: 64 for
            256×256.
        max_width: the largest number of channels.
        downs: number of halvings; 6 in the paper, from 256×256 to 4×4.
    """

    smallest: int

    def __init__(
        self,
        in_channels: int,
        domains: int,
        style_channels: int,
        *,
        width: PositiveInt = 64,
        max_width: PositiveInt = 512,
        downs: PositiveInt = 6,
    ) -> None:
        super().__init__()
        self.domains, self.style_channels = domains, style_channels
        self.encoder = VectorEncoder(in_channels, width, max_width, downs)
        self.smallest = self.encoder.smallest
        self.heads = nn.Linear(self.encoder.channels, domains * style_channels)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). label: int64 (N,). Returns (N, style_channels)."""
        styles = self.heads(self.encoder(x)).unflatten(1, (self.domains, self.style_channels))
        return of_domain(styles, label)
