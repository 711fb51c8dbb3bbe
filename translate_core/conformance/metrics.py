"""The promises of metrics."""

from __future__ import annotations

import math

from torch import Tensor

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, ambient, image, same
from translate_core.conformance.promise import Broken, built, promise
from translate_core.contracts.metric import Metric

_SIZES = ((3, 64, 64), (1, 37, 51), (3, 51, 37))


class MetricSubject:
    """A metric, evaluated on pairs of images of several sizes."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block

    def build(self) -> Metric:
        """A new metric."""
        metric: Metric = self.block()
        return metric

    def value(self) -> float:
        """The value of a new metric over all pairs."""
        metric = self.build()
        for output, reference in _pairs():
            metric.update(output, reference)
        return metric.compute()


def _pairs() -> list[tuple[Tensor, Tensor]]:
    return [(image(*shape, count=1, seed=1), image(*shape, count=1, seed=2)) for shape in _SIZES]


@promise("builds", "every evaluation builds a new one for each pair of tensors", first=True)
def builds(subject: MetricSubject) -> None:
    """From its options alone."""
    built(subject.build)


@promise("declares its direction and its protocol", "tables and every stored result contain both")
def declares(subject: MetricSubject) -> None:
    """`higher_is_better` and `protocol`."""
    metric = subject.build()
    if not isinstance(getattr(metric, "higher_is_better", None), bool):
        raise Broken("`higher_is_better` must be True or False")
    if not isinstance(getattr(metric, "protocol", None), str) or not metric.protocol.strip():
        raise Broken("`protocol` must describe the computation in one line")


@promise(
    "returns a number for images of any size", "test images are evaluated one by one, each at its own size", first=True
)
def returns_a_number(subject: MetricSubject) -> None:
    """Grey and colour, square and not."""
    value = subject.value()
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise Broken(f"compute() returns {value!r}, not a finite number")


@promise("returns the same number again", "an evaluation can be repeated and does not change the next one")
def repeats_itself(subject: MetricSubject) -> None:
    """A new metric, for different states of the ambient generators."""
    values = []
    for seed in (1, 2):
        with ambient(seed):
            values.append(subject.value())
    if values[0] != values[1]:
        raise Broken(f"two evaluations of the same images return {values[0]} and {values[1]}")


@promise("does not modify images", "the next metric receives the same tensors")
def does_not_modify_images(subject: MetricSubject) -> None:
    """No in-place operation."""
    metric = subject.build()
    pairs = _pairs()
    for output, reference in pairs:
        metric.update(output, reference)
    if not same(pairs, _pairs()):
        raise Broken("overwrites its images")


PROMISES = (builds, declares, returns_a_number, repeats_itself, does_not_modify_images)
