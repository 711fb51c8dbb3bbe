"""The last value of every logged loss: not each is evaluated in every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


class LastLosses:
    """The last values, 0-d tensors on the device, by logged name. They are part of a checkpoint."""

    def __init__(self) -> None:
        self.values: dict[str, Tensor] = {}

    def update(self, losses: Mapping[str, Tensor]) -> None:
        """Adds the values of a step."""
        self.values.update(losses)

    def state_dict(self) -> dict[str, Any]:
        """The values by name."""
        return dict(self.values)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the values. Raises ValueError for anything else."""
        self.values = checked_values(state_dict)


def checked_values(values: object) -> dict[str, Tensor]:
    """Values that were read from a checkpoint. Raises ValueError for anything but 0-d tensors by name."""
    if isinstance(values, Mapping) and all(isinstance(name, str) and _is_value(values[name]) for name in values):
        return dict(values)
    raise ValueError("it must have 0-d tensors of floating point by name")


def _is_value(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() == 0 and value.is_floating_point()
