"""The contract of losses: named terms of the game."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from torch import Tensor, nn

from translate_core.contracts.method import Method

Tensors = Method
"""One batch in flight, as a loss sees it: `tensors["rec_A"]`, `tensors.network("D_A")`, `tensors.adversarial_pairs`."""


class Loss(nn.Module):
    """A term: up to two sides, each returning named scalars, which are summed.

    Subclasses override one or both of `generator_loss` and `discriminator_loss`. A part is named after what it is
    about (`rec_A`, `D_B`) and logged as `<the loss's key in the recipe>/<part>`.
    """

    def prepare(self, method: Method) -> None:
        """Called once, before there are optimizers and before state is loaded: create pools and parameters here.

        Parameters of a loss are trained with the generators and saved; a network that is neither goes into `Frozen`.
        The rehearsal calls it too, on a loss of its own, with the meta device as default: what a run would lack, such
        as a file of weights, is told then. Raises UserError for that, and when the method lacks what the loss is about.
        """

    def generator_loss(self, tensors: Tensors) -> Mapping[str, Tensor]:
        """What the generators minimise, times the recipe's weight."""
        return {}

    def discriminator_loss(self, tensors: Tensors) -> Mapping[str, Tensor]:
        """What the discriminators minimise; its weight is always 1."""
        return {}


class Frozen(nn.Module):
    """A trained network that a loss looks through and that stays as it is, such as VGG in a perceptual loss.

    Kept as an attribute of a loss, it is in evaluation mode and goes wherever the loss goes (`to`), while none of its
    tensors is among the loss's parameters or in its `state_dict`: it is never trained, and no checkpoint holds it.
    Gradients flow through it to what it is given. It computes in the precision of the loss, not under autocast.

        self.vgg = Frozen(vgg)            # in `prepare`
        features = self.vgg(images)
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._hidden = (network.eval().requires_grad_(False),)  # in a tuple, torch does not see it

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the network returns."""
        return self._hidden[0](*args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Moves and casts of the loss reach the network as well."""
        self._hidden[0]._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
