"""Every promise of pools: a component that breaks it is reported."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from tests.conformance.broken import BrokenComponents, Case, beside_the_built_ins
from translate_core import (
    Pool,
)
from translate_core.conformance.check import check_component
from translate_core.conformance.promise import Status

BROKEN = BrokenComponents("pool")


class GoodPool(Pool):
    """Keeps the last images."""

    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return images.clone()


@BROKEN.breaks("pool", "builds", "cannot be built: TypeError: a wrong call")
class PoolThatDoesNotBuild(GoodPool):
    def __init__(self) -> None:
        super().__init__()
        raise TypeError("a wrong call")


@BROKEN.breaks(
    "pool", "returns images of the same number", "for 2×3×8×8, torch.float32, it returns 1×3×8×8, torch.float32"
)
class PoolOfOne(GoodPool):
    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return images[:1]


@BROKEN.breaks(
    "pool",
    "draws from its generator",
    "its results depend on torch's, numpy's or Python's ambient generator",
    "is restored",
)
class PoolWithDice(GoodPool):
    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return images if random.random() < 0.5 else images.flip(-1)


@BROKEN.breaks("pool", "does not modify its images", "overwrites its images")
class PoolInPlace(GoodPool):
    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return images.clamp_(-0.5, 0.5)


@BROKEN.breaks("pool", "keeps the conditions", "the conditions that it returns are not those of the images that it")
class PoolOfOldImages(GoodPool):
    """Returns the images of the query before, with the conditions of this one."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("before", torch.zeros(2, 3, 8, 8))

    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        before, self.before = self.before.to(images.device), images.clone()
        return before

    def query_with(
        self, images: Tensor, conditions: tuple[Tensor, ...], rng: torch.Generator
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        return self.query(images, rng), conditions


@BROKEN.breaks("pool", "is restored by its state_dict", "its results differ after its state was saved and loaded")
class PoolWithoutState(GoodPool):
    def __init__(self) -> None:
        super().__init__()
        self.before: Tensor | None = None

    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        before, self.before = self.before, images.clone()
        return images if before is None else before


@pytest.mark.parametrize("case", BROKEN.cases, ids=lambda case: case.component.__name__)
def test_a_broken_promise_is_reported(case: Case) -> None:
    case.check()


def test_every_promise_is_broken_by_a_component() -> None:
    BROKEN.check_complete()


def test_the_base_of_the_broken_components_keeps_every_promise() -> None:
    class WithConditions(GoodPool):
        def query_with(
            self, images: Tensor, conditions: tuple[Tensor, ...], rng: torch.Generator
        ) -> tuple[Tensor, tuple[Tensor, ...]]:
            return images.clone(), conditions

    results = check_component(*beside_the_built_ins("pool", WithConditions))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results


def test_conditions_are_not_tested_with_a_pool_that_refuses_them() -> None:
    results = check_component(*beside_the_built_ins("pool", GoodPool))
    (outcome,) = [outcome for outcome in results.outcomes if outcome.status is not Status.KEPT]
    assert outcome.status is Status.NOT_TESTED
    assert outcome.detail.startswith("GoodPool keeps no conditions, and this discriminator is conditioned")
