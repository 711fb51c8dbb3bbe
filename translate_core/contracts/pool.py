"""The contract of image pools."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn


class Pool(nn.Module):
    """Stands between a generator's fakes and a discriminator: takes the new ones, returns those to judge.

    State goes through `get_extra_state` / `set_extra_state` (tensors and plain numbers only).
    """

    @abstractmethod
    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """images: (N, C, H, W), detached. Returns as many, of the same shape and device.

        rng: a CPU generator; whatever is random must come from it.
        """


class NoPool(Pool):
    """Every fake is judged when it is new."""

    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Returns `images`."""
        return images
