"""What `translate-plugins check` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from translate_core.components.registry import Registration
from translate_core.conformance.check import check_component, check_documentation
from translate_core.conformance.kit import Kit
from translate_core.conformance.promise import Outcome, Status, Trial
from translate_core.contracts.hook import CONTRACT
from translate_core.runtime.console import OK, USER_FAULT, stdout, text_width

_WIDTH = 110


def report(kit: Kit, registrations: Sequence[Registration]) -> int:
    """Tries components one after the other and prints what is found; the exit status of the command."""
    owner = registrations[0].owner
    count = f"{len(registrations)} component{'s' if len(registrations) > 1 else ''}"
    stdout.print(f"{owner}: {count}, contract version {CONTRACT}", markup=False)
    trials = []
    for registration in registrations:
        stdout.print(f"\n{registration.kind} {registration.name}", markup=False)
        for check in (check_component, check_documentation):
            trial = check(kit, registration)
            for line in lines_of(trial):
                stdout.print(line, markup=False)
            trials.append(trial)
    stdout.print(f"\n{summary(trials)}", markup=False)
    return USER_FAULT if any(trial.count(Status.BROKEN) for trial in trials) else OK


def lines_of(trial: Trial) -> Iterator[str]:
    """A line for each promise, and below it what is wrong and why it matters."""
    for outcome in trial.outcomes:
        yield f"  {outcome.status.value} {outcome.promise.says}"
        yield from _detail(outcome)
    if not trial.whole:
        yield f"  {Status.NOT_TRIED.value} the promises after it were not tried, for they build on it"


def _detail(outcome: Outcome) -> Iterator[str]:
    if outcome.status is Status.KEPT:
        return
    prefix = "not tried: " if outcome.status is Status.NOT_TRIED else ""
    for place, line in enumerate(outcome.detail.split("\n")):
        yield from _wrapped(prefix * (place == 0) + line)
    if outcome.status is not Status.NOT_TRIED:
        yield from _wrapped(f"It matters because {outcome.promise.why}.")


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        text_width(_WIDTH),
        initial_indent=" " * 6,
        subsequent_indent=" " * 6,
        break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip


def summary(trials: Iterable[Trial]) -> str:
    """The last line: how many promises are kept, broken and not tried."""
    listed = list(trials)
    kept, broken, advice, untried = (
        sum(trial.count(status) for trial in listed)
        for status in (Status.KEPT, Status.BROKEN, Status.ADVICE, Status.NOT_TRIED)
    )
    parts = [f"{kept} kept", f"{broken} broken" if broken else "", f"{untried} not tried" if untried else ""]
    parts.append(f"{advice} to be looked at" if advice else "")
    return f"{Status.BROKEN.value if broken else Status.KEPT.value} promises: {', '.join(filter(None, parts))}"
