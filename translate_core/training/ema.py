"""Exponential moving averages of weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class EMA:
    """A copy of a network whose weights are an exponential moving average of the network's.

    Karras et al., CVPR 2018 (PGGAN), section 2.
    """

    def __init__(self, source: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(source).eval().requires_grad_(False)
        self._source = source
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Called after optimizer step `step`, counted from 0.

        The decay is min(decay, (1 + step) / (10 + step)), so that the initial weights are forgotten early.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        averaged: list[Tensor] = list(self.module.parameters())
        current: list[Tensor] = list(self._source.parameters())
        torch._foreach_lerp_(averaged, current, 1.0 - decay)
        for mine, theirs in zip(self.module.buffers(), self._source.buffers(), strict=True):
            mine.copy_(theirs)

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights."""
        return self.module.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the averaged weights."""
        self.module.load_state_dict(state_dict)
