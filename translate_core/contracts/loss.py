"""The contract of losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from torch import Tensor, nn

from translate_core.contracts.method import Method
from translate_core.contracts.role import DISCRIMINATORS, GENERATORS

Tensors = Method
"""A method bound to one batch, as losses use it: `tensors["rec_A"]`, `tensors.network("D_A")`,
`tensors.adversarial_pairs`."""

Function = TypeVar("Function", bound=Callable[..., Mapping[str, Tensor]])


@dataclass(frozen=True)
class LossFunction:
    """The function of a loss for one side. name: of the method. weighted: whether the weight multiplies its parts."""

    name: str
    weighted: bool


def loss_of(side: str, *, weighted: bool) -> Callable[[Function], Function]:
    """Decorator: the method of a loss is evaluated in the updates of that side.

    It takes the tensors and returns named scalars, as `generator_loss` does.

    weighted: whether the weight in the recipe multiplies its parts.
    """

    def mark(function: Function) -> Function:
        setattr(function, _MARK, (side, weighted))
        return function

    return mark


_MARK = "_loss_of"


class Loss(nn.Module):
    """Base class of losses. A loss has a function for each side that it is defined for; it returns named scalars.

    Subclasses override `generator_loss`, `discriminator_loss` or both; `loss_of` declares a function for another side.
    The scalars of a function are its parts; they are summed. A part is named after a tensor or a network (`rec_A`,
    `D_B`) and logged as `<key in the recipe>/<part>`.

    functions: side -> the function for it, those that the loss defines only.
    """

    functions: ClassVar[Mapping[str, LossFunction]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        declared: dict[str, LossFunction] = {}
        for base in reversed(cls.__mro__):
            for name, value in vars(base).items():
                if hasattr(value, _MARK):
                    side, weighted = getattr(value, _MARK)
                    declared[side] = LossFunction(name, weighted)
        cls.functions = {
            side: function
            for side, function in declared.items()
            if getattr(cls, function.name) is not getattr(Loss, function.name, None)
        }

    def prepare(self, method: Method) -> None:
        """Creates pools and parameters. Called once, before the optimizers are built and before state is loaded.

        Parameters of a loss are trained with the first side for which it has a weighted function, and saved. A network
        that is neither trained nor saved is wrapped in `Frozen`. The shape check calls `prepare` too, on another
        instance, with the meta device as the default, so that a missing file of weights is reported before a run
        starts.

        Raises UserError when such a file is missing, or when the method lacks what the loss needs.
        """

    @loss_of(GENERATORS, weighted=True)
    def generator_loss(self, tensors: Tensors) -> Mapping[str, Tensor]:
        """The parts that the generators minimise; the engine multiplies them by the weight in the recipe."""
        return {}

    @loss_of(DISCRIMINATORS, weighted=False)
    def discriminator_loss(self, tensors: Tensors) -> Mapping[str, Tensor]:
        """The parts that the discriminators minimise; the weight in the recipe does not apply to them."""
        return {}

    @classmethod
    def trained_with(cls) -> str:
        """The side whose optimizer trains its parameters."""
        weighted = (side for side, function in cls.functions.items() if function.weighted)
        return next(weighted, next(iter(cls.functions), ""))

    def parts(self, side: str, tensors: Tensors) -> Mapping[str, Tensor]:
        """What its function for a side returns; empty where it has none."""
        function = type(self).functions.get(side)
        if function is None:
            return {}
        parts: Mapping[str, Tensor] = getattr(self, function.name)(tensors)
        return parts


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
