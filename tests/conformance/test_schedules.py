"""Every promise of schedules: a component that breaks it is reported."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.conformance.broken import BrokenComponents, Case, beside_the_built_ins
from translate_core import (
    Schedule,
)
from translate_core.conformance.check import check_component
from translate_core.conformance.promise import Status

BROKEN = BrokenComponents("schedule")


class GoodSchedule(Schedule):
    """Stays."""

    def __init__(self, length: int, epoch: int) -> None:
        self.length = length

    def factor(self, step: int) -> float:
        return 1.0


@BROKEN.breaks("schedule", "builds", "cannot be built: ZeroDivisionError: ")
class ScheduleOfLongRuns(GoodSchedule):
    def __init__(self, length: int, epoch: int) -> None:
        super().__init__(length, epoch)
        self.slope = 1 / (length - 1)


@BROKEN.breaks("schedule", "returns a finite factor", r"factor\(6\) of a run of 10 steps is -0\.2")
class ScheduleBelowZero(GoodSchedule):
    def factor(self, step: int) -> float:
        return round(1 - 2 * step / 10, 3) if self.length == 10 else 1.0


@BROKEN.breaks(
    "schedule",
    "depends on the step",
    "the factor of a step depends on the steps that were called before",
    "is restored",
)
class ScheduleThatCounts(GoodSchedule):
    count = 0

    def factor(self, step: int) -> float:
        self.count += 1
        return 1 / self.count


@BROKEN.breaks("schedule", "is restored by its state_dict", "its factors differ after its state was saved and loaded")
class ScheduleThatForgets(GoodSchedule):
    scale = 1.0

    def factor(self, step: int) -> float:
        return self.scale

    def after_epoch(self, loss: float, parts: Mapping[str, float]) -> None:
        self.scale /= 2


@BROKEN.breaks("schedule", "accepts any losses", r"after_epoch\(1\.0, \{\}\) failed: KeyError: 'gan'")
class ScheduleOfOneLoss(GoodSchedule):
    def after_epoch(self, loss: float, parts: Mapping[str, float]) -> None:
        self.last = parts.get("adversarial", 0.0) if parts else parts["gan"]


@pytest.mark.parametrize("case", BROKEN.cases, ids=lambda case: case.component.__name__)
def test_a_broken_promise_is_reported(case: Case) -> None:
    case.check()


def test_every_promise_is_broken_by_a_component() -> None:
    BROKEN.check_complete()


def test_the_base_of_the_broken_components_keeps_every_promise() -> None:
    results = check_component(*beside_the_built_ins("schedule", GoodSchedule))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results
