"""A schedule that waits for the loss to stop falling."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, NonNegativeInt

from translate_core import Schedule


class Plateau(Schedule):
    """Multiplies the learning rate by `gamma` where the loss has stopped falling.

    The loss is the mean over an epoch of all that the side minimises. An epoch is better when its loss lies below the
    best so far by more than `threshold` of it; after `patience` epochs in a row that are not, the next one that is not
    reduces the rate, and the counting starts anew: torch's ReduceLROnPlateau with mode min and a relative threshold,
    but that losses below zero are better by the same measure. Each side of the game counts its own losses, whose fall
    says less in a game than elsewhere: what a generator minimises rises as its discriminator learns.

    Args:
        length: steps of the whole run; nothing depends on it.
        epoch: steps in an epoch; nothing depends on it.
        gamma: what each reduction multiplies the learning rate by.
        patience: epochs in a row without improvement that are let pass.
        threshold: the part of the best loss by which a better one must lie below it.
        floor: the smallest factor.
    """

    def __init__(
        self,
        length: int,
        epoch: int,
        *,
        gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1,
        patience: NonNegativeInt = 10,
        threshold: Annotated[float, Field(ge=0, lt=1)] = 1e-4,
        floor: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        self._gamma = gamma
        self._patience = patience
        self._threshold = threshold
        self._floor = floor
        self._factor = 1.0
        self._best: float | None = None
        self._waited = 0

    def factor(self, step: int) -> float:
        """Returns a factor in floor … 1; it depends on the epochs so far, not on the step."""
        return self._factor

    def after_epoch(self, loss: float) -> None:
        """Takes an epoch's loss into account."""
        if self._best is None or loss < self._best - self._threshold * abs(self._best):
            self._best = loss
            self._waited = 0
            return
        self._waited += 1
        if self._waited > self._patience:
            self._factor = max(self._factor * self._gamma, self._floor)
            self._waited = 0

    def state_dict(self) -> dict[str, Any]:
        """The factor, the best loss, and the epochs without improvement since."""
        return {"factor": self._factor, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them back."""
        self._factor = state_dict["factor"]
        self._best = state_dict["best"]
        self._waited = state_dict["waited"]
