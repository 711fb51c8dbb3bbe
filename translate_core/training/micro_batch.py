"""The tensors of one micro-batch during a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from translate_core.contracts.method import Method
from translate_core.contracts.role import GENERATORS

Bind = Callable[[Mapping[str, Tensor], str, bool], Method]
"""Binds the method to given tensors: (given, name of the draws, whether tensors carry gradients)."""


class MicroBatch:
    """The tensors of one micro-batch, which the phases of a step share unless the method has `fresh_tensors`.

    Only the generators' phase sends gradients through tensors. A step of one micro-batch keeps one graph for all
    phases. A step of several keeps one graph at a time, or memory would grow with their number: a phase before the
    generators' computes its tensors without a graph and drops them, a phase after it gets the detached values.
    """

    def __init__(self, given: Mapping[str, Tensor], bind: Bind, *, fresh: bool, alone: bool) -> None:
        """fresh: whether each phase computes its own tensors. alone: whether the step has no other micro-batch."""
        self._given = given
        self._bind = bind
        self._fresh = fresh
        self._alone = alone
        self._shared: Method | None = None

    def tensors(self, side: str) -> Method:
        """The tensors for the phase of a side."""
        if self._fresh:
            return self._bind(self._given, side, side == GENERATORS)
        if self._shared is not None:
            return self._shared
        tensors = self._bind(self._given, "", self._alone or side == GENERATORS)
        if self._alone or side == GENERATORS:
            self._shared = tensors
        return tensors

    def release(self, side: str) -> None:
        """Frees the graph after the phase of a side, if no later phase may need it."""
        if self._shared is not None and not self._alone and side == GENERATORS:
            self._shared.detach()
