"""The contract of observers: they watch a run and cannot change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class RunInfo:
    """What an observer may know about the run that it watches.

    name: the recipe's name. folder: the run folder. recipe: as resolved, plain data.
    start, length: the step that this session starts at, and the step at which the run is done.
    epoch: steps in an epoch. images_per_step: over all ranks, one domain counted.
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

    direction: `A-B`. image: the test image's name.
    pictures: label -> uint8 (3, H, W) on the CPU, in the order in which they stand.
    """

    direction: str
    image: str
    pictures: Mapping[str, Tensor]


@dataclass(frozen=True)
class Result:
    """One test metric.

    name: `<metric>/<tensor>`. on: what it was computed on, in words. protocol: how, in words.
    """

    name: str
    value: float
    direction: str
    higher_is_better: bool
    on: str
    protocol: str


class Observer:
    """Base of every observer; override what you want to hear of. Called on the first rank only.

    `step` is always the number of optimizer steps that are done.
    """

    def on_start(self, run: RunInfo) -> None:
        """Before the first step of this session."""

    def on_step(self, step: int) -> None:
        """After every step. Must be cheap, and must not read tensors."""

    def on_losses(self, step: int, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """Every `training.log_every`: losses by name, weights included; learning rates by side."""

    def on_samples(self, step: int, samples: Sequence[Sample]) -> None:
        """Every `training.sample_every`."""

    def on_evaluation(self, step: int, results: Sequence[Result]) -> None:
        """Every `training.evaluate_every`, and at the end."""

    def on_checkpoint(self, step: int, path: Path) -> None:
        """A checkpoint was written."""

    def on_stop(self, step: int, finished: bool) -> None:
        """After the last step of this session, also when it ends with an error; who was started last hears it first.

        Called on those alone whose `on_start` returned.
        """
