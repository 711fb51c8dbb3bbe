"""The contract of image pools."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from translate_core.errors import UserError


class Pool(nn.Module):
    """Base class of image pools: takes the new fakes of a generator, returns the fakes for the discriminator.

    State is saved by `get_extra_state` and restored by `set_extra_state` (tensors and plain numbers only).
    """

    @abstractmethod
    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Returns as many images as it takes, of the same shape, on the same device.

        images: (N, C, H, W), detached. rng: a CPU generator, the only source of randomness.
        """

    def query_with(
        self, images: Tensor, conditions: tuple[Tensor, ...], rng: torch.Generator
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """As `query`, with the conditions under which each fake was made: they stay with the image.

        conditions: each (N, …), detached. Raises UserError for a pool that keeps images alone and is given conditions.
        """
        if conditions:
            raise UserError(
                f"{type(self).__name__} keeps no conditions, and this discriminator is conditioned: use another pool, "
                f"or none"
            )
        return self.query(images, rng), ()


class NoPool(Pool):
    """No pool: the discriminator gets the new fakes."""

    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Returns `images`."""
        return images

    def query_with(
        self, images: Tensor, conditions: tuple[Tensor, ...], rng: torch.Generator
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns `images` and `conditions`."""
        return images, conditions
