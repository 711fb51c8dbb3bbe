"""Learning-rate schedules during training, with the losses that some of them use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from translate_core.contracts.schedule import Schedule
from translate_core.errors import UserError, written_in
from translate_core.runtime.ranks import Ranks
from translate_core.training.last_losses import checked_values


class WatchedSchedule:
    """A schedule, with the sums of the side's losses over the current epoch if the schedule uses them.

    The sums are read once an epoch. uses_losses: whether the schedule overrides `after_epoch`; then it has state, which
    checkpoints keep.
    """

    def __init__(self, schedule: Schedule, epoch: int, ranks: Ranks) -> None:
        self._schedule = schedule
        self._epoch = epoch
        self._ranks = ranks
        self.uses_losses = type(schedule).after_epoch is not Schedule.after_epoch
        self._sum: Tensor | None = None
        self._parts: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def factor(self, step: int) -> float:
        """The factor of the schedule at a step. Raises UserError for anything but a finite number of at least 0."""
        factor = self._schedule.factor(step)
        if isinstance(factor, int | float) and 0 <= factor < math.inf:
            return factor
        raise UserError(
            f"schedule {written_in(self._schedule)} returns {factor!r} for step {step}: "
            f"`factor` must return a finite number of at least 0"
        )

    def add(self, total: Tensor, parts: Mapping[str, Tensor]) -> None:
        """Adds the detached losses of one update on one micro-batch: their sum, and each under its logged name."""
        if not self.uses_losses:
            return
        self._sum = total if self._sum is None else self._sum + total
        for name, value in parts.items():
            self._parts[name] = self._parts[name] + value if name in self._parts else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def end_step(self, step: int, count: int) -> None:
        """Called at the end of step `step`, counted from 0, of `count` micro-batches."""
        if not self.uses_losses or (step + 1) % self._epoch != 0 or self._sum is None:
            return
        names = sorted(self._parts)
        means = [self._sum / (count * self._epoch), *(self._parts[name] / self._counts[name] for name in names)]
        total, *parts = self._ranks.mean(torch.stack(means)).tolist()
        self._schedule.after_epoch(total, dict(zip(names, parts, strict=True)))
        self._sum, self._parts, self._counts = None, {}, {}

    def state_dict(self) -> dict[str, Any]:
        """The state of the schedule and the sums, averaged over ranks so that each rank can resume from them."""
        mean = self._ranks.mean
        state: object = self._schedule.state_dict()
        if not isinstance(state, dict):
            raise UserError(
                f"`state_dict` of schedule {written_in(self._schedule)} must return a dict, not {type(state).__name__}"
            )
        return {
            "schedule": state,
            "sum": None if self._sum is None else mean(self._sum),
            "parts": {name: mean(self._parts[name]) for name in sorted(self._parts)},
            "counts": dict(self._counts),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores both. Raises ValueError for sums that the next step could not add to."""
        total, counts = state_dict["sum"], state_dict["counts"]
        self._sum = None if total is None else checked_values({"sum": total})["sum"]
        self._parts = checked_values(state_dict["parts"])
        if set(counts) != set(self._parts) or not all(type(count) is int and count > 0 for count in counts.values()):
            raise ValueError("it must have a positive count for each sum")
        self._counts = dict(counts)
        self._schedule.load_state_dict(state_dict["schedule"])
