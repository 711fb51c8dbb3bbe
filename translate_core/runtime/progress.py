"""How far a long task has come, on stderr: a bar on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from rich.columns import Columns
from rich.console import RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from rich.text import Text

from translate_core.runtime.console import stderr

REDRAW = 0.5
"""Seconds between two drawings of the bar, at least."""
LINE = 10.0
"""Seconds between two plain lines, at least."""

Unit = Literal["files", "images", "bytes", ""]
"""What is counted; bytes are written as megabytes, nothing is written after the count for an empty text."""


@contextmanager
def progress(
    what: str, total: int | None, unit: Unit = "files", done: int = 0, announce: bool = True
) -> Iterator[Callable[[int], None]]:
    """Shows how far a task has come while the block runs; yields a function to call with each amount that was done.

    On a terminal there is a bar on stderr, elsewhere a plain line every ten seconds at most. Only the first rank of a
    distributed run shows anything.

    Args:
        what: what is being done: `decoding data/horse2zebra`.
        total: the whole amount, None where it is unknown.
        unit: what is counted.
        done: the amount that was done before the block.
        announce: write a first plain line at the start of the block.
    """
    display = ProgressDisplay(what, total, unit, done)
    display.start()
    display.delay_line()
    if announce and not display.has_bar:
        display.print(what if total is None else f"{what} ({amount(total, unit)})")

    def advance(more: int) -> None:
        nonlocal done
        done += more
        display.update(done)

    try:
        yield advance
    finally:
        display.stop()


class ProgressDisplay:
    """The display behind `progress`, for tasks that show more than an amount: rates, losses, text above the bar.

    The bar is drawn by the thread that calls `update`: a thread of its own could hold a lock while a loader worker is
    forked. Text that is printed to stderr meanwhile appears above the bar. Only the first rank of a distributed run
    shows anything.

    Args:
        what: what is being done.
        total: the whole amount, None where it is unknown.
        unit: what is counted.
        done: the amount that was done before.
    """

    def __init__(self, what: str, total: int | None, unit: Unit = "files", done: int = 0) -> None:
        self._what = what
        self._total = total
        self._unit: Unit = unit
        self._done = done
        self._pace = Pace(total)
        self._details: Sequence[str] = ()
        self._below: Sequence[str] = ()
        self._visible = _is_first_rank()
        self._bar: _Bar | None = None
        self._drawn = 0.0
        self._next_line = 0.0
        self._lines = 0
        self._unsaid = False

    @property
    def has_bar(self) -> bool:
        """Whether a bar is shown now, rather than plain lines."""
        return self._bar is not None

    def start(self) -> None:
        """Shows the bar; without a terminal the first line waits for the first `update`."""
        if self._visible and sys.stderr.isatty() and stderr.is_terminal and not stderr.is_dumb_terminal:
            self._bar = _Bar(self._what, self._total, self._done)
            self._refresh()
            self._bar.start()

    def update(self, done: int, details: Sequence[str] = (), below: Sequence[str] = ()) -> None:
        """Shows a new state, unless the last one was shown a moment ago.

        Args:
            done: the amount done so far.
            details: words between the count and the time that is left.
            below: words under the bar; at the end of a plain line.
        """
        self._done = done
        self._details = details
        self._below = below
        self._pace.update(done)
        now = time.monotonic()
        if self._bar is not None:
            if now >= self._drawn + REDRAW:
                self._refresh()
                self._drawn = now
            return
        self._unsaid = True
        if now >= self._next_line:
            self._line()

    def delay_line(self) -> None:
        """Lets the usual time pass before the next plain line."""
        self._next_line = time.monotonic() + LINE

    def print(self, content: RenderableType) -> None:
        """Writes a text or anything that rich can render, above the bar where there is one. Markup is not read."""
        if self._visible:
            stderr.print(content, markup=False, soft_wrap=isinstance(content, str))

    def stop(self) -> None:
        """Leaves the bar as it is now; without a terminal writes the last state, if an earlier one was written."""
        if self._bar is not None:
            self._refresh()
            self._bar.stop()
            self._bar = None
        elif self._unsaid and self._lines:
            self._line()

    def _line(self) -> None:
        words = (f"{self._what} {self._count()}", *self._details, self._left(), *self._below)
        self.print("  ".join(word for word in words if word).rstrip())
        self._lines += 1
        self._unsaid = False
        self.delay_line()

    def _refresh(self) -> None:
        assert self._bar is not None
        self._bar.show(self._done, self._count(), self._details, self._left(), self._below)

    def _count(self) -> str:
        if self._total is None:
            return amount(self._done, self._unit)
        whole = amount(self._total, self._unit)
        done = amount(self._done, self._unit).partition(" ")[0]
        return f"{done:>{len(whole.partition(' ')[0])}}/{whole}"

    def _left(self) -> str:
        if self._total is None:
            return ""
        seconds = self._pace.seconds_left()
        return "–:––:–– left" if seconds is None else f"{clock(seconds)} left"


class Pace:
    """How long the rest of a task will take. The first update, with what is done once, is not counted.

    Args:
        total: the whole amount, None where it is unknown.
    """

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._first: tuple[int, float] | None = None
        self._last = (0, 0.0)

    def update(self, done: int) -> None:
        """done: the amount done so far."""
        self._last = (done, time.monotonic())
        if self._first is None:
            self._first = self._last

    def seconds_left(self) -> float | None:
        """Seconds until the whole amount is done at the mean pace so far; None while that is unknown."""
        if self._total is None or self._first is None:
            return None
        done, now = self._last
        if done >= self._total:
            return 0.0
        before, began = self._first
        return None if done == before or now == began else (self._total - done) * (now - began) / (done - before)


def amount(count: int, unit: Unit) -> str:
    """A count with its unit: `12.3 MB`, `24 files`."""
    return f"{count / 1e6:.1f} MB" if unit == "bytes" else f"{count} {unit}".rstrip()


def clock(seconds: float) -> str:
    """A duration: `0:12:34`, `3d 4:05:06`."""
    days, rest = divmod(round(seconds), 86400)
    text = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {text}" if days else text


def _is_first_rank() -> bool:
    """Read from torchrun's environment, since a process may show progress before it joins the others."""
    return int(os.environ.get("WORLD_SIZE", "1")) == 1 or os.environ.get("RANK", "0") == "0"


class _Bar(Progress):
    """A single task, with words beside and below its bar."""

    def __init__(self, what: str, total: int | None, done: int) -> None:
        self._words: Sequence[str] = ()
        super().__init__(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=10)),
            TextColumn("{task.fields[beside]}", markup=False, table_column=Column(no_wrap=True)),
            console=stderr,
            auto_refresh=False,
            redirect_stdout=sys.stdout.isatty(),
            expand=True,
        )
        self._task = self.add_task(what, total=total, completed=done, beside="")

    def get_renderables(self) -> Iterable[RenderableType]:
        """The line with the bar, then the words below it."""
        yield self.make_tasks_table(self.tasks)
        if self._words:
            yield Columns(map(Text, self._words), padding=(0, 2))

    def show(self, done: int, count: str, details: Sequence[str], left: str, below: Sequence[str]) -> None:
        """Draws a new state."""
        self._words = below
        beside = "  ".join(word for word in (count, *details, left) if word)
        self.update(self._task, completed=done, beside=beside, refresh=True)
