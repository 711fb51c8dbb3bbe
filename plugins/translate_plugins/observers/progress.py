"""How far a run has come, on stderr."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.columns import Columns
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from translate_core import Observer, Result, RunInfo, Sample, stderr

_REDRAW = 0.5
"""Seconds between two pictures of the bar. It is drawn by the training process: drawing takes milliseconds."""

_LINE = 10.0
"""Seconds between two plain lines, at least."""

_RECENT_SECONDS, _RECENT_STEPS = 30.0, 20
"""Images per second are over the longer of these."""


class Progress(Observer):
    """Shows step, epoch, images per second, time left and the main losses; and the test metrics when there are any.

    A bar where stderr is a terminal, else a plain line every ten seconds at most. The main losses are each loss of the
    recipe as a whole, once for every side that it plays for. Images per second are those of recent steps, the time
    left is at the pace of this session with its pauses for samples, metrics and checkpoints.
    """

    def on_start(self, run: RunInfo) -> None:
        """The bar appears; plain lines wait for the first losses."""
        self._run = run
        self._pace = _Pace(run)
        self._step = run.start
        self._losses: dict[str, float] = {}
        self._next_line = 0.0
        self._unsaid = False
        self._live: Live | None = None
        if sys.stderr.isatty() and stderr.is_terminal and not stderr.is_dumb_terminal:
            # No thread: a loader worker may be forked while one holds a lock. What others print goes above the bar.
            self._live = Live(
                console=stderr,
                auto_refresh=False,
                redirect_stdout=sys.stdout.isatty(),
                get_renderable=self._picture,
            )
            self._drawn = time.monotonic()
            self._live.start(refresh=True)

    def on_step(self, step: int) -> None:
        """Redraws the bar now and then."""
        self._step = step
        self._pace.step(step)
        if self._live is not None and time.monotonic() >= self._drawn + _REDRAW:
            self._drawn = time.monotonic()
            self._live.refresh()

    def on_losses(self, step: int, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """The bar shows them when it is drawn next."""
        # A loss as a whole is `<name>` on the generators' side and `<name>/<side>` on another; its parts are
        # `<name>/<tensor>`.
        self._losses = {
            name: value for name, value in losses.items() if "/" not in name or name.partition("/")[2] in rates
        }
        self._unsaid = True
        if self._live is None and time.monotonic() >= self._next_line:
            self._say()

    def on_samples(self, step: int, samples: Sequence[Sample]) -> None:
        """The time that drawing took is not the next step's."""
        self._pace.pause_ends()

    def on_evaluation(self, step: int, results: Sequence[Result]) -> None:
        """A table of the results."""
        self._pace.pause_ends()
        if not results:
            return
        if self._live is not None:
            table = Table(title=f"test metrics after step {step}", title_justify="left", box=None)
            table.add_column("direction")
            table.add_column("metric")
            table.add_column("value", justify="right")
            table.add_column()
            for result in results:
                cells = (result.direction, result.name, _number(result.value), _better(result))
                table.add_row(*map(Text, cells))
            stderr.print(table, soft_wrap=False)
            self._live.refresh()
            return
        widths = [
            max(map(len, column)) for column in zip(*((item.direction, item.name) for item in results), strict=True)
        ]
        for result in results:
            where = f"{result.direction:<{widths[0]}}  {result.name:<{widths[1]}}"
            self._line(f"test metrics after step {step}: {where}  {_number(result.value)} {_better(result)}")

    def on_checkpoint(self, step: int, path: Path) -> None:
        """The time that saving took is not the next step's."""
        self._pace.pause_ends()

    def on_stop(self, step: int, finished: bool) -> None:
        """The bar stays as it was last, and the terminal is the user's again."""
        if self._live is not None:
            self._live.stop()
        elif self._unsaid:
            self._say()

    def _say(self) -> None:
        self._unsaid = False
        self._next_line = time.monotonic() + _LINE
        words = (f"step {self._count()}", self._epoch(), self._speed(), self._left(), *self._numbers())
        self._line("  ".join(words).rstrip())

    def _line(self, text: str) -> None:
        stderr.print(text, markup=False)

    def _picture(self) -> Group:
        run = self._run
        line = Table.grid(expand=True, padding=(0, 2, 0, 0))
        line.add_column(ratio=1)
        words = (self._count(), self._epoch(), self._speed(), self._left())
        for _ in words:
            line.add_column(justify="right", no_wrap=True)
        line.add_row(ProgressBar(total=run.length, completed=self._step), *words)
        if not self._losses:
            return Group(line)
        return Group(line, Columns(map(Text, self._numbers()), padding=(0, 2)))

    def _count(self) -> str:
        return f"{self._step:>{len(str(self._run.length))}}/{self._run.length}"

    def _epoch(self) -> str:
        epochs = -(-self._run.length // self._run.epoch)
        epoch = max(self._step - 1, 0) // self._run.epoch + 1
        return f"epoch {epoch:>{len(str(epochs))}}/{epochs}"

    def _speed(self) -> str:
        speed = self._pace.images_per_second()
        return f"{'–' if speed is None else _speed(speed):>5} images/s"

    def _left(self) -> str:
        seconds = self._pace.seconds_left()
        return "–:–– left" if seconds is None else f"{_time(seconds)} left"

    def _numbers(self) -> list[str]:
        return [f"{name} {_number(value):<7}" for name, value in self._losses.items()]


class _Pace:
    """How fast this session is. Its first step, with all that is done once, does not count."""

    def __init__(self, run: RunInfo) -> None:
        self._run = run
        self._recent: deque[float] = deque()
        self._recent_total = 0.0
        self._first: tuple[int, float] | None = None
        self._step = run.start
        self._since = 0.0

    def step(self, step: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = (step, now)
        else:
            self._recent.append(now - self._since)
            self._recent_total += now - self._since
            while self._recent_total > _RECENT_SECONDS and len(self._recent) > _RECENT_STEPS:
                self._recent_total -= self._recent.popleft()
        self._step = step
        self._since = now

    def pause_ends(self) -> None:
        self._since = time.monotonic()

    def images_per_second(self) -> float | None:
        if not self._recent_total:
            return None
        return len(self._recent) * self._run.images_per_step / self._recent_total

    def seconds_left(self) -> float | None:
        if self._step >= self._run.length:
            return 0.0
        if self._first is None or self._step == self._first[0]:
            return None
        step, began = self._first
        return (self._run.length - self._step) * (self._since - began) / (self._step - step)


def _number(value: float) -> str:
    return f"{value:#.4g}".rstrip(".")


def _speed(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def _time(seconds: float) -> str:
    days, rest = divmod(round(seconds), 86400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {clock}" if days else clock


def _better(result: Result) -> str:
    return "↑" if result.higher_is_better else "↓"
