"""A phase: the update of one side as it runs."""

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
    """A loss under its name in the recipe. weight: multiplies the parts of its function for the generators."""

    name: str
    loss: Loss
    weight: float | Ramp

    def compute(self, side: str, tensors: Method, calls: Calls) -> dict[str, Tensor]:
        """Its weighted parts for one side, by the name they are logged under; empty if it has none for that side."""
        with calls.by_loss_of(side):
            parts = self.loss.generator_loss(tensors) if side == GENERATORS else self.loss.discriminator_loss(tensors)
        if not isinstance(parts, Mapping) or not all(
            isinstance(value, Tensor) and value.dim() == 0 for value in parts.values()
        ):
            raise UserError(f"must return named scalars, such as {{'rec_A': tensor(0.5)}}, not {_described(parts)}")
        weight = self._weight_at(tensors.step) if side == GENERATORS else 1.0
        return {f"{self.name}/{part}": value * weight for part, value in parts.items()}

    def total_name(self, side: str) -> str:
        """The name under which the sum of its parts is logged."""
        return self.name if side == GENERATORS else f"{self.name}/{side}"

    def _weight_at(self, step: int) -> float:
        return self.weight.at(step) if isinstance(self.weight, Ramp) else self.weight


class WatchedSchedule:
    """A schedule, with the sum of the side's losses over the current epoch if the schedule uses it.

    The sum is read once an epoch. uses_losses: whether the schedule overrides `after_epoch`; then it has state, which
    checkpoints keep.
    """

    def __init__(self, schedule: Schedule, epoch: int, ranks: Ranks) -> None:
        self._schedule = schedule
        self._epoch = epoch
        self._ranks = ranks
        self.uses_losses = type(schedule).after_epoch is not Schedule.after_epoch
        self._sum: Tensor | None = None

    def factor(self, step: int) -> float:
        """The factor of the schedule at a step."""
        return self._schedule.factor(step)

    def add(self, loss: Tensor) -> None:
        """Adds the detached total loss of one micro-batch."""
        if self.uses_losses:
            self._sum = loss if self._sum is None else self._sum + loss

    def after_update(self, step: int, count: int) -> None:
        """Called after optimizer step `step`, counted from 0, of `count` micro-batches."""
        if self.uses_losses and (step + 1) % self._epoch == 0:
            assert self._sum is not None
            self._schedule.after_epoch(float(self._ranks.mean(self._sum)) / (count * self._epoch))
            self._sum = None

    def state_dict(self) -> dict[str, Any]:
        """The state of the schedule and the sum, averaged over ranks so that each rank can resume from it."""
        return {
            "schedule": self._schedule.state_dict(),
            "sum": None if self._sum is None else self._ranks.mean(self._sum),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores both."""
        self._schedule.load_state_dict(state_dict["schedule"])
        self._sum = state_dict["sum"]


@dataclass(frozen=True)
class PhaseLosses:
    """The losses of one phase on one micro-batch.

    total: the scalar to minimise, with its graph. parts: each weighted loss and its parts, detached, by logged name.
    """

    total: Tensor
    parts: Mapping[str, Tensor]


class Phase:
    """The update of one side: its losses, parameters, optimizer and schedule."""

    def __init__(
        self,
        side: str,
        losses: Sequence[WeightedLoss],
        parameters: list[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        schedule: WatchedSchedule,
        scaler: GradScaler | None,
    ) -> None:
        self.side = side
        self.parameters = parameters
        self.optimizer = optimizer
        self.schedule = schedule
        self.scaler = scaler
        self._losses = tuple(losses)
        self._rates = [group["lr"] for group in optimizer.param_groups]

    def losses(self, tensors: Method, calls: Calls) -> PhaseLosses:
        """Evaluates every loss of this side. Changes no state."""
        logged: dict[str, Tensor] = {}
        totals = []
        for loss in self._losses:
            parts = loss.compute(self.side, tensors, calls)
            if parts:
                total = torch.stack(list(parts.values())).sum()
                totals.append(total)
                logged[loss.total_name(self.side)] = total.detach()
                logged.update({name: value.detach() for name, value in parts.items()})
        return PhaseLosses(torch.stack(totals).sum(), logged)

    def backward(self, total: Tensor, count: int) -> None:
        """Adds the gradients of the total loss of one of `count` micro-batches, of this side's parameters only."""
        self.schedule.add(total.detach())
        mean = total / count if count > 1 else total
        scaled = mean if self.scaler is None else self.scaler.scale(mean)
        torch.autograd.backward(scaled, inputs=self.parameters)

    def update(self, step: int, count: int, ranks: Ranks) -> None:
        """One optimizer step with the gradients of `count` micro-batches, at the learning rate of this step."""
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
        self.schedule.after_update(step, count)

    def rate(self) -> float:
        """The learning rate of the last update."""
        return float(self.optimizer.param_groups[0]["lr"])


def _described(value: object) -> str:
    if not isinstance(value, Mapping):
        return type(value).__name__
    parts = {
        name: f"a tensor of shape {tuple(part.shape)}" if isinstance(part, Tensor) else type(part).__name__
        for name, part in value.items()
    }
    return f"{parts}"
