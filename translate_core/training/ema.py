"""Exponential moving averages of weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from translate_core.contracts.parameters import parameters_of


class EMA:
    """A copy of a network whose weights are an exponential moving average of the network's.

    Karras et al., CVPR 2018 (PGGAN), section 2.
    """

    def __init__(self, source: nn.Module, decay: float, every: int = 1, start: int | None = None) -> None:
        """decay: the factor of the average. every: how often it is updated, in steps. start: the step from which it
        averages, copying the weights until then; None for an average from the first step."""
        self.module = copy.deepcopy(source).eval().requires_grad_(False)
        self._source = source
        self._decay = decay
        self._every = every
        self._start = start

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Called after optimizer step `step`, counted from 0, of the network.

        Without a start the decay is min(decay, (1 + step) / (10 + step)), so that the initial weights are forgotten
        early.
        """
        if (step + 1) % self._every:
            return
        averaged: list[Tensor] = [*parameters_of(self.module)]
        current: list[Tensor] = [*parameters_of(self._source)]
        torch._foreach_lerp_(averaged, current, 1.0 - self._decay_at(step))
        for mine, theirs in zip(self.module.buffers(), self._source.buffers(), strict=True):
            mine.copy_(theirs)

    def _decay_at(self, step: int) -> float:
        if self._start is None:
            return min(self._decay, (1 + step) / (10 + step))
        return self._decay if step >= self._start else 0.0

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights."""
        return self.module.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the averaged weights."""
        self.module.load_state_dict(state_dict)
