"""A method and small networks, for tests of losses against plain arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from translate_core import DISCRIMINATORS, GENERATORS, Loss, Method, discriminator, generator, tensor
from translate_core.contracts.network import Calls, Network, Precision
from translate_core.runtime.randomness import Draws
from translate_core.training.phase import WeightedLoss


class ToyMethod(Method):
    """One generator and one discriminator; further tensors are given by the test."""

    roles = (generator("G", "A", "B"), discriminator("D", "B"))
    order = (GENERATORS, DISCRIMINATORS)
    given = ("real_A", "real_B", "one", "two", "three", "four")
    pairs = {
        "reconstruction": {"one": "two"},
        "cycle": {"fake_B": "real_A"},
        "identity": {"one": "two", "three": "four"},
        "nce": {"one": "two", "three": "four"},
        "cam": {"one": "two", "three": "four"},
        "perceptual": {"one": "two"},
    }
    adversarial_pairs = {"D": ("real_B", "fake_B")}

    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.real_A)


class Scales(nn.Module):
    """A smooth discriminator, twice differentiable: returns a map, or with `several` a map and logits."""

    def __init__(self, several: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2)
        self.map = nn.Conv2d(4, 1, 3)
        self.logits = nn.Linear(4, 2)
        self.several = several

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        hidden = torch.tanh(self.first(x))
        scores = torch.sin(self.map(hidden)) + self.map(hidden)
        return [scores, self.logits(torch.tanh(hidden.mean((2, 3))))] if self.several else scores


def double(*shape: int, seed: int = 0) -> Tensor:
    """Random images, (N, C, H, W) in [-1, 1], float64."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def networks(several: bool = False) -> dict[str, nn.Module]:
    """G and D in float64, with the same weights at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {"G": nn.Conv2d(3, 3, 3, padding=1).double(), "D": Scales(several).double()}


def tensors_of(
    method: Method, given: Mapping[str, Any], modules: Mapping[str, nn.Module], calls: Calls, step: int = 0
) -> Method:
    """The tensors of one batch."""
    handles = {
        role.name: Network(role, modules[role.name], calls, Precision(torch.float64))
        for role in method.roles
        if role.name in modules
    }
    return method.tensors(given, handles, calls, Draws(0, 0, step, 0), grad=True)


def loss_parts(
    loss: Loss,
    side: str,
    given: Mapping[str, Any],
    modules: Mapping[str, nn.Module] | None = None,
    step: int = 0,
    method: Method | None = None,
) -> dict[str, Tensor]:
    """The parts of one side of a prepared loss, by name."""
    calls = Calls()
    tensors = tensors_of(method or ToyMethod(), given, modules or {}, calls, step)
    trained = frozenset(role.name for role in tensors.roles if role.side == side)
    return WeightedLoss("x", loss, 1.0).compute(side, tensors, calls, trained)


def prepared(loss: Loss, method: Method | None = None) -> Loss:
    """The loss, after `prepare`."""
    loss.prepare(method or ToyMethod())
    return loss
