"""Linear warmup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translate_core import Factory, Length, Schedule, UserError
from translate_plugins.schedules.constant import Constant


class Warmup(Schedule):
    """Linear warmup: the learning rate rises from nearly zero, on top of another schedule.

    Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, 2017, arXiv 1706.02677, section 2.2,
    gradual warmup. In the first `over` steps, n of them, the factor of the other schedule is multiplied by 1/n, 2/n …
    1. The other schedule counts from the beginning of the run, warmup included: a linear decay ends at the same step
    as without a warmup.

    Raises UserError when `over` is zero.

    Args:
        length: steps of the whole run.
        epoch: steps in an epoch.
        over: length of the warmup.
        then: the other schedule.
    """

    def __init__(self, length: int, epoch: int, *, over: Length, then: Factory[Schedule] = Constant) -> None:
        if over.count == 0:
            raise UserError(f"over must be at least 1, not '{over}'")
        self._over = over.steps(epoch)
        self._then = then(length=length, epoch=epoch)

    def factor(self, step: int) -> float:
        """step: 0 for the first optimizer step. Returns the other schedule's factor, reduced during the warmup."""
        return min((step + 1) / self._over, 1.0) * self._then.factor(step)

    def after_epoch(self, loss: float, parts: Mapping[str, float]) -> None:
        """Passes the losses to the other schedule."""
        self._then.after_epoch(loss, parts)

    def state_dict(self) -> dict[str, Any]:
        """The other schedule's state."""
        return self._then.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the other schedule's state."""
        self._then.load_state_dict(state_dict)
