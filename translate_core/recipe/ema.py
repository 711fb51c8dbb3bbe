"""The EMA of a recipe: a decay, or a block with more."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from translate_core.contracts.length import Length

Decay = Annotated[float, Field(gt=0, lt=1)]


class EMASettings(BaseModel):
    """How an exponential moving average follows the weights.

    decay: the factor of the average at each of its updates. every: how often it is updated. start (`from` in a recipe):
    the step from which it averages; at each earlier update it is a copy of the weights. Without it the decay is at most
    (1 + step) / (10 + step), so that the initial weights are forgotten early.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    decay: Decay
    every: Length = Length(1, "steps")
    start: Length | None = Field(default=None, alias="from")


def ema_settings(value: float | EMASettings | None) -> EMASettings | None:
    """The settings; a number is the decay."""
    return EMASettings(decay=value) if isinstance(value, float) else value
