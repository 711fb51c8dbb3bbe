"""What schedules promise."""

from __future__ import annotations

import math
from collections.abc import Callable

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, saved_and_loaded
from translate_core.conformance.promise import Broken, promise
from translate_core.contracts.schedule import Schedule
from translate_core.errors import UserError, explain

_RUNS = ((1, 1), (10, 3), (700, 7), (40, 40))
"""(length, epoch) in steps: as short as can be, of a broken epoch, longer, of one epoch."""


class ScheduleSubject:
    """A schedule for runs of several lengths."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block

    def build(self, length: int, epoch: int) -> Schedule:
        """A fresh one."""
        schedule: Schedule = self.block(length=length, epoch=epoch)
        return schedule


def _factors(schedule: Schedule, length: int, epoch: int, start: int = 0) -> list[float]:
    """The factor of every step, in order, with the losses of the epochs between, which fall and then stay."""
    factors = []
    for step in range(start, length):
        factors.append(schedule.factor(step))
        if (step + 1) % epoch == 0:
            schedule.after_epoch(max(1.0 - 0.1 * ((step + 1) // epoch), 0.5))
    return factors


def _in_each_run(subject: ScheduleSubject, trial: Callable[[int, int], None]) -> None:
    """Options may not suit a run that short, which a UserError says; some run they must suit."""
    refused: list[str] = []
    for length, epoch in _RUNS:
        try:
            subject.build(length, epoch)
        except UserError as error:
            refused.append(str(error))
            continue
        trial(length, epoch)
    if len(refused) == len(_RUNS):
        raise Broken(f"refuses every run: {refused[0]}")


@promise(
    "builds, for runs of any length", "the recipe decides how long a run is, the data how long an epoch", first=True
)
def builds(subject: ScheduleSubject) -> None:
    """From one step up."""

    def trial(length: int, epoch: int) -> None:
        subject.build(length, epoch)

    try:
        _in_each_run(subject, trial)
    except Broken:
        raise
    except Exception as error:  # whatever a component's constructor raises
        raise Broken(f"cannot be built: {explain(error)}") from None


@promise("gives a finite factor of at least 0 for every step", "every learning rate is multiplied by it", first=True)
def gives_factors(subject: ScheduleSubject) -> None:
    """From the first step to the last."""

    def trial(length: int, epoch: int) -> None:
        for step, factor in enumerate(_factors(subject.build(length, epoch), length, epoch)):
            number = isinstance(factor, int | float) and not isinstance(factor, bool)
            if not number or not math.isfinite(factor) or factor < 0:
                raise Broken(f"factor({step}) of a run of {length} steps is {factor!r}")

    _in_each_run(subject, trial)


@promise(
    "decides by the step and its state alone",
    "a run that goes on asks for the steps that are left, of a schedule that was built anew",
)
def is_pure(subject: ScheduleSubject) -> None:
    """Asked again, or backwards, it says the same."""

    def trial(length: int, epoch: int) -> None:
        schedule = subject.build(length, epoch)
        forwards = [schedule.factor(step) for step in range(length)]
        backwards = [schedule.factor(step) for step in reversed(range(length))][::-1]
        anew = [subject.build(length, epoch).factor(step) for step in (0, length // 2, length - 1)]
        if forwards != backwards or anew != [forwards[step] for step in (0, length // 2, length - 1)]:
            raise Broken("what it returns for a step depends on which steps it was asked for before")

    _in_each_run(subject, trial)


@promise(
    "goes on from its state_dict",
    "what a schedule remembers of the losses goes through the checkpoint",
)
def goes_on(subject: ScheduleSubject) -> None:
    """Saved in the middle of a run, loaded with weights_only, it goes on the same."""

    def trial(length: int, epoch: int) -> None:
        whole = _factors(subject.build(length, epoch), length, epoch)
        middle = length // 2
        first = subject.build(length, epoch)
        _factors(first, middle, epoch)
        second = subject.build(length, epoch)
        second.load_state_dict(saved_and_loaded(first.state_dict(), "its state_dict"))
        if _factors(second, length, epoch, middle) != whole[middle:]:
            raise Broken("its factors differ after its state was saved and loaded")

    _in_each_run(subject, trial)


PROMISES = (builds, gives_factors, is_pure, goes_on)
