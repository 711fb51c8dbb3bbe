"""Step decay."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from translate_core import Length, Schedule, UserError


class Step(Schedule):
    """Step decay: the learning rate is multiplied by `gamma` at the end of each interval `every`.

    Raises UserError when `every` is zero.

    Args:
        length: steps of the whole run; not used.
        epoch: steps in an epoch.
        every: length of an interval.
        gamma: factor on the learning rate after each interval.
    """

    def __init__(
        self, length: int, epoch: int, *, every: Length, gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    ) -> None:
        if every.count == 0:
            raise UserError(f"every must be at least 1, not '{every}'")
        self._every = every.steps(epoch)
        self._gamma = gamma

    def factor(self, step: int) -> float:
        """step: 0 for the first optimizer step. Returns a factor greater than 0, at most 1."""
        return self._gamma ** (step // self._every)
