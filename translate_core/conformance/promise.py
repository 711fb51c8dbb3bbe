"""Promises: what a component must do, why, and whether it does."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from translate_core.errors import UserError
from translate_core.training.failure import why_it_failed


class Broken(Exception):  # noqa: N818 - what a trial found, not an error of ours
    """A component does not keep a promise. The message says what it did instead."""


class NotTried(Exception):  # noqa: N818
    """A promise cannot be tried here. The message says why, and what would help."""


class Status(enum.Enum):
    """How a trial ended. ADVICE: nothing fails for it, but people see less than they could."""

    KEPT = "✓"
    BROKEN = "✗"
    NOT_TRIED = "–"
    ADVICE = "!"


@dataclass(frozen=True)
class Promise:
    """One thing that the engine relies on.

    says: in words that go on from the component's name: "keeps the size of an image". why: what fails without it.
    trial: raises Broken or NotTried; whatever else it raises is the component's.
    first: whether nothing after it can be tried where it is broken. advice: whether the plugin works without it.
    applies: whether the component promises it at all.
    """

    says: str
    why: str
    trial: Callable[[Any], None]
    first: bool = False
    advice: bool = False
    applies: Callable[[Any], bool] = lambda subject: True


@dataclass(frozen=True)
class Outcome:
    """A promise tried. detail: what was found where it is not kept; empty where it is."""

    promise: Promise
    status: Status
    detail: str = ""


def promise(
    says: str,
    why: str,
    *,
    first: bool = False,
    advice: bool = False,
    applies: Callable[[Any], bool] = lambda subject: True,
) -> Callable[[Callable[[Any], None]], Promise]:
    """Makes a promise of the trial below."""
    return lambda trial: Promise(says, why, trial, first, advice, applies)


@dataclass(frozen=True)
class Trial:
    """What became of the promises of one component. whole: whether all that apply were tried."""

    outcomes: tuple[Outcome, ...]
    whole: bool

    def count(self, status: Status) -> int:
        """How many ended that way."""
        return sum(outcome.status is status for outcome in self.outcomes)


def try_all(promises: Sequence[Promise], subject: Any) -> Trial:
    """Every promise that applies, tried in order; those after a `first` one only if it is kept."""
    outcomes: list[Outcome] = []
    left = list(promises)
    while left:
        item = left.pop(0)
        if not item.applies(subject):
            continue
        outcomes.append(_try(item, subject))
        if item.first and outcomes[-1].status is not Status.KEPT:
            return Trial(tuple(outcomes), whole=False)
    return Trial(tuple(outcomes), whole=True)


def _try(item: Promise, subject: Any) -> Outcome:
    wrong = Status.ADVICE if item.advice else Status.BROKEN
    try:
        item.trial(subject)
    except NotTried as reason:
        return Outcome(item, Status.NOT_TRIED, str(reason))
    except (Broken, UserError) as fault:
        return Outcome(item, wrong, str(fault))
    except Exception as error:  # whatever a component raises
        return Outcome(item, wrong, why_it_failed(error))
    return Outcome(item, Status.KEPT)
