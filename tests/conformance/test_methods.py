"""Every promise of methods: a component that breaks it is reported."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conformance.broken import BrokenComponents, Case, beside_the_built_ins
from translate_core import (
    GENERATORS,
    Choice,
    Direction,
    Method,
    discriminator,
    generator,
    tensor,
)
from translate_core.conformance.check import check_component
from translate_core.conformance.promise import Status

BROKEN = BrokenComponents("method")


class GoodMethod(Method):
    """A generator alone."""

    roles = (generator("G", "A", "B"),)
    order = (GENERATORS,)
    directions = {"A-B": Direction("A", "B")}

    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.real_A)


@BROKEN.breaks("method", "builds", "cannot be built: ZeroDivisionError")
class MethodThatDoesNotBuild(GoodMethod):
    def __init__(self) -> None:
        1 / 0  # noqa: B018


@BROKEN.breaks("method", "computes every tensor", "tensor 'bright' reads the value of a tensor")
class MethodThatReads(GoodMethod):
    @tensor
    def bright(self) -> Tensor:
        return self.fake_B if self.fake_B.mean() > 0 else self.real_A


@BROKEN.breaks("method", "has adversarial pairs", "D cannot be called with 'pair': RuntimeError: ")
class MethodThatJudgesPairs(GoodMethod):
    roles = (generator("G", "A", "B"), discriminator("D", "B"))
    order = (GENERATORS, "discriminators")
    adversarial_pairs = {"D": ("real_B", "pair")}

    @tensor
    def pair(self) -> Tensor:
        return torch.cat((self.real_A, self.fake_B), dim=1)


@BROKEN.breaks("method", "uses every network", "no tensor and no adversarial pair uses E")
class MethodWithASpare(GoodMethod):
    roles = (generator("G", "A", "B"), generator("E", "B", "A"))


@BROKEN.breaks(
    "method",
    "translates in each",
    "direction A-B: 'fake_B' cannot be computed: tensor 'real_B' was not given",
)
class MethodThatNeedsBoth(GoodMethod):
    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.real_A) + self.real_B.mean()


@BROKEN.breaks(
    "method",
    "translates in each",
    "direction A-B: 'fake_B' is 1×3×32×32, not an image of the size of its input",
)
class MethodThatHalves(GoodMethod):
    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.real_A)[..., ::2, ::2]


class Styled(GoodMethod):
    directions = {"A-B": Direction("A", "B", choices=(Choice("style", "style_B", "B", "style_real_B"),))}

    @tensor
    def style_B(self) -> Tensor:
        return self.normal((len(self.real_A), 8), self.real_A, "style")

    @tensor
    def style_real_B(self) -> Tensor:
        return self.real_B.mean((2, 3))

    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.real_A) + self.style_B.mean()


@BROKEN.breaks("method", "accepts its choices", "the drawn 'style_B' is 1×8, and 'style_real_B' is 1×3")
class MethodOfTwoStyles(Styled):
    pass


@BROKEN.breaks(
    "method", "draws from the batch alone", "the tensor 'noise' is drawn by torch.rand_like without a generator"
)
class MethodWithDice(GoodMethod):
    @tensor
    def noise(self) -> Tensor:
        return torch.rand_like(self.real_A)


@BROKEN.breaks("method", "supports after_update", "failed: AttributeError: ")
class MethodThatTrips(GoodMethod):
    def after_update(self, side: str, networks: Any) -> None:
        networks["G"].nothing()


@pytest.mark.parametrize("case", BROKEN.cases, ids=lambda case: case.component.__name__)
def test_a_broken_promise_is_reported(case: Case) -> None:
    case.check()


def test_every_promise_is_broken_by_a_component() -> None:
    BROKEN.check_complete()


def test_the_base_of_the_broken_components_keeps_every_promise() -> None:
    results = check_component(*beside_the_built_ins("method", GoodMethod))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results


def test_a_method_without_a_network_for_its_role_is_not_tested() -> None:
    class Speaks(GoodMethod):
        roles = (generator("G", "A", "B", methods=("speak",)),)

    results = check_component(*beside_the_built_ins("method", Speaks))
    assert [outcome.status for outcome in results.outcomes] == [Status.KEPT, Status.NOT_TESTED]
    wanted = "method tried needs a generator with a method 'speak', and no such component is registered"
    assert results.outcomes[1].detail == wanted
