"""The discriminator of StarGAN v2."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor, nn

from translate_plugins.halvings import Halvings
from translate_plugins.preactivation import VectorEncoder, of_domain


class StarGANv2Discriminator(nn.Module):
    """The discriminator of StarGAN v2: one trunk and a logit for each domain, of which the domain's own is returned.

    Choi et al., StarGAN v2, CVPR 2020, section 2 and appendix: a 3×3 convolution (the paper's table has 1×1), `downs`
    pre-activation residual blocks that halve the image and double the channels, leaky ReLU 0.2, a 4×4 convolution
    without padding, leaky ReLU, a linear layer. It has no norm. The paper initialises all weights by He's rule:
    `init: {type: kaiming}`.

    Takes (N, in_channels, H, W), sides of at least `smallest`, and the number of each image's domain, int64 (N,);
    returns logits (N, 1) of images being real ones of that domain. Smaller sides raise torch's RuntimeError. For the
    paper's images, of `smallest` pixels a side, the 4×4 convolution leaves one position; of larger ones the positions
    are averaged.

    Args:
        in_channels: channels of the input images.
        domains: number of domains.
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
        *,
        width: PositiveInt = 64,
        max_width: PositiveInt = 512,
        downs: Halvings = 6,
    ) -> None:
        super().__init__()
        self.encoder = VectorEncoder(in_channels, width, max_width, downs)
        self.smallest = self.encoder.smallest
        self.heads = nn.Linear(self.encoder.channels, domains)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). label: int64 (N,). Returns (N, 1)."""
        return of_domain(self.heads(self.encoder(x))[:, :, None], label)
