"""A schedule that depends on the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt

from translate_core import Schedule, UserError, did_you_mean


class Plateau(Schedule):
    """Multiplies the learning rate by `gamma` when the loss has stopped decreasing.

    The loss is the mean over an epoch of the sum of all losses of the side. An epoch is an improvement when its loss
    lies below the best so far by more than `threshold` of its absolute value. After `patience` epochs in a row without
    improvement the next one without improvement reduces the rate, and counting starts again, after `cooldown` epochs if
    there are any: torch's ReduceLROnPlateau with mode min and a relative threshold, except that the threshold also
    applies to losses below zero. Each side has its own schedule and losses. In adversarial training the loss is a weak
    measure of progress: the loss of a generator rises as its discriminator learns.

    Args:
        length: steps of the whole run; not used.
        epoch: steps in an epoch; not used.
        gamma: factor on the learning rate at each reduction.
        patience: epochs in a row without improvement before a reduction.
        cooldown: epochs after a reduction that do not count as epochs without improvement.
        threshold: what an improvement must exceed, as a fraction of the best loss.
        floor: the smallest factor.
        watch: the loss that is watched, by its name in logs, such as `cycle` or `cycle/rec_A`; null for the sum of all
            losses of the side.
    """

    def __init__(
        self,
        length: int,
        epoch: int,
        *,
        gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1,
        patience: NonNegativeInt = 10,
        cooldown: NonNegativeInt = 0,
        threshold: Annotated[float, Field(ge=0, lt=1)] = 1e-4,
        floor: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        watch: str | None = None,
    ) -> None:
        self._gamma = gamma
        self._patience = patience
        self._cooldown = cooldown
        self._threshold = threshold
        self._floor = floor
        self._watch = watch
        self._factor = 1.0
        self._best: float | None = None
        self._waited = 0
        self._cooling = 0

    def factor(self, step: int) -> float:
        """Returns a factor in floor … 1, which depends on the losses so far and not on the step."""
        return self._factor

    def after_epoch(self, loss: float, parts: Mapping[str, float]) -> None:
        """Compares the loss of an epoch with the best, and reduces the factor where it is due.

        Raises UserError when the side has no loss of the name that is watched.
        """
        if self._watch is not None:
            if self._watch not in parts:
                raise UserError(
                    f"schedule plateau watches '{self._watch}', and no loss of its side is logged under that name"
                    f"{did_you_mean(self._watch, parts)} There are: {', '.join(parts)}"
                )
            loss = parts[self._watch]
        if self._best is None or loss < self._best - self._threshold * abs(self._best):
            self._best = loss
            self._waited = 0
        else:
            self._waited += 1
        if self._cooling > 0:
            self._cooling -= 1
            self._waited = 0
        if self._waited > self._patience:
            self._factor = max(self._factor * self._gamma, self._floor)
            self._waited = 0
            self._cooling = self._cooldown

    def state_dict(self) -> dict[str, Any]:
        """The factor, the best loss, the epochs without improvement since, and those of the cooldown that remain."""
        return {"factor": self._factor, "best": self._best, "waited": self._waited, "cooling": self._cooling}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the state of `state_dict`."""
        self._factor = state_dict["factor"]
        self._best = state_dict["best"]
        self._waited = state_dict["waited"]
        self._cooling = state_dict["cooling"]
