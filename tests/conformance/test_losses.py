"""Every promise of losses: a component that breaks it is reported."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.conformance.broken import BrokenComponents, Case, beside_the_built_ins
from translate_core import GENERATORS, Loss, Method, discriminator, generator, loss_of, tensor
from translate_core.conformance.check import check_component
from translate_core.conformance.promise import Status

BROKEN = BrokenComponents("loss")


@BROKEN.breaks("loss", "builds", "cannot be built: needs a file")
class LossThatDoesNotBuild(Loss):
    def __init__(self) -> None:
        super().__init__()
        raise ValueError("needs a file")


@BROKEN.breaks("loss", "passes the shape check", "with method gan it reads the value of a tensor")
class LossThatReads(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        value = tensors["fake_B"].mean()
        return {"fake_B": value if value > 0 else -value}


@BROKEN.breaks("loss", "passes the shape check", "generator_loss returns a tensor of 2 as 'fake_B', not a scalar")
class LossOfVectors(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": tensors["fake_B"].mean((1, 2, 3))}


@BROKEN.breaks("loss", "passes the shape check", "discriminator_loss returns Tensor, not named scalars")
class LossWithoutNames(Loss):
    def discriminator_loss(self, tensors: Any) -> Any:
        return tensors["fake_B"].mean()


@BROKEN.breaks("loss", "computes finite numbers", "generators: fake_B is nan for random images", "sends a gradient")
class LossOfNothing(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": (tensors["fake_B"] - 9).log().mean()}


@BROKEN.breaks(
    "loss",
    "sends a gradient",
    "the networks of the side generators get no gradient: their loss depends on nothing that is trained",
)
class LossWithoutGradient(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": tensors["fake_B"].detach().mean()}


@BROKEN.breaks(
    "loss", "sends a gradient", "no gradient reaches its own spare.weight, spare.bias; freeze what is not trained"
)
class LossWithASpare(Loss):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(2, 2)

    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": tensors["fake_B"].mean()}


@BROKEN.breaks("loss", "has all parameters", "computing a loss changes its parameters: scale", "is restored")
class LossThatGrows(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        if not hasattr(self, "scale"):
            self.scale = nn.Parameter(torch.ones((), dtype=tensors["fake_B"].dtype, device=tensors["fake_B"].device))
        return {"fake_B": tensors["fake_B"].mean() * self.scale}


@BROKEN.breaks(
    "loss", "draws from the batch alone", "generators: fake_B depends on torch's, numpy's or Python's ambient generator"
)
class LossWithDice(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": (tensors["fake_B"] * torch.rand_like(tensors["fake_B"])).mean()}


@BROKEN.breaks("loss", "computes in float64", "generators: fake_B is torch.float32 for images of float64")
class SingleLoss(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": tensors["fake_B"].float().mean()}


@BROKEN.breaks("loss", "does not modify the tensors", "overwrites the tensor 'real_B'")
class LossInPlace(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": (tensors["fake_B"] - tensors["real_B"].mul_(0.5)).mean()}


@BROKEN.breaks(
    "loss", "is restored by its state_dict", "generators: fake_B differs after the state was saved and loaded"
)
class LossThatCounts(Loss):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def generator_loss(self, tensors: Any) -> Any:
        self.count += 1
        return {"fake_B": tensors["fake_B"].mean() * self.count}


@BROKEN.breaks(
    "loss", "is restored by its state_dict", "its state_dict._extra_state cannot be saved: it is a builtins.set"
)
class LossWithASet(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": tensors["fake_B"].mean()}

    def get_extra_state(self) -> Any:
        return {1, 2}

    def set_extra_state(self, state: Any) -> None: ...


class ThreeSides(Method):
    """A generator and an energy network, which no tensor calls."""

    roles = (generator("G", "A", "B"), discriminator("E", "A", "B", side="energy"))
    order = (GENERATORS, "energy")

    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.real_A)


class Energy(Loss):
    """The energy of pairs of an image and its translation, which both sides change."""

    @loss_of("energy", weighted=False)
    def energy_loss(self, tensors: Any) -> Any:
        return {"E": self.energy(tensors)}

    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": -self.energy(tensors)}

    def energy(self, tensors: Any) -> Tensor:
        pair = torch.cat((tensors["real_A"], tensors["fake_B"]), dim=1)
        return tensors.network("E")(pair).square().mean()


@BROKEN.breaks("loss", "sends a gradient", "the networks of the side energy get no gradient", method=ThreeSides)
class EnergyOfTheGenerator(Energy):
    @loss_of("energy", weighted=False)
    def energy_loss(self, tensors: Any) -> Any:
        return {"E": tensors["fake_B"].mean()}


@BROKEN.breaks("loss", "passes the shape check", "energy_loss returns Tensor, not named scalars", method=ThreeSides)
class EnergyWithoutName(Energy):
    @loss_of("energy", weighted=False)
    def energy_loss(self, tensors: Any) -> Any:
        return self.energy(tensors)


def test_a_loss_of_another_side_is_checked_with_a_method_that_has_it() -> None:
    results = check_component(*beside_the_built_ins("loss", Energy, {"method": ThreeSides}))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results
    results = check_component(*beside_the_built_ins("loss", Energy))
    (outcome,) = [outcome for outcome in results.outcomes if outcome.status is not Status.KEPT]
    assert outcome.status is Status.NOT_TESTED
    assert "gan: it is defined for the side energy, which the method lacks" in outcome.detail


@pytest.mark.parametrize("case", BROKEN.cases, ids=lambda case: case.component.__name__)
def test_a_broken_promise_is_reported(case: Case) -> None:
    case.check()


def test_every_promise_is_broken_by_a_component() -> None:
    BROKEN.check_complete()


def test_a_loss_that_fits_no_method_is_not_tested() -> None:
    class OfATensor(Loss):
        def generator_loss(self, tensors: Any) -> Any:
            return {"depth": tensors["depth"].mean()}

    results = check_component(*beside_the_built_ins("loss", OfATensor))
    assert [outcome.status for outcome in results.outcomes] == [Status.KEPT, Status.NOT_TESTED]
    assert not results.whole
    assert "it fits no registered method with these options:\n" in results.outcomes[1].detail
    assert "gan: the method has no tensor 'depth'" in results.outcomes[1].detail
