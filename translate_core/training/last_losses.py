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
        """Restores the values."""
        self.values = dict(state_dict)
