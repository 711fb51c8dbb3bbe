"""The contract of learning-rate schedules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Schedule(ABC):
    """A factor on every learning rate of one optimizer: a function of the step and, where it has any, of its state."""

    @abstractmethod
    def factor(self, step: int) -> float:
        """step: 0 for the first optimizer step. Returns what the learning rate of the recipe is multiplied by."""

    def after_epoch(self, loss: float) -> None:  # noqa: B027 - most schedules remember nothing
        """Called after each epoch with the mean of what the side minimised in it, over all ranks.

        Only a schedule that overrides this has its losses added up. What it remembers goes through `state_dict`.
        """

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: numbers and tensors."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:  # noqa: B027
        """Takes back what `state_dict` returned."""
