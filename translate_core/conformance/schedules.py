"""The promises of schedules."""

from __future__ import annotations

import math
from collections.abc import Callable

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, saved_and_loaded
from translate_core.conformance.promise import Broken, promise
from translate_core.contracts.schedule import Schedule
from translate_core.errors import UserError, explain
from translate_core.training.failure import why_it_failed

_RUNS = ((1, 1), (10, 3), (700, 7), (40, 40))
"""(length, epoch) in steps: the shortest run, one with an incomplete epoch, a long one, one of a single epoch."""


class ScheduleSubject:
    """A schedule, built for runs of several lengths."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block

    def build(self, length: int, epoch: int) -> Schedule:
        """A new schedule."""
        schedule: Schedule = self.block(length=length, epoch=epoch)
        return schedule


def _factors(schedule: Schedule, length: int, epoch: int, start: int = 0) -> list[float]:
    """The factor of every step in order; after each epoch it receives a loss, which falls and then stays."""
    factors = []
    for step in range(start, length):
        factors.append(schedule.factor(step))
        if (step + 1) % epoch == 0:
            loss = max(1.0 - 0.1 * ((step + 1) // epoch), 0.5)
            schedule.after_epoch(loss, {"adversarial": loss / 2, "loss": loss / 2, "loss/part": loss / 2})
    return factors


def _in_each_run(subject: ScheduleSubject, check: Callable[[int, int], None]) -> None:
    """Checks each run. A UserError for a run that is too short for the options is allowed, unless for all runs."""
    refused: list[str] = []
    for length, epoch in _RUNS:
        try:
            subject.build(length, epoch)
        except UserError as error:
            refused.append(str(error))
            continue
        check(length, epoch)
    if len(refused) == len(_RUNS):
        raise Broken(f"refuses every run: {refused[0]}")


@promise(
    "builds for runs of any length", "the recipe decides the length of a run, the data that of an epoch", first=True
)
def builds(subject: ScheduleSubject) -> None:
    """From one step upwards."""

    def check(length: int, epoch: int) -> None:
        subject.build(length, epoch)

    try:
        _in_each_run(subject, check)
    except Broken:
        raise
    except Exception as error:  # whatever a component's constructor raises
        raise Broken(f"cannot be built: {explain(error)}") from None


@promise("returns a finite factor of at least 0 for every step", "every learning rate is multiplied by it", first=True)
def returns_factors(subject: ScheduleSubject) -> None:
    """From the first step to the last."""

    def check(length: int, epoch: int) -> None:
        for step, factor in enumerate(_factors(subject.build(length, epoch), length, epoch)):
            number = isinstance(factor, int | float) and not isinstance(factor, bool)
            if not number or not math.isfinite(factor) or factor < 0:
                raise Broken(f"factor({step}) of a run of {length} steps is {factor!r}")

    _in_each_run(subject, check)


@promise(
    "depends on the step and its state alone",
    "a resumed run calls a new schedule for the remaining steps only",
)
def is_pure(subject: ScheduleSubject) -> None:
    """The factors are the same when the steps are called again or in reverse order."""

    def check(length: int, epoch: int) -> None:
        schedule = subject.build(length, epoch)
        forwards = [schedule.factor(step) for step in range(length)]
        backwards = [schedule.factor(step) for step in reversed(range(length))][::-1]
        anew = [subject.build(length, epoch).factor(step) for step in (0, length // 2, length - 1)]
        if forwards != backwards or anew != [forwards[step] for step in (0, length // 2, length - 1)]:
            raise Broken("the factor of a step depends on the steps that were called before")

    _in_each_run(subject, check)


@promise(
    "accepts any losses",
    "the recipe names the losses, and a loss that was not evaluated in an epoch is missing",
)
def accepts_losses(subject: ScheduleSubject) -> None:
    """None, some, with parts; it may refuse them with a UserError, such as one that names the loss that it watches."""

    def check(length: int, epoch: int) -> None:
        schedule = subject.build(length, epoch)
        for parts in ({}, {"other": 1.0}, {"other": 0.5, "other/part": 0.5}, {}):
            try:
                schedule.after_epoch(1.0, parts)
            except UserError:
                return
            except Exception as error:  # whatever a component raises
                raise Broken(f"after_epoch(1.0, {parts}) {why_it_failed(error)}") from None

    _in_each_run(subject, check)


@promise(
    "is restored by its state_dict",
    "what a schedule keeps of the losses must be in the checkpoint",
)
def is_restored(subject: ScheduleSubject) -> None:
    """Saved in the middle of a run and loaded with weights_only, its factors are the same."""

    def check(length: int, epoch: int) -> None:
        whole = _factors(subject.build(length, epoch), length, epoch)
        middle = length // 2
        first = subject.build(length, epoch)
        _factors(first, middle, epoch)
        second = subject.build(length, epoch)
        second.load_state_dict(saved_and_loaded(first.state_dict(), "its state_dict"))
        if _factors(second, length, epoch, middle) != whole[middle:]:
            raise Broken("its factors differ after its state was saved and loaded")

    _in_each_run(subject, check)


PROMISES = (builds, returns_factors, is_pure, accepts_losses, is_restored)
