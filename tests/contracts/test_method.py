"""The contract of methods: equations of one tensor and of several, draws, heads, what follows an update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from translate_core import Choice, Direction, Method, Update, UserError, generator, head, tensor, tensors
from translate_core.components.registry import Owner, RegistrationError, Registry
from translate_core.contracts.network import Calls, Network, Precision
from translate_core.contracts.role import GENERATORS
from translate_core.contracts.tensor import MissingTensorError
from translate_core.runtime.randomness import Draws


class Toy(Method):
    roles = (generator("E", "A", "A"), generator("G", "A", "A"))
    order = (GENERATORS,)
    given = ("real_A",)
    directions = {"A-A": Direction("A", "A", output="double", choices=(Choice("shift", "shift", "A", "mean"),))}

    def __init__(self) -> None:
        self.calls = 0

    @tensors("double", "mean")
    def parts(self) -> tuple[Tensor, Tensor]:
        return 2 * self.E(self.real_A), self.real_A.mean()

    @tensor
    def shift(self) -> Tensor:
        return self.normal((2,), self.real_A, "shift")

    @tensor
    def shifted(self) -> list[Tensor]:
        return [self.double + self.shift.sum(), self.mean]

    @tensors("one", "two")
    def wrong(self) -> tuple[Tensor, ...]:
        return (self.real_A,) * 3

    @tensor
    def there(self) -> Tensor:
        return self.back + 1

    @tensor
    def back(self) -> Tensor:
        return self.there - 1


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.calls = self.updates = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.weight

    def after_update(self) -> None:
        self.updates += 1
        self.weight.clamp_(0, 1)


def batch(given: Mapping[str, Tensor], step: int = 0, grad: bool = True) -> tuple[Toy, dict[str, Network]]:
    calls = Calls()
    networks = {role.name: Network(role, Counting(), calls, Precision()) for role in Toy.roles}
    return Toy().tensors(given, networks, calls, Draws(0, 0, step, 0), grad=grad), networks


IMAGE = torch.arange(12.0).view(1, 3, 2, 2)


def test_one_call_yields_several() -> None:
    made, networks = batch({"real_A": IMAGE})
    assert Toy().tensor_names() == ("real_A", "double", "mean", "shift", "shifted", "one", "two", "there", "back")
    torch.testing.assert_close(made["double"], 2 * IMAGE)
    assert made["mean"] == IMAGE.mean()
    assert made.parts[1] is made["mean"]
    assert networks["E"].module.calls == 1
    assert made.used() >= {"double", "mean", "real_A"}


def test_what_is_given_replaces_its_equation() -> None:
    given = torch.tensor([5.0, 1.0])
    made, _ = batch({"real_A": IMAGE, "shift": given, "mean": torch.tensor(7.0)})
    torch.testing.assert_close(made["shifted"][0], 2 * IMAGE + 6)
    assert made["mean"] == made["shifted"][1] == 7


def test_detach_lets_go_of_lists_too() -> None:
    made, _ = batch({"real_A": IMAGE})
    assert made["shifted"][0].requires_grad
    made.detach()
    assert not made["shifted"][0].requires_grad
    assert not made["double"].requires_grad


def test_as_many_as_were_named() -> None:
    made, _ = batch({"real_A": IMAGE})
    with pytest.raises(UserError, match="wrong must return one, two, and returns 3 values"):
        _ = made["one"]


def test_equations_that_need_each_other() -> None:
    made, _ = batch({"real_A": IMAGE})
    with pytest.raises(UserError, match="the equation of tensor 'back' needs itself: back → there → back"):
        _ = made["back"]


def test_a_tensor_in_place_of_another_that_needs_it() -> None:
    made, networks = batch({"real_A": IMAGE})
    instead = Toy().tensors(
        {"real_A": IMAGE}, networks, Calls(), Draws(0, 0, 0, 0), grad=True, instead={"mean": "shifted"}
    )
    with pytest.raises(UserError, match="the equation of tensor 'shifted' needs itself: shifted → shifted"):
        _ = instead["shifted"]
    assert made["shifted"][1] == IMAGE.mean()


def test_has_tells_what_was_given() -> None:
    made, _ = batch({"real_A": IMAGE})
    assert made.has("real_A")
    assert not made.has("real_A", "real_B")
    with pytest.raises(MissingTensorError):
        _ = batch({})[0]["real_A"]


def test_draws_depend_on_the_step_and_the_name_alone() -> None:
    like = torch.zeros((), dtype=torch.float64)
    torch.manual_seed(1)
    first, _ = batch({}, step=3)
    torch.manual_seed(2)
    again, _ = batch({}, step=3)
    later, _ = batch({}, step=4)
    assert first.step == 3
    for draw in ("normal", "uniform"):
        values = [getattr(made, draw)((4,), like, name) for made in (first, again, later) for name in ("x", "y")]
        assert values[0].dtype == torch.float64
        assert torch.equal(values[0], values[2])
        assert len({tuple(value.tolist()) for value in values}) == 4
    places = first.permutation(9, like, "places")
    assert sorted(places.tolist()) == list(range(9))
    assert torch.equal(places, again.permutation(9, like, "places"))
    assert not torch.equal(places, later.permutation(9, like, "places"))
    assert first.normal((2,), torch.empty(3, device="meta"), "x").is_meta


def test_normal_and_uniform_are_what_they_say() -> None:
    made, _ = batch({})
    normal = made.normal((20000,), torch.zeros(()), "x")
    uniform = made.uniform((20000,), torch.zeros(()), "x")
    assert abs(float(normal.mean())) < 0.03
    assert abs(float(normal.std()) - 1) < 0.03
    assert 0 <= float(uniform.min()) < 0.01
    assert 0.99 < float(uniform.max()) < 1


def test_after_update_reaches_the_networks_that_were_trained() -> None:
    made, networks = batch({})
    with torch.no_grad():
        networks["E"].module.weight.fill_(3.0)
        made.after_update(Update(GENERATORS, networks=("E",)), {"E": networks["E"]})
    assert networks["E"].module.weight == 1
    assert [network.module.updates for network in networks.values()] == [1, 0]


def test_inference_restores_the_mode_of_each_part() -> None:
    made, networks = batch({"real_A": IMAGE})
    module = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3), nn.Identity())
    module[1].eval()
    networks["E"].module = module
    before = [part.training for part in module.modules()]
    with made.inference(networks["E"]):
        assert not any(part.training for part in module.modules())
        assert not networks["E"](IMAGE).requires_grad
    assert [part.training for part in module.modules()] == before == [True, True, False, True]


def test_an_integer_is_a_draw_of_the_step_and_the_name() -> None:
    drawn = [batch({}, step=step)[0].integer(5, "t") for step in range(200)]
    assert drawn == [batch({}, step=step)[0].integer(5, "t") for step in range(200)]
    assert set(drawn) == set(range(5))
    assert drawn != [batch({}, step=step)[0].integer(5, "other") for step in range(200)]


class Tapped(Counting):
    taps = {"first": 3, "second": 8}

    def features(self, x: Tensor, taps: tuple[str, ...]) -> list[Tensor]:
        return [x for _ in taps]


def test_a_head_is_given_the_channels_of_its_taps() -> None:
    role = head("H", "E", ("second", "first"))
    assert (role.kind, role.side) == ("head", GENERATORS)
    assert role.given({}, {"E": Tapped()}) == {"channels": (8, 3)}
    with pytest.raises(UserError, match="E has no tap 'frist', did you mean 'first'"):
        head("H", "E", ("frist",)).given({}, {"E": Tapped()})
    with pytest.raises(UserError, match="Counting declares no taps"):
        role.given({}, {"E": Counting()})


@pytest.mark.parametrize(
    "direction",
    [
        Direction("A", "A", output="double", always=("tripled",)),
        Direction("A", "A", output="double", choices=(Choice("x", "tripled", "A", "mean"),)),
        Direction("A", "A", output="double", choices=(Choice("x", "shift", "A", "tripled"),)),
    ],
)
def test_a_direction_that_leads_nowhere_is_refused(direction: Any) -> None:
    wrong = type("Wrong", (Toy,), {"directions": {"A-A": direction}})
    with pytest.raises(RegistrationError, match="has the tensor 'tripled', which it does not define"):
        Registry().for_owner(Owner("me", "1")).method("wrong", wrong)
