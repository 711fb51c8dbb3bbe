"""Every promise of initialisations: a component that breaks it is reported."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from tests.conformance.broken import BrokenComponents, Case

BROKEN = BrokenComponents("init")


@BROKEN.breaks(
    "init",
    "accepts a network",
    "convolutions, linear layers and norms: AttributeError: 'Sequential' object has no attribute 'weight'",
)
def one_layer(network: nn.Module) -> None:
    nn.init.normal_(network.weight)  # type: ignore[arg-type]


@BROKEN.breaks("init", "changes nothing but values", "0.weight, 5.parametrizations.weight.original is replaced")
def replacing(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            name = "weight" if "weight" in module._parameters else None
            if name is not None:
                module.weight = nn.Parameter(torch.zeros_like(module.weight))
            else:
                module.parametrizations.weight.original = nn.Parameter(torch.zeros_like(module.weight))


@BROKEN.breaks(
    "init",
    "draws the same",
    "0.weight, 3.weight, 7.weight, 8.weight differs between two initialisations at the same seed",
)
def own_dice(network: nn.Module) -> None:
    for module in network.modules():
        if type(module) in (nn.Conv2d, nn.ConvTranspose2d, nn.Linear):
            nn.init.constant_(module.weight, random.random())


@pytest.mark.parametrize("case", BROKEN.cases, ids=lambda case: case.component.__name__)
def test_a_broken_promise_is_reported(case: Case) -> None:
    case.check()


def test_every_promise_is_broken_by_a_component() -> None:
    BROKEN.check_complete()
