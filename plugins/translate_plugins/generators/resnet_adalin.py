"""A residual generator whose decoder normalises by AdaLIN."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor, nn

from translate_plugins.generators.ugatit import AdaLINBlock, Modulation, doublings, encoder
from translate_plugins.halvings import Halvings
from translate_plugins.norms import clip_mixtures


class ResNetAdaLIN(nn.Module):
    """A residual generator whose decoder normalises by AdaLIN: the light U-GAT-IT generator without its attention.

    A 7×7 convolution, halvings by 3×3 convolutions of stride 2, half of the residual blocks, all with instance norm;
    the other half with AdaLIN, sharing one γ and one β, which linear layers compute from the mean of each map;
    nearest-neighbour doublings and 3×3 convolutions with ILN; a 7×7 convolution, tanh (Kim et al., U-GAT-IT, ICLR 2020,
    section 2.1.2). Convolutions are reflect-padded and have no bias. ρ of AdaLIN and ILN is clipped to [0, 1] after
    each update.

    Takes (N, in_channels, H, W) in [-1, 1], H and W multiples of `multiple` and at least `smallest`; returns
    (N, out_channels, H, W) in [-1, 1].

    Args:
        in_channels: channels of the input images.
        out_channels: channels of the output images.
        blocks: number of residual blocks; if it is odd, one block more has AdaLIN than instance norm.
        width: channels after the first convolution; each halving doubles them.
        downs: number of halvings, and of doublings.
    """

    multiple: int
    smallest: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        blocks: PositiveInt = 6,
        width: PositiveInt = 64,
        downs: Halvings = 2,
    ) -> None:
        super().__init__()
        self.multiple = 2**downs
        self.smallest = 2 * self.multiple
        channels = width * self.multiple
        self.encoder = encoder(in_channels, width, downs, blocks // 2)
        self.modulation = Modulation(channels, None)
        self.blocks = nn.ModuleList(AdaLINBlock(channels) for _ in range(blocks - blocks // 2))
        self.doublings = doublings(channels, out_channels, downs)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, out_channels, H, W) in [-1, 1]."""
        features = self.encoder(x)
        gamma, beta = self.modulation(features)
        for block in self.blocks:
            features = block(features, gamma, beta)
        y: Tensor = self.doublings(features)
        return y

    def after_update(self) -> None:
        """Clips every ρ to [0, 1]."""
        clip_mixtures(self)
