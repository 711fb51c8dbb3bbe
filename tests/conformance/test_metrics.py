"""Every promise of metrics: a component that breaks it is reported."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conformance.broken import BrokenComponents, Case, beside_the_built_ins
from translate_core import (
    Metric,
)
from translate_core.conformance.check import check_component
from translate_core.conformance.promise import Status

BROKEN = BrokenComponents("metric")


class GoodMetric(Metric):
    """Mean difference."""

    higher_is_better = False
    protocol = "mean absolute difference"

    def __init__(self) -> None:
        self.values: list[float] = []

    def update(self, output: Tensor, reference: Tensor) -> None:
        self.values.append(float((output - reference).abs().mean()))

    def compute(self) -> float:
        return sum(self.values) / len(self.values)


@BROKEN.breaks("metric", "builds", "cannot be built: no table")
class MetricThatDoesNotBuild(GoodMetric):
    def __init__(self) -> None:
        raise ValueError("no table")


@BROKEN.breaks("metric", "declares its direction", "`protocol` must describe the computation in one line")
class MetricWithoutProtocol(GoodMetric):
    protocol = ""


@BROKEN.breaks("metric", "returns a number", r"compute\(\) returns tensor\(.*\), not a finite number")
class MetricOfTensors(GoodMetric):
    def compute(self) -> Any:
        return torch.tensor(self.values).mean()


@BROKEN.breaks("metric", "returns the same number", r"two evaluations of the same images return \S+ and \S+$")
class MetricWithDice(GoodMetric):
    def compute(self) -> float:
        return super().compute() + random.random()


@BROKEN.breaks("metric", "does not modify images", "overwrites its images")
class MetricInPlace(GoodMetric):
    def update(self, output: Tensor, reference: Tensor) -> None:
        super().update(output.clamp_(0, 1), reference)


@pytest.mark.parametrize("case", BROKEN.cases, ids=lambda case: case.component.__name__)
def test_a_broken_promise_is_reported(case: Case) -> None:
    case.check()


def test_every_promise_is_broken_by_a_component() -> None:
    BROKEN.check_complete()


def test_the_base_of_the_broken_components_keeps_every_promise() -> None:
    results = check_component(*beside_the_built_ins("metric", GoodMetric))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results
