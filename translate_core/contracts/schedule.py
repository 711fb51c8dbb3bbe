"""The contract of learning-rate schedules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Schedule(ABC):
    """Base class of learning-rate schedules: a factor on the learning rates of one optimizer.

    The factor depends on the step and, if the schedule has state, on its state.
    """

    @abstractmethod
    def factor(self, step: int) -> float:
        """The factor on the learning rate of the recipe. step: 0 for the first optimizer step."""

    def after_epoch(self, loss: float) -> None:  # noqa: B027 - most schedules have no state
        """Called after each epoch. loss: the mean of the side's total loss over the epoch and over all ranks.

        The engine sums losses only for schedules that override this. State is saved by `state_dict`.
        """

    def state_dict(self) -> dict[str, Any]:
        """The state that a checkpoint keeps: numbers and tensors."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:  # noqa: B027
        """Restores what `state_dict` returned."""
