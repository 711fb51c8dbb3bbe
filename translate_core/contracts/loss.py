"""The contract of losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from torch import Tensor, nn

from translate_core.contracts.method import Method

Tensors = Method
"""A method bound to one batch, as losses use it: `tensors["rec_A"]`, `tensors.network("D_A")`,
`tensors.adversarial_pairs`."""


class Loss(nn.Module):
    """Base class of losses. A loss has up to two functions, one for each side; each returns named scalars.

    Subclasses override `generator_loss`, `discriminator_loss` or both. The scalars of a function are its parts; they
    are summed. A part is named after a tensor or a network (`rec_A`, `D_B`) and logged as `<key in the recipe>/<part>`.
    """

    def prepare(self, method: Method) -> None:
        """Creates pools and parameters. Called once, before the optimizers are built and before state is loaded.

        Parameters of a loss are trained with the generators and saved. A network that is neither trained nor saved
        is wrapped in `Frozen`. The shape check calls `prepare` too, on another instance, with the meta device as the
        default, so that a missing file of weights is reported before a run starts.

        Raises UserError when such a file is missing, or when the method lacks what the loss needs.
        """

    def generator_loss(self, tensors: Tensors) -> Mapping[str, Tensor]:
        """The parts that the generators minimise; the engine multiplies them by the weight in the recipe."""
        return {}

    def discriminator_loss(self, tensors: Tensors) -> Mapping[str, Tensor]:
        """The parts that the discriminators minimise; the weight in the recipe does not apply to them."""
        return {}


class Frozen(nn.Module):
    """A frozen pretrained network, such as VGG in a perceptual loss.

    As an attribute of a loss it is in evaluation mode and moves with the loss (`to`). Its tensors are not parameters of
    the loss and not in its `state_dict`, so it is never trained and no checkpoint holds it. Gradients flow through it
    to its inputs. It computes in the precision of the loss, without autocast.

        self.vgg = Frozen(vgg)            # in `prepare`
        features = self.vgg(images)
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._hidden = (network.eval().requires_grad_(False),)  # torch does not register modules in a tuple

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the network."""
        return self._hidden[0](*args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Moves and casts the network with the loss."""
        self._hidden[0]._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
