"""A phase evaluates losses without changing state; micro-batches share tensors as the memory of a step allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from translate_core import DISCRIMINATORS, GENERATORS, load_recipe, open_run
from translate_core.training.micro_batch import MicroBatch

Write = Callable[..., Path]


def test_losses_change_nothing(write_recipe: Write) -> None:
    """A schedule that uses losses, and the count of micro-batches, are updated by the update alone."""
    recipe = load_recipe(write_recipe(), {"schedule": {"type": "plateau"}})
    with open_run(recipe, device="cpu") as run:
        phase = run.assembly.phases[0]
        tensors = run.tensors(grad=True)
        first = phase.losses(tensors, run.assembly.calls)
        second = phase.losses(tensors, run.assembly.calls)
        assert torch.equal(first.total, second.total)
        assert phase.schedule.state_dict()["sum"] is None
        phase.backward(first.total, 2)
        assert torch.equal(phase.schedule.state_dict()["sum"], first.total.detach())
        assert all(not value.requires_grad for value in first.parts.values())


class Bound:
    """Stands for a method that is bound to a batch."""

    def __init__(self, draws: str, grad: bool) -> None:
        self.draws, self.grad, self.detached = draws, grad, False

    def detach(self) -> None:
        self.detached = True


def micro_batch(*, fresh: bool, alone: bool) -> tuple[MicroBatch, list[Bound]]:
    bound: list[Bound] = []

    def bind(given: Mapping[str, Tensor], draws: str, grad: bool) -> Any:
        bound.append(Bound(draws, grad))
        return bound[-1]

    return MicroBatch({}, bind, fresh=fresh, alone=alone), bound


@pytest.mark.parametrize("order", [(GENERATORS, DISCRIMINATORS), (DISCRIMINATORS, GENERATORS)])
def test_a_single_micro_batch_keeps_one_graph_for_all_phases(order: tuple[str, str]) -> None:
    batch, bound = micro_batch(fresh=False, alone=True)
    for side in order:
        assert batch.tensors(side) is bound[0]  # type: ignore[comparison-overlap]
        batch.release(side)
    assert [(item.draws, item.grad, item.detached) for item in bound] == [("", True, False)]


def test_of_several_a_phase_after_the_generators_gets_detached_values() -> None:
    batch, bound = micro_batch(fresh=False, alone=False)
    batch.tensors(GENERATORS)
    assert not bound[0].detached
    batch.release(GENERATORS)
    assert bound[0].detached
    assert batch.tensors(DISCRIMINATORS) is bound[0]  # type: ignore[comparison-overlap]
    assert [(item.draws, item.grad) for item in bound] == [("", True)]


def test_of_several_a_phase_before_the_generators_computes_without_a_graph() -> None:
    batch, bound = micro_batch(fresh=False, alone=False)
    for side in (DISCRIMINATORS, GENERATORS):
        batch.tensors(side)
        batch.release(side)
    assert [(item.draws, item.grad) for item in bound] == [("", False), ("", True)]


@pytest.mark.parametrize("alone", [True, False])
def test_fresh_tensors_have_draws_of_their_own(alone: bool) -> None:
    batch, bound = micro_batch(fresh=True, alone=alone)
    for side in (DISCRIMINATORS, GENERATORS):
        batch.tensors(side)
        batch.release(side)
    assert [(item.draws, item.grad) for item in bound] == [(DISCRIMINATORS, False), (GENERATORS, True)]
