"""A phase: one side's update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from translate_core.components.weight import Ramp
from translate_core.contracts.loss import Loss
from translate_core.contracts.method import Method
from translate_core.contracts.network import Calls
from translate_core.contracts.role import GENERATORS
from translate_core.contracts.schedule import Schedule
from translate_core.errors import UserError
from translate_core.runtime.ranks import Ranks


@dataclass(frozen=True)
class WeightedLoss:
    """A loss under its name in the recipe. weight: scales its generator side."""

    name: str
    loss: Loss
    weight: float | Ramp

    def compute(self, side: str, tensors: Method, calls: Calls) -> dict[str, Tensor]:
        """Its weighted parts for one side, by the name they are logged under; none where it does not play for it."""
        with calls.by_loss_of(side):
            parts = self.loss.generator_loss(tensors) if side == GENERATORS else self.loss.discriminator_loss(tensors)
        if not isinstance(parts, Mapping) or not all(
            isinstance(value, Tensor) and value.dim() == 0 for value in parts.values()
        ):
            raise UserError(f"must return named scalars, such as {{'rec_A': tensor(0.5)}}, not {_kind_of(parts)}")
        if side != GENERATORS:
            weight = 1.0
        elif isinstance(self.weight, Ramp):
            weight = self.weight.at(tensors.step)
        else:
            weight = self.weight
        return {f"{self.name}/{part}": value * weight for part, value in parts.items()}

    def total_name(self, side: str) -> str:
        """What the sum of its parts is logged as."""
        return self.name if side == GENERATORS else f"{self.name}/{side}"


class WatchedSchedule:
    """A schedule with the losses of the epoch under way, which are read once an epoch, and only if it asks for them.

    asks: whether it does, and so has state that a checkpoint must keep.
    """

    def __init__(self, schedule: Schedule, epoch: int, ranks: Ranks) -> None:
        self._schedule = schedule
        self._epoch = epoch
        self._ranks = ranks
        self.asks = type(schedule).after_epoch is not Schedule.after_epoch
        self._sum: Tensor | None = None

    def factor(self, step: int) -> float:
        """The schedule's."""
        return self._schedule.factor(step)

    def add(self, loss: Tensor) -> None:
        """What a micro-batch minimises, detached."""
        if self.asks:
            self._sum = loss if self._sum is None else self._sum + loss

    def after_update(self, step: int, count: int) -> None:
        """After optimizer step `step`, counted from 0, of `count` micro-batches."""
        if self.asks and (step + 1) % self._epoch == 0:
            assert self._sum is not None
            self._schedule.after_epoch(float(self._ranks.mean(self._sum)) / (count * self._epoch))
            self._sum = None

    def state_dict(self) -> dict[str, Any]:
        """The schedule's state and the sum, which every rank may go on from."""
        return {
            "schedule": self._schedule.state_dict(),
            "sum": None if self._sum is None else self._ranks.mean(self._sum),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them back."""
        self._schedule.load_state_dict(state_dict["schedule"])
        self._sum = state_dict["sum"]


class Phase:
    """One side of the game with everything that its update takes."""

    def __init__(
        self,
        side: str,
        terms: Sequence[WeightedLoss],
        parameters: list[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        schedule: WatchedSchedule,
        scaler: GradScaler | None,
    ) -> None:
        self.side = side
        self.terms = tuple(terms)
        self.parameters = parameters
        self.optimizer = optimizer
        self.schedule = schedule
        self.scaler = scaler
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._micro_batches = 0

    def losses(self, tensors: Method, calls: Calls) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to minimise, and every weighted loss by the name it is logged under, detached."""
        logged: dict[str, Tensor] = {}
        totals = []
        for term in self.terms:
            parts = term.compute(self.side, tensors, calls)
            if parts:
                total = torch.stack(list(parts.values())).sum()
                totals.append(total)
                logged[term.total_name(self.side)] = total.detach()
                logged.update({name: value.detach() for name, value in parts.items()})
        total = torch.stack(totals).sum()
        self._micro_batches += 1
        self.schedule.add(total.detach())
        return total, logged

    def backward(self, total: Tensor) -> None:
        """Adds the gradients of this side's parameters, and of no others."""
        scaled = total if self.scaler is None else self.scaler.scale(total)
        torch.autograd.backward(scaled, inputs=self.parameters)

    def update(self, step: int, ranks: Ranks) -> None:
        """One optimizer step with the gradients that were gathered, at the rate of this step."""
        factor = self.schedule.factor(step)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        ranks.average(self.parameters)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.after_update(step, self._micro_batches)
        self._micro_batches = 0

    def rate(self) -> float:
        """The learning rate of the last update."""
        return float(self.optimizer.param_groups[0]["lr"])


def _kind_of(value: object) -> str:
    if isinstance(value, Mapping):
        wrong = {name: type(part).__name__ if not isinstance(part, Tensor) else f"a tensor of shape {tuple(part.shape)}"
                 for name, part in value.items()}  # fmt: skip
        return f"{wrong}"
    return type(value).__name__
