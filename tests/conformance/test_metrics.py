"""Every promise of metrics: a component that breaks it is reported."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conformance.broken import BrokenComponents, Case, beside_the_built_ins
from translate_core import Metric, SetMetric
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


@dataclass(frozen=True)
class Moments:
    """Mean and spread of the values of each image."""

    scale: float = 1.0

    def __call__(self, images: Tensor) -> Tensor:
        values = images.flatten(1) * self.scale
        return torch.stack([values.mean(1), values.std(1)], dim=1)


class GoodSetMetric(SetMetric[Tensor]):
    """Distance of the mean moments."""

    higher_is_better = False
    protocol = "distance of mean moments"
    embedding: Callable[[Tensor], Tensor] = Moments()

    def distance(self, outputs: Tensor, references: Tensor) -> float:
        return float((outputs.mean(0) - references.mean(0)).norm())


@BROKEN.breaks("metric", "has an embedding", "the embeddings of two metrics with equal options are not equal")
class MetricWithItsOwnEmbedding(GoodSetMetric):
    def __init__(self) -> None:
        moments = Moments()
        self.embedding = lambda images: moments(images)


@BROKEN.breaks("metric", "has an embedding", "its `embedding` has no hash: unhashable type")
class MetricWithoutAHash(GoodSetMetric):
    @dataclass
    class Changeable:
        def __call__(self, images: Tensor) -> Tensor:
            return Moments()(images)

    embedding = Changeable()


@BROKEN.breaks("metric", "has an embedding", "the `repr` of its embedding, <.* at 0x.*>, is not the same in every proc")
class MetricWithoutAName(GoodSetMetric):
    class Nameless:
        def __call__(self, images: Tensor) -> Tensor:
            return Moments()(images)

    embedding = Nameless()


@BROKEN.breaks("metric", "returns a number for sets", r"distance\(\) returns tensor\(.*\), not a finite number")
class SetMetricOfTensors(GoodSetMetric):
    def distance(self, outputs: Tensor, references: Tensor) -> Any:
        return (outputs.mean(0) - references.mean(0)).norm()


@BROKEN.breaks("metric", "returns a number for sets", "must match the size")
class SetMetricOfEqualSizes(GoodSetMetric):
    def distance(self, outputs: Tensor, references: Tensor) -> float:
        return float((outputs - references).norm())


@BROKEN.breaks("metric", "embeds each image by itself", "the rows of three images at once are not those of the same")
class MetricOfBatches(GoodSetMetric):
    @dataclass(frozen=True)
    class Centred(Moments):
        def __call__(self, images: Tensor) -> Tensor:
            rows = super().__call__(images)
            return rows - 0.5 * rows.mean(0)

    embedding = Centred()


@BROKEN.breaks("metric", "does not depend on the order", "for the same images in the opposite order")
class MetricOfTheFirst(GoodSetMetric):
    def distance(self, outputs: Tensor, references: Tensor) -> float:
        return float((outputs[0] - references[0]).norm())


@BROKEN.breaks("metric", "is best for equal sets", r"is \S+ for equal sets and \S+ for different ones")
class MetricUpsideDown(GoodSetMetric):
    higher_is_better = True


@BROKEN.breaks("metric", "does not modify embeddings", "overwrites its embeddings")
class SetMetricInPlace(GoodSetMetric):
    def distance(self, outputs: Tensor, references: Tensor) -> float:
        return float((outputs.mean(0) - references.sub_(0.5).mean(0) - 0.5).norm())


@pytest.mark.parametrize("case", BROKEN.cases, ids=lambda case: case.component.__name__)
def test_a_broken_promise_is_reported(case: Case) -> None:
    case.check()


def test_every_promise_is_broken_by_a_component() -> None:
    BROKEN.check_complete()


@pytest.mark.parametrize("component", [GoodMetric, GoodSetMetric])
def test_the_base_of_the_broken_components_keeps_every_promise(component: type[Metric]) -> None:
    results = check_component(*beside_the_built_ins("metric", component))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results
