"""The weight of a loss: a number, or a change over steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Ramp:
    """A weight that changes linearly from `start` to `end` over that many optimizer steps, and then stays."""

    start: float
    end: float
    steps: int

    def at(self, step: int) -> float:
        """step: optimizer steps that were done before."""
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)
