"""The tensors of one micro-batch during a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from translate_core.contracts.method import Method
from translate_core.contracts.update import Update
from translate_core.training.phase import Phase, WeightedLoss


@dataclass(frozen=True)
class DuePhase:
    """A phase of the present step. losses: those that are evaluated. trained: what they train: networks and losses."""

    phase: Phase
    losses: Sequence[WeightedLoss]
    trained: frozenset[str]

    @property
    def update(self) -> Update:
        """The update of the phase."""
        return self.phase.update

    @property
    def needed(self) -> frozenset[str]:
        """The tensors that its losses use."""
        return self.phase.needed(self.losses)


@dataclass(frozen=True)
class Binding:
    """How the method is bound to given tensors. shared: keeps the values that all updates share."""

    given: Mapping[str, Tensor]
    update: Update
    grad: bool
    needed: frozenset[str]
    shared: dict[str, Any]


class MicroBatch:
    """The tensors of one micro-batch, which those phases of a step share whose updates do.

    At most one phase of such a group sends gradients through its tensors. A step of one micro-batch keeps one graph for
    all phases of a group. A step of several keeps one graph at a time, or memory would grow with their number: a phase
    before that one computes its tensors without a graph and drops them, a phase after it gets the detached values.
    """

    def __init__(
        self,
        given: Mapping[str, Tensor],
        bind: Callable[[Binding], Method],
        due: Sequence[DuePhase],
        *,
        alone: bool,
    ) -> None:
        """due: the phases of this step. alone: whether the step has no other micro-batch."""
        self._given = given
        self._bind = bind
        self._due = due
        self._alone = alone
        self._held: dict[tuple[object, ...], Method] = {}
        self._shared: dict[str, Any] = {}

    def tensors(self, due: DuePhase) -> Method:
        """The tensors for a phase."""
        group = due.update.group
        if group in self._held:
            return self._held[group]
        members = self._members(group)
        through = any(item.phase.through for item in members)
        grad = due.phase.through or (self._alone and through)
        needed = frozenset().union(*(item.needed for item in members))
        tensors = self._bind(Binding(self._given, due.update, grad, needed, self._shared))
        if len(members) > 1 and (self._alone or grad or not through):
            self._held[group] = tensors
        return tensors

    def release(self, due: DuePhase) -> None:
        """Frees after a phase what no later phase may need: the graph, or all its tensors."""
        group = due.update.group
        if due is self._members(group)[-1]:
            self._held.pop(group, None)
        elif not self._alone and due.phase.through:
            self._held[group].detach()

    def _members(self, group: tuple[object, ...]) -> list[DuePhase]:
        return [item for item in self._due if item.update.group == group]
