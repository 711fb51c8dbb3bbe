"""A phase: an update of the method as it runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from translate_core.components.weight import Ramp
from translate_core.contracts.loss import Loss
from translate_core.contracts.method import Method
from translate_core.contracts.network import Calls
from translate_core.contracts.update import Update
from translate_core.errors import UserError, written_in
from translate_core.runtime.ranks import Ranks
from translate_core.training.side import SideOptimizer


@dataclass(frozen=True)
class WeightedLoss:
    """A loss under its name in the recipe.

    weight: multiplies the parts of its weighted functions. every: it is evaluated in every n-th run of its update.
    """

    name: str
    loss: Loss
    weight: float | Ramp
    every: int = 1

    def compute(self, side: str, tensors: Method, calls: Calls, trained: frozenset[str]) -> dict[str, Tensor]:
        """Its weighted parts for one side, by name; empty if it has none for that side.

        trained: the networks that the update trains. Raises UserError for anything but named scalars.
        """
        with calls.by_loss(trained):
            parts = self.loss.parts(side, tensors)
        if not isinstance(parts, Mapping) or not all(
            isinstance(value, Tensor) and value.dim() == 0 for value in parts.values()
        ):
            raise UserError(
                f"{written_in(self.loss)} must return named scalars, such as {{'rec_A': tensor(0.5)}}, "
                f"not {_described(parts)}"
            )
        weight = self._weight_at(tensors.step) if self.weighted(side) else 1.0
        return {part: value * weight for part, value in parts.items()}

    def weighted(self, side: str) -> bool:
        """Whether the weight multiplies its parts for a side."""
        return side in self.loss.functions and self.loss.functions[side].weighted

    def _weight_at(self, step: int) -> float:
        return self.weight.at(step) if isinstance(self.weight, Ramp) else self.weight


@dataclass(frozen=True)
class PhaseLosses:
    """The losses of one phase on one micro-batch.

    total: the scalar to minimise, with its graph. parts: each weighted loss and its parts, detached, by logged name.
    """

    total: Tensor
    parts: Mapping[str, Tensor]


class Phase:
    """An update of the method: its losses, the parameters that it trains, and the optimizer of its side.

    through: whether its gradients pass through the tensors of the method. needed: by loss, the tensors that it uses.
    trained: by loss, what it trains: networks, and losses with parameters.
    """

    def __init__(
        self,
        update: Update,
        losses: Sequence[WeightedLoss],
        optimizer: SideOptimizer,
        parameters: Mapping[str, Sequence[nn.Parameter]],
        *,
        alone: bool,
        through: bool,
        needed: Mapping[str, frozenset[str]],
        trained: Mapping[str, frozenset[str]],
        clip: float | None = None,
    ) -> None:
        """parameters: by network or loss of the side. alone: whether its side has no other update."""
        self.update = update
        self.optimizer = optimizer
        self.through = through
        self._losses = tuple(losses)
        self._parameters = parameters
        self._alone = alone
        self._needed = needed
        self._trained = trained
        self._clip = clip

    @property
    def lazy(self) -> bool:
        """Whether there are steps that do not evaluate all its losses."""
        return self.update.every > 1 or any(loss.every > 1 for loss in self._losses)

    def due(self, step: int) -> tuple[WeightedLoss, ...]:
        """The losses that are evaluated in a step, counted from 0; none where the update does not take place."""
        if (step + 1) % self.update.every:
            return ()
        run = (step + 1) // self.update.every - 1
        return tuple(loss for loss in self._losses if run % loss.every == 0)

    def needed(self, due: Sequence[WeightedLoss]) -> frozenset[str]:
        """The tensors that these losses use."""
        return frozenset().union(*(self._needed[loss.name] for loss in due))

    def trained(self, due: Sequence[WeightedLoss], frozen: Collection[str]) -> frozenset[str]:
        """What these losses train. frozen: networks that are not trained at present."""
        return frozenset().union(*(self._trained[loss.name] for loss in due)).difference(frozen)

    def losses(
        self, due: Sequence[WeightedLoss], tensors: Method, calls: Calls, trained: frozenset[str]
    ) -> PhaseLosses:
        """Evaluates these losses. Changes no state of the phase."""
        tensors.begin_update()
        logged: dict[str, Tensor] = {}
        totals = []
        for loss in due:
            parts = loss.compute(self.update.side, tensors, calls, trained)
            if parts:
                total = torch.stack(list(parts.values())).sum()
                totals.append(total * loss.every if loss.every > 1 else total)
                logged[self._total_name(loss)] = total.detach()
                logged.update({self._part_name(loss, name): value.detach() for name, value in parts.items()})
        return PhaseLosses(torch.stack(totals).sum(), logged)

    def backward(self, losses: PhaseLosses, trained: frozenset[str], count: int) -> None:
        """Adds the gradients of the losses of one of `count` micro-batches, of what is trained only."""
        self.optimizer.schedule.add(losses.total.detach(), losses.parts)
        if not losses.total.requires_grad:
            return  # an equation that depends on a drawn integer may use no network this time
        mean = losses.total / count if count > 1 else losses.total
        scaler = self.optimizer.scaler
        scaled = mean if scaler is None else scaler.scale(mean)
        torch.autograd.backward(scaled, inputs=self._parameters_of(trained))

    def step(self, step: int, trained: frozenset[str], ranks: Ranks) -> Tensor | None:
        """One optimizer step on what is trained. Returns the norm of the gradient where it is clipped."""
        return self.optimizer.step(step, self._parameters_of(trained), self._clip, ranks)

    def _parameters_of(self, trained: frozenset[str]) -> list[nn.Parameter]:
        return [parameter for owner, each in self._parameters.items() if owner in trained for parameter in each]

    def _total_name(self, loss: WeightedLoss) -> str:
        """The name under which the sum of a loss's parts is logged."""
        if self._alone and loss.weighted(self.update.side):
            return loss.name
        return f"{loss.name}/{self.update.name}"

    def _part_name(self, loss: WeightedLoss, part: str) -> str:
        return f"{loss.name}/{part}" if self._alone else f"{loss.name}/{self.update.name}/{part}"


def _described(value: object) -> str:
    if not isinstance(value, Mapping):
        return type(value).__name__
    parts = {
        name: f"a tensor of shape {tuple(part.shape)}" if isinstance(part, Tensor) else type(part).__name__
        for name, part in value.items()
    }
    return f"{parts}"
