"""The contract of observers, which watch a run, and may end it early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class RunInfo:
    """The run that an observer watches.

    name: the name of the recipe. folder: the run folder. recipe: the resolved recipe as plain data.
    start: the number of steps done before this session. length: the step at which the run is finished.
    epoch: steps in an epoch. images_per_step: images of one domain, over all ranks.
    metrics: by direction, the names of the test metrics, as results have them.
    """

    name: str
    folder: Path
    recipe: Mapping[str, Any]
    start: int
    length: int
    epoch: int
    images_per_step: int
    metrics: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One row of a sample grid.

    direction: `A-B`. image: the name of the test image.
    pictures: by label, uint8 (3, H, W) on the CPU, in the order of the columns.
    """

    direction: str
    image: str
    pictures: Mapping[str, Tensor]


@dataclass(frozen=True)
class Result:
    """The value of one metric on test images.

    name: `<metric>/<tensor>`. direction: of the translation, such as A-B. on: the tensors, images and weights that it
    was computed on, in words. protocol: how it was computed, in words.
    """

    name: str
    value: float
    direction: str
    higher_is_better: bool
    on: str
    protocol: str


class Observer:
    """Base class of observers: override the events that you need. Called on the first rank only.

    `step` is always the number of optimizer steps done so far. What an observer raises ends the run with a message that
    names it; the run continues from its last checkpoint.

    stop_reason: the reason given to `stop`; None while it has not been called.
    """

    stop_reason: str | None = None

    def on_start(self, run: RunInfo) -> None:
        """Before the first step of this session."""

    def on_step(self, step: int) -> None:
        """After every step. It must be fast and must not read tensors."""

    def on_losses(self, step: int, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """Every `training.log_every`. losses: by name, multiplied by their weights. rates: learning rates by side."""

    def on_samples(self, step: int, samples: Sequence[Sample]) -> None:
        """Every `training.sample_every`."""

    def on_evaluation(self, step: int, results: Sequence[Result]) -> None:
        """Every `training.evaluate_every`, and at the end."""

    def on_checkpoint(self, step: int, path: Path) -> None:
        """A checkpoint was written."""

    def on_stop(self, step: int, finished: bool) -> None:
        """After the last step of this session, also when it ends with an error.

        finished: whether the run has reached its length, or an observer ended it.
        Observers are closed in reverse order; only those whose `on_start` returned are.
        """

    def state_dict(self) -> dict[str, Any]:
        """The state that a resumed run needs: tensors, numbers and text, in dicts and lists. Empty if there is none.

        Checkpoints keep it; it is asked for after the events of a step, before `on_checkpoint`.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state, before `on_start`.

        Called when a run is resumed and its checkpoint has a state of the observer with this name and type.
        """

    def stop(self, reason: str) -> None:
        """Ends the run after this step: it is finished as if it had reached its length.

        The metrics are computed, and weights, results and the reason are written. A request in `on_start` or
        `on_checkpoint` ends the run after the next step. A longer `training.length` continues the run.

        Raises ValueError for a reason that is not a text.
        """
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"stop() takes the reason as a text, not {reason!r}")
        self.stop_reason = reason
