"""The contract of losses: named terms of the game."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from translate_core.method import Method

Tensors = Method
"""One batch in flight, as a loss sees it: `tensors["rec_A"]`, `tensors.network("D_A")`, `tensors.judges`."""


class Loss(nn.Module):
    """A term: up to two sides, each returning named scalars, which are summed.

    Subclasses override one or both of `generator_loss` and `discriminator_loss`. A part is named after what it is
    about (`rec_A`, `D_B`) and logged as `<the loss's key in the recipe>/<part>`.
    """

    def prepare(self, method: Method) -> None:
        """Called once, before there are optimizers and before state is loaded: create pools and parameters here.

        Raises UserError when the method lacks what the loss is about.
        """

    def generator_loss(self, tensors: Tensors) -> Mapping[str, Tensor]:
        """What the generators minimise, times the recipe's weight."""
        return {}

    def discriminator_loss(self, tensors: Tensors) -> Mapping[str, Tensor]:
        """What the discriminators minimise; its weight is always 1."""
        return {}
