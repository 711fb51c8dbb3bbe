"""The mapping network of StarGAN v2."""

from __future__ import annotations

from itertools import pairwise

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from translate_plugins.preactivation import of_domain


def _layers(inputs: int, width: int, count: int) -> list[nn.Module]:
    """`count` linear layers of `width` outputs, each followed by a ReLU."""
    sizes = [inputs, *[width] * count]
    return [layer for one, two in pairwise(sizes) for layer in (nn.Linear(one, two), nn.ReLU())]


class StarGANv2Mapping(nn.Module):
    """The mapping network of StarGAN v2, the paper's F: a latent and the number of a domain to a style of that domain.

    Choi et al., StarGAN v2, CVPR 2020, section 2 and appendix: an MLP with ReLU, whose first `shared` layers serve all
    domains; then each domain has `unshared` layers and a linear layer of its own. The latent is drawn from N(0, I) and
    not normalised. The paper initialises all weights by He's rule: `init: {type: kaiming}`.

    Takes (N, latent_channels) and int64 (N,); returns (N, style_channels). The branches of all domains are computed.

    Args:
        domains: number of domains.
        style_channels: length of a style.
        latent_channels: length of a latent.
        width: outputs of each hidden layer.
        shared: number of hidden layers that all domains share.
        unshared: number of hidden layers of each domain.
    """

    latent_channels: int
    """Length of a latent, for methods that draw one."""

    def __init__(
        self,
        domains: int,
        style_channels: int,
        *,
        latent_channels: PositiveInt = 16,
        width: PositiveInt = 512,
        shared: PositiveInt = 4,
        unshared: PositiveInt = 3,
    ) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        self.shared = nn.Sequential(*_layers(latent_channels, width, shared))
        self.branches = nn.ModuleList(
            nn.Sequential(*_layers(width, width, unshared), nn.Linear(width, style_channels)) for _ in range(domains)
        )

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        """latent: (N, latent_channels). label: int64 (N,). Returns (N, style_channels)."""
        hidden = self.shared(latent)
        return of_domain(torch.stack([branch(hidden) for branch in self.branches], dim=1), label)
