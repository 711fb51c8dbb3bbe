"""Promises: what a component must do, why, and the check."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from translate_core.errors import UserError, explain
from translate_core.training.failure import why_it_failed

T = TypeVar("T")


class Broken(Exception):  # noqa: N818 - a finding, not an error of the engine
    """A component does not keep a promise. The message states what it does instead."""


class NotTested(Exception):  # noqa: N818
    """A promise cannot be checked here. The message states the reason and a remedy."""


class Status(enum.Enum):
    """The outcome of a check. ADVICE: nothing fails, but documentation or a warning is missing."""

    KEPT = "✓"
    BROKEN = "✗"
    NOT_TESTED = "–"
    ADVICE = "!"


@dataclass(frozen=True)
class Promise:
    """One thing that the engine relies on.

    text: continues the component's name: "keeps the size of an image". why: what fails without it.
    check: raises Broken or NotTested; any other exception is the component's fault.
    first: whether later promises cannot be checked if it is broken. advice: whether the plugin works without it.
    applies: whether the promise applies to the component.
    """

    text: str
    why: str
    check: Callable[[Any], None]
    first: bool = False
    advice: bool = False
    applies: Callable[[Any], bool] = lambda subject: True


@dataclass(frozen=True)
class Outcome:
    """The result of one check. detail: the finding, empty for a promise that is kept."""

    promise: Promise
    status: Status
    detail: str = ""


def promise(
    text: str,
    why: str,
    *,
    first: bool = False,
    advice: bool = False,
    applies: Callable[[Any], bool] = lambda subject: True,
) -> Callable[[Callable[[Any], None]], Promise]:
    """Decorator: makes a promise of a check."""
    return lambda check: Promise(text, why, check, first, advice, applies)


@dataclass(frozen=True)
class Results:
    """The outcomes of one component. whole: whether every promise that applies was checked."""

    outcomes: tuple[Outcome, ...]
    whole: bool

    def count(self, status: Status) -> int:
        """The number of outcomes with that status."""
        return sum(outcome.status is status for outcome in self.outcomes)


def check_promises(promises: Sequence[Promise], subject: Any) -> Results:
    """Checks every promise that applies, in order; those after a `first` one only if it is kept."""
    outcomes: list[Outcome] = []
    left = list(promises)
    while left:
        item = left.pop(0)
        if not item.applies(subject):
            continue
        outcomes.append(_check(item, subject))
        if item.first and outcomes[-1].status is not Status.KEPT:
            return Results(tuple(outcomes), whole=False)
    return Results(tuple(outcomes), whole=True)


def _check(item: Promise, subject: Any) -> Outcome:
    wrong = Status.ADVICE if item.advice else Status.BROKEN
    try:
        item.check(subject)
    except NotTested as reason:
        return Outcome(item, Status.NOT_TESTED, str(reason))
    except (Broken, UserError) as fault:
        return Outcome(item, wrong, str(fault))
    except Exception as error:  # whatever a component raises
        return Outcome(item, wrong, why_it_failed(error))
    return Outcome(item, Status.KEPT)


def built(build: Callable[[], T]) -> T:
    """What `build` returns. Raises Broken with the reason if it raises."""
    try:
        return build()
    except Exception as error:  # a component's constructor may raise anything
        raise Broken(f"cannot be built: {explain(error)}") from None
