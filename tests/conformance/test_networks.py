"""Every promise of networks: a component that breaks it is reported."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.conformance.broken import BrokenComponents, Case, beside_the_built_ins
from translate_core import GENERATORS, Given, Method, generator, network, tensor
from translate_core.conformance.check import check_component
from translate_core.conformance.promise import Status

BROKEN = BrokenComponents("generator", "discriminator", "head", "network")


class Good(nn.Module):
    """A generator that keeps every promise."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).tanh()


@BROKEN.breaks("generator", "builds", "cannot be built with in_channels 3, out_channels 3: KeyError: 'depth'")
class DoesNotBuild(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        {}["depth"]


@BROKEN.breaks(
    "generator", "accepts any number of channels", "with in_channels 1, out_channels 3 it cannot be computed"
)
class ThreeChannelsOnly(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(3, 3)


@BROKEN.breaks("generator", "accepts any number", "with in_channels 3, out_channels 1 it returns 3 channels")
class ThreeChannelsOut(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, 3)


class Encoded(Method):
    """Calls two methods of its generator."""

    roles = (generator("G", "A", "B", methods=("encode", "decode")),)
    order = (GENERATORS,)

    @tensor
    def fake_B(self) -> Tensor:
        return self.G.decode(self.G.encode(self.real_A))


@BROKEN.breaks(
    "generator",
    "works with the methods",
    "in method tried tensor 'fake_B' cannot be computed with these networks and images",
    method=Encoded,
)
class DecodesBadly(Good):
    def encode(self, x: Tensor) -> Tensor:
        return x[:, :2]

    def decode(self, content: Tensor) -> Tensor:
        return self.conv(content)


def test_a_method_of_another_plugin_may_be_for_other_networks() -> None:
    class ForAnother(DecodesBadly):
        def decode(self, content: Tensor, style: Tensor) -> Tensor:
            return self.conv(content)

    results = check_component(*beside_the_built_ins("generator", ForAnother))
    (outcome,) = [outcome for outcome in results.outcomes if outcome.status is not Status.KEPT]
    assert outcome.promise.text == "works with the methods that need it"
    assert outcome.status is Status.NOT_TESTED
    assert "\nmunit: tensor 'style_B' failed: AttributeError" in outcome.detail
    assert results.whole


@BROKEN.breaks("generator", "passes the shape check", r"reads the value of a tensor, .* \(test_networks.py, line \d+\)")
class Reads(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.mean().item() < 9 else x


@BROKEN.breaks(
    "generator",
    "returns an image of the size",
    "for an input of 2×3×16×16 it returns 2×3×8×8; a network that does not support",
)
class Halves(Good):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y[..., ::2, ::2] if x.shape[-1] % 16 == 0 else y


@BROKEN.breaks(
    "generator", "translates an image of any size", "for an image of 37×51, padded to 37×51, it returns 1×3×37×50"
)
class CropsInEvaluation(Good):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if self.training else y[..., 1:]


@BROKEN.breaks("discriminator", "returns scores for each image", "for 2 images it returns scores of 1×64×65")
class Forgets(nn.Module):
    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean(0)


@BROKEN.breaks(
    "discriminator", "returns scores for each image", "returns dict, not a tensor of scores or a list of them"
)
class NamesScores(Forgets):
    def forward(self, x: Tensor) -> Any:
        return {"scores": self.conv(x)}


@BROKEN.breaks(
    "generator",
    "computes finite numbers",
    "the gradients of conv.weight, conv.bias are not finite",
    "runs under autocast",
)
class RootOfZero(Good):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y + (y * 0).abs().sqrt()


@BROKEN.breaks("generator", "sends a gradient to every parameter", "no gradient reaches spare.weight, spare.bias")
class HasASpare(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.spare = nn.Linear(2, 2)


@BROKEN.breaks(
    "generator", "runs under autocast", "cannot be computed with these networks and images: Expected both inputs to be"
)
class Complex(Good):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.complex(y, y.flip(-1)).abs()


@BROKEN.breaks("generator", "computes in float64", "forward.. returns torch.float32 for images of float64")
class AlwaysSingle(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).float()


@BROKEN.breaks(
    "generator", "gives the same result in channels-last", "cannot be computed .* view size is not compatible"
)
class Views(Good):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).view(len(x), -1).tanh().view(x.shape[0], -1, *x.shape[2:])


@BROKEN.breaks("generator", "does not modify its input", r"forward\(\) overwrites its input")
class InPlace(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mul_(0.5))


@BROKEN.breaks("generator", "has the same initial weights", "scale differ between two networks of the same seed")
class OwnDice(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.scale = nn.Parameter(torch.full((1, 1, 1), random.random()))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


@BROKEN.breaks(
    "generator", "repeats its output", "two passes in training mode differ although torch's ambient generator"
)
class Trembles(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 + random.random())


@BROKEN.breaks("generator", "repeats its output", "a pass in evaluation mode changes its state_dict")
class Counts(Good):
    count: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return super().forward(x)


@BROKEN.breaks("generator", "is deterministic", "two passes over one image in evaluation mode differ")
class AlwaysDrops(Good):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x), 0.5)


@BROKEN.breaks("generator", "is restored by its state_dict", "after load_state_dict its output differs")
class Hidden(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.scale = torch.rand(1).tolist()[0] if self.conv.weight.device.type != "meta" else 1.0

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


@BROKEN.breaks(
    "generator", "can be copied", "copy.deepcopy fails: RuntimeError: Only Tensors created explicitly by the user"
)
class KeepsAGraph(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.twice = self.conv.weight * 2


class Tapped(Good):
    taps: Mapping[str, int] = {"image": 3, "deep": 3}

    def maps(self, x: Tensor, taps: tuple[str, ...]) -> dict[str, Tensor]:
        return {"image": x, "deep": self.conv(x)}

    def features(self, x: Tensor, taps: tuple[str, ...]) -> list[Tensor]:
        maps = self.maps(x, taps)
        return [maps[name] for name in taps]

    def with_features(self, x: Tensor, taps: tuple[str, ...]) -> tuple[Tensor, list[Tensor]]:
        return self(x), self.features(x, taps)


@BROKEN.breaks("generator", "has the taps", "tap 'deep' is declared with 8 channels, and its map is 2×3×37×51")
class WrongChannels(Tapped):
    taps = {"image": 3, "deep": 8}


@BROKEN.breaks("generator", "has the taps", "the map at tap 'deep' depends on the other taps in the call")
class OverwritesATap(Tapped):
    taps = {"deep": 3, "deeper": 3}

    def maps(self, x: Tensor, taps: tuple[str, ...]) -> dict[str, Tensor]:
        deep = self.conv(x)
        return {"deep": deep, "deeper": deep.relu_() if "deeper" in taps else deep}


@BROKEN.breaks(
    "generator",
    "has the taps",
    r"it has `taps` and no method `features\(x, taps, \*conditions\)`",
)
class OnlyDeclares(Good):
    taps = {"image": 3}


@BROKEN.breaks(
    "discriminator", "returns its output and features", r"no method `with_features\(x, taps, \*conditions\)`"
)
class InTwoPasses(nn.Module):
    taps = {"image": 3}

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)

    def features(self, x: Tensor, taps: tuple[str, ...]) -> list[Tensor]:
        return [x for _ in taps]


@BROKEN.breaks(
    "generator", "returns its output and features", r"with_features\(x, \(\)\) returns another output than forward"
)
class ReturnsAnother(Tapped):
    def with_features(self, x: Tensor, taps: tuple[str, ...]) -> tuple[Tensor, list[Tensor]]:
        return self.conv(x), self.features(x, taps)


@BROKEN.breaks(
    "generator", "returns its output and features", r"with_features\(x, \('deep',\)\) returns other maps than features"
)
class ReturnsOtherMaps(Tapped):
    def with_features(self, x: Tensor, taps: tuple[str, ...]) -> tuple[Tensor, list[Tensor]]:
        return self(x), [each.tanh() for each in self.features(x, taps)]


class Timed(Method):
    """A generator with a time and a style, whose length the method decides; a mapping network makes the style."""

    roles = (
        generator("G", "A", "B", conditions=("time", "style"), extra={"style_channels": 5}),
        network("M", conditions=("latent", "label"), extra={"style_channels": 5, "domains": 2}),
    )
    order = (GENERATORS,)
    given = ("real_A", "real_B", Given("label", "label"))

    @tensor
    def time(self) -> Tensor:
        return torch.full((len(self.real_A),), self.integer(4, "time"), device=self.real_A.device)

    @tensor
    def latent(self) -> Tensor:
        return self.normal((len(self.real_A), 4), self.real_A, "latent")

    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.real_A, self.time, self.M(self.latent, self.label))


class GoodMapping(nn.Module):
    """A mapping network that keeps every promise: an embedding of four times and of the labels."""

    def __init__(self, style_channels: int, domains: int) -> None:
        super().__init__()
        self.layer = nn.Linear(4, style_channels)
        self.embed = nn.Embedding(domains, style_channels)

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        return self.layer(latent) + self.embed(label)


class GoodTimed(nn.Module):
    """A conditioned generator that keeps every promise; other times than 0 … 3 raise IndexError."""

    def __init__(self, in_channels: int, out_channels: int, style_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.times = nn.Embedding(4, out_channels)
        self.style = nn.Linear(style_channels, out_channels)

    def forward(self, x: Tensor, time: Tensor, style: Tensor) -> Tensor:
        return torch.tanh(self.conv(x) + (self.times(time) + self.style(style))[..., None, None])


@BROKEN.breaks(
    "generator",
    "depends on each of its conditions",
    "its output does not depend on the time",
    method=Timed,
    network=GoodMapping,
)
class Timeless(GoodTimed):
    def forward(self, x: Tensor, time: Tensor, style: Tensor) -> Tensor:
        return super().forward(x, time * 0, style)


@BROKEN.breaks("network", "depends on each of its conditions", "its output does not depend on the latent", method=Timed)
class Lifeless(GoodMapping):
    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        return super().forward(latent * 0, label)


@BROKEN.breaks("network", "computes in float64", r"forward\(\) returns torch.float32", method=Timed)
class SingleMapping(GoodMapping):
    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        return super().forward(latent, label).float()


@BROKEN.breaks(
    "generator",
    "supports after_update",
    "after_update changes the shapes of parameters, or leaves values that are not finite",
)
class Explodes(Good):
    def after_update(self) -> None:
        self.conv.weight.div_(0)


@pytest.mark.parametrize("case", BROKEN.cases, ids=lambda case: case.component.__name__)
def test_a_broken_promise_is_reported(case: Case) -> None:
    case.check()


def test_every_promise_is_broken_by_a_component() -> None:
    BROKEN.check_complete()


@pytest.mark.parametrize("component", [Good, Tapped])
def test_the_bases_of_the_broken_components_keep_every_promise(component: type[nn.Module]) -> None:
    results = check_component(*beside_the_built_ins("generator", component))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results


@pytest.mark.parametrize(("kind", "component"), [("generator", GoodTimed), ("network", GoodMapping)])
def test_networks_are_called_as_their_method_calls_them(kind: str, component: type[nn.Module]) -> None:
    more = {"method": Timed, **({"network": GoodMapping} if kind == "generator" else {})}
    results = check_component(*beside_the_built_ins(kind, component, more))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results
    checked = {outcome.promise.text for outcome in results.outcomes}
    assert {"works with the methods that need it", "computes in float64", "depends on each of its conditions"} < checked


def test_a_network_is_not_blamed_for_another() -> None:
    results = check_component(*beside_the_built_ins("generator", GoodTimed, {"method": Timed}))
    (outcome,) = [outcome for outcome in results.outcomes if outcome.status is not Status.KEPT]
    assert outcome.status is Status.NOT_TESTED
    assert "\ntried: tensor 'fake_B' cannot be computed with these networks and images" in outcome.detail


@pytest.mark.parametrize(("kind", "component"), [("generator", GoodTimed), ("network", GoodMapping)])
def test_without_its_method_a_network_is_not_tested(kind: str, component: type[nn.Module]) -> None:
    results = check_component(*beside_the_built_ins(kind, component))
    (outcome,) = [outcome for outcome in results.outcomes if outcome.status is not Status.KEPT]
    assert outcome.status is Status.NOT_TESTED
    assert f"only a method decides how this {kind} is built and called, and it fits no registered one" in outcome.detail
    assert outcome.detail.endswith("check it in a recipe that trains it: --recipe FILE")


def test_randomness_in_evaluation_mode_is_advice() -> None:
    results = check_component(*beside_the_built_ins("generator", AlwaysDrops))
    assert [(outcome.status, outcome.detail) for outcome in results.outcomes if outcome.status is not Status.KEPT] == [
        (Status.NOT_TESTED, "its output in evaluation mode is random, so the results cannot be compared"),
        (Status.ADVICE, "two passes over one image in evaluation mode differ"),
    ]
