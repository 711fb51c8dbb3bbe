"""The contract of image pools."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn


class Pool(nn.Module):
    """Base class of image pools: takes the new fakes of a generator, returns the fakes for the discriminator.

    State is saved by `get_extra_state` and restored by `set_extra_state` (tensors and plain numbers only).
    """

    @abstractmethod
    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Returns as many images as it takes, of the same shape, on the same device.

        images: (N, C, H, W), detached. rng: a CPU generator, the only source of randomness.
        """


class NoPool(Pool):
    """No pool: the discriminator gets the new fakes."""

    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Returns `images`."""
        return images
