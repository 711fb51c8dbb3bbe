"""States that were read from a checkpoint: one that the next step could not use is refused when it is restored."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from translate_core import Schedule
from translate_core.runtime.ranks import Ranks
from translate_core.training.last_losses import LastLosses
from translate_core.training.schedule import WatchedSchedule


class Halves(Schedule):
    """Halves the rate after each epoch."""

    def __init__(self) -> None:
        self.halvings = 0

    def factor(self, step: int) -> float:
        return 0.5**self.halvings

    def after_epoch(self, loss: float, parts: Any) -> None:
        self.halvings += 1


ONE = torch.tensor(1.0)
STATE: dict[str, Any] = {"schedule": {}, "sum": ONE, "parts": {"cycle": ONE}, "counts": {"cycle": 1}}


@pytest.mark.parametrize(
    "change",
    [
        {"sum": [1.0]},
        {"sum": torch.ones(2)},
        {"parts": {"cycle": [1.0]}},
        {"parts": {1: ONE}, "counts": {1: 1}},
        {"parts": [ONE]},
        {"counts": {}},
        {"counts": {"cycle": "1"}},
        {"counts": {"cycle": 0}},
    ],
    ids=str,
)
def test_sums_of_a_schedule(change: dict[str, Any]) -> None:
    schedule = WatchedSchedule(Halves(), 10, Ranks())
    schedule.load_state_dict(STATE)
    with pytest.raises(ValueError, match="it must have"):
        schedule.load_state_dict(STATE | change)


@pytest.mark.parametrize(
    "values", [[1.0], {"cycle": 1.0}, {"cycle": torch.ones(2)}, {"cycle": torch.tensor(1)}], ids=str
)
def test_last_losses(values: Any) -> None:
    with pytest.raises(ValueError, match="it must have 0-d tensors of floating point by name"):
        LastLosses().load_state_dict(values)
