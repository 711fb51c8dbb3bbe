"""A plugin with small methods and networks that use the contract of updates in all its width."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from translate_core import (
    DISCRIMINATORS,
    GENERATORS,
    AdversarialPair,
    Direction,
    Given,
    Loss,
    Method,
    Option,
    Registrar,
    Tensors,
    Update,
    UserError,
    discriminator,
    generator,
    hookimpl,
    loss_of,
    network,
    tensor,
)


class Pixel(nn.Module):
    """A generator of one 1×1 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.conv(x))


class Critic(nn.Module):
    """A discriminator of two 1×1 convolutions, with features; a condition shifts its scores."""

    taps = {"hidden": 4}

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, 4, 1)
        self.second = nn.Conv2d(4, 1, 1)
        self.calls = 0

    def forward(self, x: Tensor, *conditions: Tensor) -> Tensor:
        return self.with_features(x, (), *conditions)[0]

    def with_features(self, x: Tensor, taps: tuple[str, ...], *conditions: Tensor) -> tuple[Tensor, list[Tensor]]:
        self.calls += 1
        hidden = torch.tanh(self.first(x))
        scores = self.second(hidden)
        for condition in conditions:
            scores = scores * (1 + condition.to(scores.dtype).view(-1, 1, 1, 1))
        return scores, [hidden for _ in taps]


class Scale(nn.Module):
    """A network that neither makes images nor scores them. start: what the method decides."""

    def __init__(self, in_channels: int, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((in_channels,), start))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight.view(-1, 1, 1)).mean((1, 2, 3))


class ThreeSides(Method):
    """A generator, a discriminator, and a third side."""

    roles = (
        generator("G", "A", "B"),
        discriminator("D", "B"),
        network("E", "B", side="energy", extra={"start": 0.5}, default="scale"),
    )
    order: tuple[str | Update, ...] = (DISCRIMINATORS, "energy", GENERATORS)
    adversarial_pairs = {"D": ("real_B", "fake_B")}
    pairs = {"reconstruction": {"fake_B": "real_B"}}
    directions = {"A-B": Direction("A", "B", options=(Option("steps", 1, low=1, high=4),))}

    @tensor
    def fake_B(self) -> Tensor:
        x = self.real_A
        for _ in range(int(self.option("steps"))):
            x = self.G(x)
        return x


class Energy(Loss):
    """Defined for the third side, without a weight, and for the generators."""

    @loss_of("energy", weighted=False)
    def energy_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        E = tensors.network("E")
        return {"E": (E(tensors["fake_B"].detach()) - E(tensors["real_B"])).square().mean()}

    def generator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        return {"fake_B": tensors.network("E")(tensors["fake_B"]).mean()}


class Second(Loss):
    """For the third side only."""

    @loss_of("energy", weighted=False)
    def energy_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        return {"second": tensors.network("E")(tensors["real_B"]).square().mean()}


class FeatureMatching(Loss):
    """Reads the features of the discriminator."""

    def generator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        real, fake = tensors.features("D", "real"), tensors.features("D", "fake")
        return {"features": (real["hidden"].detach() - fake["hidden"]).abs().mean()}


class TwoRuns(Method):
    """Two updates of the generators on different styles, one of them with a subset of the networks."""

    roles = (generator("G", "A", "B"), network("E", "A", extra={"start": 1.0}, default="scale"))
    order = (
        Update(GENERATORS, "first", fresh=True),
        Update(GENERATORS, "second", ("G",), fresh=True, instead={"style": "style_taken"}),
    )
    pairs = {"reconstruction": {"fake_B": "real_B"}}
    directions = {"A-B": Direction("A", "B")}

    @tensor(shared=True)
    def common(self) -> Tensor:
        return self.normal((), self.real_A, "common")

    @tensor
    def own(self) -> Tensor:
        return self.normal((), self.real_A, "own")

    @tensor
    def style(self) -> Tensor:
        return self.common + self.own + self.E(self.real_A).mean()

    @tensor
    def style_taken(self) -> Tensor:
        return self.E(self.real_A).mean()

    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.real_A) * self.style


class Shared(TwoRuns):
    """Both updates share their tensors: the second cannot send gradients through them any more."""

    order = (Update(GENERATORS, "first"), Update(GENERATORS, "second"))


class Between(ThreeSides):
    """The generator is updated between two updates that share tensors."""

    order = (
        DISCRIMINATORS,
        Update(GENERATORS, "first", fresh=True),
        Update(GENERATORS, "second"),
        "energy",
    )


class Labelled(Method):
    """Labels, a further draw, a conditioned discriminator."""

    roles = (generator("G", "A", "A"), discriminator("D", "A", conditions=("label",)))
    order = (DISCRIMINATORS, GENERATORS)
    given: tuple[str | Given, ...] = (
        Given("real", domain="A"),
        Given("label", "label"),
        Given("other_real", domain="A", of="real", draw=1),
        Given("goal", "label", of="label", draw=1),
    )
    adversarial_pairs = {"D": AdversarialPair("real", "fake", ("label",), ("goal",))}

    def on(self, data: Any) -> None:
        first = data.domains[0]
        self.roles = (generator("G", first, first), discriminator("D", first, conditions=("label",)))
        self.directions = {
            f"{source}-{target}": Direction(
                source, target, given="real", output="fake", label={"goal": data.domains.index(target)}
            )
            for source in data.domains
            for target in data.domains
            if source != target
        }

    @tensor
    def fake(self) -> Tensor:
        return self.G(self.real) + 0.1 * self.goal.to(self.real.dtype).view(-1, 1, 1, 1)


class Integers(ThreeSides):
    """What is computed depends on a draw: a zero fails."""

    @tensor
    def fake_B(self) -> Tensor:
        x = self.real_A
        for _ in range(self.integer(3, "loops")):
            x = self.G(x)
        return x


class FromMaps(Method):
    """A generator on label maps, one channel for each class, as in pix2pixHD."""

    roles = (generator("G", "A", "B"),)
    order = (GENERATORS,)
    given = (Given("real_A", "map"), "real_B")
    pairs = {"reconstruction": {"fake_B": "real_B"}}
    directions = {"A-B": Direction("A", "B")}

    def on(self, data: Any) -> None:
        if not data.classes:
            raise UserError("needs label maps: let the data state their classes")
        self.classes = len(data.classes)
        self.roles = (generator("G", "A", "B", extra={"in_channels": self.classes}),)

    @tensor(shared=True)
    def one_hot_A(self) -> Tensor:
        planes = torch.arange(self.classes, device=self.real_A.device).view(-1, 1, 1) == self.real_A
        return planes.to(torch.get_default_dtype())

    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.one_hot_A)


@hookimpl
def register(registry: Registrar) -> None:
    registry.generator("pixel", Pixel)
    registry.discriminator("critic", Critic)
    registry.network("scale", Scale)
    registry.method("three_sides", ThreeSides)
    registry.method("two_runs", TwoRuns)
    registry.method("shared", Shared)
    registry.method("between", Between)
    registry.method("labelled", Labelled)
    registry.method("integers", Integers)
    registry.method("from_maps", FromMaps)
    registry.loss("energy", Energy)
    registry.loss("second", Second)
    registry.loss("feature_matching_toy", FeatureMatching)
