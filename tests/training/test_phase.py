"""A phase evaluates losses without changing state; micro-batches share tensors as the memory of a step allows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from translate_core import DISCRIMINATORS, GENERATORS, Update, load_recipe, open_run
from translate_core.training.micro_batch import Binding, DuePhase, MicroBatch

Write = Callable[..., Path]


def test_losses_change_nothing(write_recipe: Write) -> None:
    """A schedule that uses losses, and the count of micro-batches, are updated by the update alone."""
    recipe = load_recipe(write_recipe(), {"schedule": {"type": "plateau"}})
    with open_run(recipe, device="cpu") as run:
        phase = run.assembly.phases[0]
        due = phase.due(0)
        trained = phase.trained(due, ())
        tensors = run.tensors(grad=True)
        first = phase.losses(due, tensors, run.assembly.calls, trained)
        second = phase.losses(due, tensors, run.assembly.calls, trained)
        assert torch.equal(first.total, second.total)
        schedule = phase.optimizer.schedule
        assert schedule.state_dict()["sum"] is None
        phase.backward(first, trained, 2)
        assert torch.equal(schedule.state_dict()["sum"], first.total.detach())
        assert all(not value.requires_grad for value in first.parts.values())


class Bound:
    """Stands for a method that is bound to a batch."""

    def __init__(self, binding: Binding) -> None:
        self.draws, self.grad, self.detached = binding.update.draws, binding.grad, False

    def detach(self) -> None:
        self.detached = True


class Declared:
    """Stands for a phase. The gradients of the generators' updates pass through tensors."""

    def __init__(self, update: Update) -> None:
        self.update = update
        self.through = update.side == GENERATORS

    def needed(self, due: object) -> frozenset[str]:
        return frozenset()


def micro_batch(*updates: Update, alone: bool) -> tuple[MicroBatch, list[DuePhase], list[Bound]]:
    bound: list[Bound] = []

    def bind(binding: Binding) -> Any:
        bound.append(Bound(binding))
        return bound[-1]

    due = [DuePhase(Declared(update), (), frozenset()) for update in updates]  # type: ignore[arg-type]
    return MicroBatch({}, bind, due, alone=alone), due, bound


G, D = Update(GENERATORS), Update(DISCRIMINATORS)


@pytest.mark.parametrize("order", [(G, D), (D, G)], ids=["G first", "D first"])
def test_a_single_micro_batch_keeps_one_graph_for_all_phases(order: tuple[Update, Update]) -> None:
    batch, due, bound = micro_batch(*order, alone=True)
    for phase in due:
        assert batch.tensors(phase) is bound[0]  # type: ignore[comparison-overlap]
        batch.release(phase)
    assert [(item.draws, item.grad, item.detached) for item in bound] == [("", True, False)]


def test_without_gradients_through_tensors_there_is_no_graph() -> None:
    """Two critic updates share their tensors in a step that does not update the generators."""
    second = Update(DISCRIMINATORS, "second")
    for alone in (True, False):
        batch, due, bound = micro_batch(D, second, alone=alone)
        for phase in due:
            batch.tensors(phase)
            batch.release(phase)
        assert [(item.draws, item.grad) for item in bound] == [("", False)]


def test_of_several_a_phase_after_the_generators_gets_detached_values() -> None:
    batch, (first, second), bound = micro_batch(G, D, alone=False)
    batch.tensors(first)
    assert not bound[0].detached
    batch.release(first)
    assert bound[0].detached
    assert batch.tensors(second) is bound[0]  # type: ignore[comparison-overlap]
    assert [(item.draws, item.grad) for item in bound] == [("", True)]


def test_of_several_a_phase_before_the_generators_computes_without_a_graph() -> None:
    batch, due, bound = micro_batch(D, G, alone=False)
    for phase in due:
        batch.tensors(phase)
        batch.release(phase)
    assert [(item.draws, item.grad) for item in bound] == [("", False), ("", True)]


@pytest.mark.parametrize("alone", [True, False])
def test_fresh_tensors_have_draws_of_their_own(alone: bool) -> None:
    batch, due, bound = micro_batch(Update(DISCRIMINATORS, fresh=True), Update(GENERATORS, fresh=True), alone=alone)
    for phase in due:
        batch.tensors(phase)
        batch.release(phase)
    assert [(item.draws, item.grad) for item in bound] == [(DISCRIMINATORS, False), (GENERATORS, True)]


@pytest.mark.parametrize("alone", [True, False])
def test_updates_with_another_tensor_in_place_do_not_share(alone: bool) -> None:
    batch, due, bound = micro_batch(D, Update(DISCRIMINATORS, "other", instead={"style": "style_taken"}), alone=alone)
    for phase in due:
        batch.tensors(phase)
        batch.release(phase)
    assert len(bound) == 2
