"""Every promise of methods: a component that breaks it is reported."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.conformance.broken import BrokenComponents, Case, beside_the_built_ins
from translate_core import (
    DISCRIMINATORS,
    GENERATORS,
    AdversarialPair,
    Choice,
    Dataset,
    Direction,
    Given,
    Loss,
    Method,
    Option,
    Update,
    UserError,
    discriminator,
    generator,
    loss_of,
    network,
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


@BROKEN.breaks("method", "computes every tensor", "tensor 'noisy_A' failed: KeyError: 0")
class MethodThatCountsFromOne(GoodMethod):
    @tensor
    def noisy_A(self) -> Tensor:
        return self.fake_B * {1: 1.0, 2: 0.5, 3: 0.25}[self.integer(4, "time")]


@BROKEN.breaks(
    "method", "accepts the data", r"on\(data\) with the domains A, B, C, called after other data, sets other"
)
class MethodThatAddsDirections(GoodMethod):
    directions = {}

    def on(self, data: Dataset) -> None:
        self.directions = {
            **self.directions,
            f"A-{data.domains[-1]}": Direction("A", data.domains[-1], output="fake_B"),
        }


@BROKEN.breaks("method", "accepts the data", r"on\(data\) fails for the domains A, B: IndexError: ")
class MethodOfThreeDomains(GoodMethod):
    def on(self, data: Dataset) -> None:
        self.third = data.domains[2]


@BROKEN.breaks("method", "accepts the data", "with the domains A, B one of its tables has the tensor 'fake_C', which")
class MethodWithAWrongDirection(GoodMethod):
    def on(self, data: Dataset) -> None:
        self.directions = {"A-C": Direction("A", "C")}


@BROKEN.breaks("method", "calls no network in shared", "the shared tensor 'code' calls G")
class MethodThatSharesAnOutput(GoodMethod):
    @tensor(shared=True)
    def code(self) -> Tensor:
        return self.fake_B.mean((2, 3))


@BROKEN.breaks("method", "translates with the smallest", "direction A-B, steps 4: 'fake_B' is 1×3×32×32, not an image")
class MethodOfFewSteps(GoodMethod):
    directions = {"A-B": Direction("A", "B", options=(Option("steps", 2, low=1, high=4),))}

    @tensor
    def fake_B(self) -> Tensor:
        y = self.G(self.real_A)
        return y[..., ::2, ::2] if self.option("steps") > 3 else y


@BROKEN.breaks("method", "has adversarial pairs", "D is called with 'real_B', and its role has time")
class MethodWithoutTheTime(GoodMethod):
    roles = (generator("G", "A", "B"), discriminator("D", "B", conditions=("time",)))
    order = (GENERATORS, "discriminators")
    adversarial_pairs = {"D": ("real_B", "fake_B")}


@BROKEN.breaks("method", "has adversarial pairs", "D cannot be called with 'pair': RuntimeError: ")
class MethodThatJudgesPairs(GoodMethod):
    roles = (generator("G", "A", "B"), discriminator("D", "B"))
    order = (GENERATORS, "discriminators")
    adversarial_pairs = {"D": ("real_B", "pair")}

    @tensor
    def pair(self) -> Tensor:
        return torch.cat((self.real_A, self.fake_B), dim=1)


@BROKEN.breaks("method", "uses every network", "no tensor, no adversarial pair and no registered loss uses E")
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
    def after_update(self, update: Update, networks: Any) -> None:
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


class Energetic(GoodMethod):
    """A third side whose network no tensor calls, labels, a second draw, a vector, a label map, updates in place."""

    roles = (
        generator("G", "A", "B", conditions=("style",), extra={"style_channels": 8}),
        network("F", conditions=("latent", "label"), extra={"domains": 2, "style_channels": 8}),
        discriminator("D", "B", conditions=("label",)),
        discriminator("E", "A", "B", side="energy"),
    )
    order = (DISCRIMINATORS, "energy", Update(GENERATORS, "drawn"), Update(GENERATORS, "taken", instead={"s": "t"}))
    given = (
        "real_A",
        "real_B",
        Given("real_A2", of="real_A", draw=1),
        Given("label", "label"),
        Given("text", "vector"),
        Given("map_A", "map", domain="maps"),
    )
    adversarial_pairs = {"D": AdversarialPair("real_B", "fake_B", ("label",), ("label",))}
    directions = {"A-B": Direction("A", "B", label={"label": 1}, options=(Option("strength", 0.5, low=0.0, high=1.0),))}

    @tensor(shared=True)
    def latent(self) -> Tensor:
        return self.normal((len(self.real_A), self.F.latent_channels), self.real_A, "latent")

    @tensor
    def s(self) -> Tensor:
        return self.F(self.latent, self.label)

    @tensor
    def t(self) -> Tensor:
        return 0.5 * self.F(self.latent, self.label) + self.text.mean()

    @tensor
    def fake_B(self) -> Tensor:
        return self.option("strength") * self.G(self.real_A, self.s)

    @tensor
    def one_hot(self) -> Tensor:
        return nn.functional.one_hot(self.map_A[:, 0].long(), 2) + self.real_A2.mean()


class MappingNetwork(nn.Module):
    """A mapping network."""

    latent_channels = 4

    def __init__(self, domains: int, style_channels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(4, domains * style_channels)
        self.domains = domains

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        styles = self.layer(latent).unflatten(1, (self.domains, -1))
        return styles.take_along_dim(label[:, None, None], 1)[:, 0]


class Energy(Loss):
    """Trains E."""

    @loss_of("energy", weighted=False)
    def energy_loss(self, tensors: Any) -> dict[str, Tensor]:
        return {"E": tensors.network("E")(torch.cat((tensors["real_A"], tensors["fake_B"]), 1)).mean()}


def test_a_method_with_sides_conditions_and_labels_keeps_every_promise() -> None:
    more = {"network": MappingNetwork, "loss": Energy}
    kit, registration = beside_the_built_ins("method", Energetic, more)
    results = check_component(kit, registration)
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results
    assert len(results.outcomes) == 9


def test_a_network_that_only_an_unregistered_loss_calls_is_not_called_broken() -> None:
    results = check_component(*beside_the_built_ins("method", Energetic, {"network": MappingNetwork}))
    (advice,) = [outcome for outcome in results.outcomes if outcome.status is not Status.KEPT]
    assert (advice.status, advice.detail) == (
        Status.ADVICE,
        "no tensor, no adversarial pair and no registered loss uses E",
    )


def test_a_method_that_refuses_all_data_is_not_tested() -> None:
    class Picky(GoodMethod):
        def on(self, data: Dataset) -> None:
            raise UserError("needs 7 domains")

    results = check_component(*beside_the_built_ins("method", Picky))
    assert [outcome.status for outcome in results.outcomes] == [Status.KEPT, Status.NOT_TESTED]
    assert "with the domains A, B, C and 3 classes: needs 7 domains" in results.outcomes[1].detail
    assert "--recipe" in results.outcomes[1].detail
