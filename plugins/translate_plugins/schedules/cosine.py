"""Cosine annealing."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from translate_core import Schedule


class Cosine(Schedule):
    """Half a cosine from 1 to `final`, step by step (Loshchilov and Hutter, SGDR, ICLR 2017, equation 5, no restarts).

    `final` is reached after the last step, so the last step has a learning rate greater than 0 also where `final` is 0.

    Args:
        length: steps of the whole run.
        epoch: steps in an epoch; not used.
        final: the factor at the end.
    """

    def __init__(self, length: int, epoch: int, *, final: Annotated[float, Field(ge=0, le=1)] = 0.0) -> None:
        self._length = length
        self._final = final

    def factor(self, step: int) -> float:
        """step: 0 for the first optimizer step. Returns a factor in final … 1."""
        progress = min(step / self._length, 1.0)
        return self._final + (1.0 - self._final) * (1.0 + math.cos(math.pi * progress)) / 2.0
