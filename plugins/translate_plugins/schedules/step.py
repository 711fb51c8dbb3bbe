"""A schedule in steps of a staircase."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from translate_core import Length, Schedule, UserError


class Step(Schedule):
    """A staircase: after each `every`, the learning rate is multiplied by `gamma` once more.

    Raises UserError when `every` is zero.

    Args:
        length: steps of the whole run; the staircase does not depend on it.
        epoch: steps in an epoch.
        every: how long a stair is.
        gamma: what each stair multiplies the learning rate by.
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
