"""Every promise of optimizers: a component that breaks it is reported."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.conformance.broken import BrokenComponents, Case, beside_the_built_ins
from translate_core.conformance.check import check_component
from translate_core.conformance.promise import Status

BROKEN = BrokenComponents("optimizer")


@BROKEN.breaks("optimizer", "returns a torch optimizer", "leaves out 2.bias")
def forgetful(params: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(params[:-1], lr=0.1)


@BROKEN.breaks(
    "optimizer",
    "updates every parameter",
    "a step does not change 0.weight, 0.bias, 1.weight, 2.weight, 2.bias",
)
def standing(params: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=0.0)


class Stubborn(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.data -= 0.1 * parameter.grad


@BROKEN.breaks("optimizer", "uses the learning rate", "parameters change at a rate of 0")
def stubborn(params: list[nn.Parameter]) -> torch.optim.Optimizer:
    return Stubborn(params, lr=0.1)


class Demanding(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data -= group["lr"] * parameter.grad


@BROKEN.breaks("optimizer", "skips parameters", "failed: TypeError: unsupported operand")
def demanding(params: list[nn.Parameter]) -> torch.optim.Optimizer:
    return Demanding(params, lr=0.1)


class Warming(torch.optim.SGD):
    steps = 0

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.steps += 1
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.data -= group["lr"] * self.steps * parameter.grad


@BROKEN.breaks("optimizer", "is restored by its state_dict", "its steps differ after its state was saved and loaded")
def warming(params: list[nn.Parameter]) -> torch.optim.Optimizer:
    return Warming(params, lr=0.1)


@pytest.mark.parametrize("case", BROKEN.cases, ids=lambda case: case.component.__name__)
def test_a_broken_promise_is_reported(case: Case) -> None:
    case.check()


def test_every_promise_is_broken_by_a_component() -> None:
    BROKEN.check_complete()


def test_a_missing_option_is_named() -> None:
    def needy(params: list[nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(params, lr=rate)

    results = check_component(*beside_the_built_ins("optimizer", needy))
    assert [(outcome.status, outcome.detail) for outcome in results.outcomes] == [
        (
            Status.NOT_TESTED,
            "it needs rate and decay: add --set optimizer.tried.rate=VALUE --set optimizer.tried.decay=VALUE",
        )
    ]
