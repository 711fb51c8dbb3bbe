"""The promises of metrics."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, ambient, image, same, tensors_in
from translate_core.conformance.promise import Broken, built, promise
from translate_core.contracts.metric import Metric, SetMetric, concatenated

_SIZES = ((3, 64, 64), (1, 37, 51), (3, 51, 37))


class MetricSubject:
    """A metric, evaluated on images of several sizes: on pairs of them, or on sets."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block
        component = block.registration.component
        self.over_sets = isinstance(component, type) and issubclass(component, SetMetric)

    def build(self) -> Metric:
        """A new metric."""
        metric: Metric = self.block()
        return metric

    def build_over_sets(self) -> SetMetric[Any]:
        """A new metric over sets."""
        metric: SetMetric[Any] = self.block()
        return metric

    def values(self) -> list[float]:
        """The value of a new metric over all pairs, or that of a new metric for each pair of sets."""
        if self.over_sets:
            return [_distance(self.build_over_sets(), *sets) for sets in _sets()]
        metric = self.build()
        for output, reference in _pairs():
            metric.update(output, reference)
        return [metric.compute()]


def _pairs() -> list[tuple[Tensor, Tensor]]:
    return [(image(*shape, count=1, seed=1), image(*shape, count=1, seed=2)) for shape in _SIZES]


def _sets() -> list[tuple[list[Tensor], list[Tensor]]]:
    """Pairs of sets: colour, the second smaller; grey; of several sizes."""
    colour, grey, upright = (
        [image(*shape, count=1, seed=number) * (1 - 0.1 * number) for number in range(7)] for shape in _SIZES
    )
    return [
        (colour[:4], colour[4:]),
        (grey[:3], grey[3:]),
        ([*colour[:2], *upright[:2]], [*upright[2:4], *colour[2:4]]),
    ]


def _distance(metric: SetMetric[Any], outputs: Sequence[Tensor], references: Sequence[Tensor]) -> float:
    embedded = (concatenated([metric.embedding(item) for item in images]) for images in (outputs, references))
    return metric.distance(*embedded)


def _number(value: object, call: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise Broken(f"{call} returns {value!r}, not a finite number")


def _pairwise(subject: MetricSubject) -> bool:
    return not subject.over_sets


def _over_sets(subject: MetricSubject) -> bool:
    return subject.over_sets


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
    "returns a number for images of any size",
    "test images are evaluated one by one, each at its own size",
    first=True,
    applies=_pairwise,
)
def returns_a_number(subject: MetricSubject) -> None:
    """Grey and colour, square and not."""
    (value,) = subject.values()
    _number(value, "compute()")


@promise(
    "has an embedding that is equal to that of an equal metric, with a `repr` that names it",
    "metrics with equal embeddings share them, and those of references are kept in the run folder by the `repr`",
    first=True,
    applies=_over_sets,
)
def shares_its_embedding(subject: MetricSubject) -> None:
    """As a frozen dataclass with `__call__` has it."""
    one, other = (subject.build_over_sets().embedding for _ in range(2))
    try:
        hash(one)
    except TypeError as error:
        raise Broken(f"its `embedding` has no hash: {error}") from None
    if one != other or hash(one) != hash(other):
        raise Broken("the embeddings of two metrics with equal options are not equal")
    if repr(one) != repr(other) or re.search(r" at 0x[0-9a-f]+>", repr(one)):
        raise Broken(f"the `repr` of its embedding, {one!r}, is not the same in every process")


@promise(
    "returns a number for sets of images of any size",
    "the sets need not have equally many images, nor images of equal size",
    first=True,
    applies=_over_sets,
)
def returns_a_number_for_sets(subject: MetricSubject) -> None:
    """Grey and colour, square and not, of one size and of several."""
    for value in subject.values():
        _number(value, "distance()")


@promise("embeds each image by itself", "images are embedded one at a time or several at once", applies=_over_sets)
def embeds_each_image(subject: MetricSubject) -> None:
    """The rows of a batch are those of its images, one after the other."""
    embedding = subject.build_over_sets().embedding
    images = image(3, count=3)
    together, alone = (
        tensors_in(rows) for rows in (embedding(images), concatenated([embedding(item[None]) for item in images]))
    )
    if [rows.shape for rows in together] != [rows.shape for rows in alone] or not all(
        torch.allclose(x, y, rtol=1e-3, atol=1e-4) for x, y in zip(together, alone, strict=True)
    ):
        raise Broken("the rows of three images at once are not those of the same images one at a time")


@promise("does not depend on the order of the images", "the order of files has no meaning", applies=_over_sets)
def ignores_the_order(subject: MetricSubject) -> None:
    """Up to rounding."""
    for outputs, references in _sets():
        metric = subject.build_over_sets()
        one, other = (_distance(metric, outputs[::step], references[::step]) for step in (1, -1))
        if not math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-6):
            raise Broken(f"is {one}, and {other} for the same images in the opposite order")


@promise("is best for equal sets", "`higher_is_better` states which values are better", applies=_over_sets)
def prefers_equal_sets(subject: MetricSubject) -> None:
    """Compared with that of two sets that differ in brightness and structure."""
    metric = subject.build_over_sets()
    images = [image(3, count=1, seed=number) for number in range(4)]
    others = [torch.nn.functional.avg_pool2d(item, 5, 1, 2) * 0.5 + 0.4 for item in images]
    same_set, other_set = _distance(metric, images, images), _distance(metric, images, others)
    if same_set == other_set or (same_set > other_set) != metric.higher_is_better:
        raise Broken(f"is {same_set} for equal sets and {other_set} for different ones")


@promise("returns the same number again", "an evaluation can be repeated and does not change the next one")
def repeats_itself(subject: MetricSubject) -> None:
    """A new metric, for different states of the ambient generators."""
    values = []
    for seed in (1, 2):
        with ambient(seed):
            values.append(subject.values())
    for one, other in zip(*values, strict=True):
        if one != other:
            raise Broken(f"two evaluations of the same images return {one} and {other}")


@promise("does not modify images", "the next metric receives the same tensors")
def does_not_modify_images(subject: MetricSubject) -> None:
    """No in-place operation."""
    metric = subject.build()
    pairs = _pairs()
    for output, reference in pairs:
        metric.update(output, reference)
    if not same(pairs, _pairs()):
        raise Broken("overwrites its images")


@promise("does not modify embeddings", "the next direction compares with the same references", applies=_over_sets)
def does_not_modify_embeddings(subject: MetricSubject) -> None:
    """No in-place operation in `distance`."""
    metric = subject.build_over_sets()
    outputs, references = (concatenated([metric.embedding(item) for item in images]) for images in _sets()[0])
    before = [rows.clone() for rows in (*tensors_in(outputs), *tensors_in(references))]
    metric.distance(outputs, references)
    if not same([*tensors_in(outputs), *tensors_in(references)], before):
        raise Broken("overwrites its embeddings")


PROMISES = (
    builds,
    declares,
    returns_a_number,
    shares_its_embedding,
    returns_a_number_for_sets,
    embeds_each_image,
    ignores_the_order,
    prefers_equal_sets,
    repeats_itself,
    does_not_modify_images,
    does_not_modify_embeddings,
)
