"""The contract of observers, which watch a run and do not change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class RunInfo:
    """The run that an observer watches.

    name: the name of the recipe. folder: the run folder. recipe: the resolved recipe as plain data.
    start: the number of steps done before this session. length: the step at which the run is finished.
    epoch: steps in an epoch. images_per_step: images of one domain, over all ranks.
    """

    name: str
    folder: Path
    recipe: Mapping[str, Any]
    start: int
    length: int
    epoch: int
    images_per_step: int


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

    `step` is always the number of optimizer steps done so far.
    """

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

        Observers are closed in reverse order; only those whose `on_start` returned are.
        """
