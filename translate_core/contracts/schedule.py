"""The contract of learning-rate schedules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class Schedule(ABC):
    """Base class of learning-rate schedules: a factor on the learning rates of one optimizer.

    The factor depends on the step and, if the schedule has state, on its state.
    """

    @abstractmethod
    def factor(self, step: int) -> float:
        """The factor on the learning rate of the recipe. step: 0 for the first optimizer step."""

    def after_epoch(self, loss: float, parts: Mapping[str, float]) -> None:  # noqa: B027 - most have no state
        """Called after each epoch with means over the epoch and over all ranks.

        loss: of the total loss of the side. parts: of each of its logged losses, weighted, by name, such as `cycle` and
        `cycle/rec_A`; a loss that was not evaluated in this epoch is missing.

        The engine sums losses only for schedules that override this. State is saved by `state_dict`.
        """

    def state_dict(self) -> dict[str, Any]:
        """The state that a checkpoint keeps: numbers and tensors."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:  # noqa: B027
        """Restores what `state_dict` returned."""
