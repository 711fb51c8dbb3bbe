"""The report of `translate-plugins check`, line by line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from translate_core.components.blocks import Block
from translate_core.components.registry import Registration
from translate_core.conformance.check import check_component, check_documentation
from translate_core.conformance.kit import Kit
from translate_core.conformance.promise import Outcome, Results, Status
from translate_core.contracts.hook import CONTRACT


@dataclass(frozen=True)
class Checked:
    """A component to be checked; a block where a recipe uses it. names: its roles there, or its name as a loss."""

    component: Registration | Block
    names: tuple[str, ...] = ()

    @property
    def registration(self) -> Registration:
        """Its registration."""
        return self.component.registration if isinstance(self.component, Block) else self.component

    @property
    def title(self) -> str:
        """Its kind and name; its names in the recipe."""
        names = f", as {', '.join(self.names)}" if self.names else ""
        return f"{self.registration.kind} {self.registration.name}{names}"


class Report:
    """The promises of several components. subject: the plugin or the recipe. width: columns of a line, at most."""

    def __init__(self, subject: str, kit: Kit, checked: Sequence[Checked], width: int) -> None:
        self.subject = subject
        self.kit = kit
        self.checked = checked
        self.width = width
        self.results: list[Results] = []

    def lines(self) -> Iterator[str]:
        """Checks one component after the other; yields each line as soon as it is known."""
        count = f"{len(self.checked)} component{'s' if len(self.checked) > 1 else ''}"
        yield f"{self.subject}: {count}, contract version {CONTRACT}"
        for item in self.checked:
            yield ""
            yield item.title
            block = item.component if isinstance(item.component, Block) else None
            for results in (
                check_component(self.kit, item.registration, block),
                check_documentation(self.kit, item.registration),
            ):
                self.results.append(results)
                yield from self._outcomes(results)
        yield ""
        yield self._summary()

    @property
    def passed(self) -> bool:
        """Whether no promise is broken, once all lines have been read."""
        return self._count(Status.BROKEN) == 0

    def _count(self, status: Status) -> int:
        return sum(results.count(status) for results in self.results)

    def _outcomes(self, results: Results) -> Iterator[str]:
        """A line for each promise; below a broken one, what was found and why it matters."""
        for outcome in results.outcomes:
            yield f"  {outcome.status.value} {outcome.promise.text}"
            yield from self._detail(outcome)
        if not results.whole:
            yield f"  {Status.NOT_TESTED.value} the promises that depend on it were not tested"

    def _detail(self, outcome: Outcome) -> Iterator[str]:
        if outcome.status is Status.KEPT:
            return
        not_tried = outcome.status is Status.NOT_TESTED
        detail = f"not tested: {outcome.detail}" if not_tried else outcome.detail
        for line in detail.split("\n"):
            yield from self._wrapped(line)
        if not not_tried:
            yield from self._wrapped(f"It matters because {outcome.promise.why}.")

    def _wrapped(self, text: str) -> Iterator[str]:
        yield from textwrap.wrap(
            text,
            self.width,
            initial_indent=" " * 6,
            subsequent_indent=" " * 6,
            break_on_hyphens=False,
            break_long_words=False,
        )

    def _summary(self) -> str:
        """The last line: how many promises are kept, broken and not tested."""
        mark = Status.KEPT if self.passed else Status.BROKEN
        counts = ((Status.KEPT, "kept"), (Status.BROKEN, "broken"), (Status.NOT_TESTED, "not tested"))
        parts = [
            f"{self._count(status)} {word}" for status, word in counts if status is Status.KEPT or self._count(status)
        ]
        if self._count(Status.ADVICE):
            parts.append(f"{self._count(Status.ADVICE)} to look at")
        return f"{mark.value} promises: {', '.join(parts)}"
