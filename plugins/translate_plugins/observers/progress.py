"""The progress of a run, on stderr."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from translate_core import Observer, ProgressDisplay, Result, RunInfo, Sample

_RECENT_SECONDS, _RECENT_STEPS = 30.0, 20
"""The window of the images per second: the longer of these two."""


class Progress(Observer):
    """Shows step, epoch, images per second, time left and the main losses, and the test metrics of each evaluation.

    A bar where stderr is a terminal, else a plain line every ten seconds at most. The main losses are the totals of
    the recipe's losses, one for each side that a loss is defined for. Images per second are measured over recent
    steps; the time left is estimated from the mean pace of this session, pauses for samples, metrics and checkpoints
    included.
    """

    def on_start(self, run: RunInfo) -> None:
        """Shows the bar; the first plain line is written with the first losses."""
        self._run = run
        self._speed = _Speed(run)
        self._step = run.start
        self._losses: list[str] = []
        self._display = ProgressDisplay("step", run.length, unit="", done=run.start)
        self._display.start()

    def on_step(self, step: int) -> None:
        """Redraws the bar every half second at most."""
        self._step = step
        self._speed.step()
        if self._display.has_bar:
            self._show()

    def on_losses(self, step: int, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """Takes the losses that the bar shows from now on, or writes a plain line."""
        # The total of a loss is called `<name>` on the generators' side and `<name>/<side>` on another, a part of it
        # `<name>/<tensor>`.
        self._losses = [
            f"{name} {_number(value):<7}"
            for name, value in losses.items()
            if "/" not in name or name.partition("/")[2] in rates
        ]
        if not self._display.has_bar:
            self._show()

    def on_samples(self, step: int, samples: Sequence[Sample]) -> None:
        """Excludes the time for drawing samples from the images per second."""
        self._speed.resume()

    def on_evaluation(self, step: int, results: Sequence[Result]) -> None:
        """Prints the results: a table above the bar, or plain lines."""
        self._speed.resume()
        if not results:
            return
        if self._display.has_bar:
            self._display.print(_table(step, results))
            return
        directions, names = (max(len(item[column]) for item in map(_cells, results)) for column in (0, 1))
        for direction, name, value, better in map(_cells, results):
            where = f"{direction:<{directions}}  {name:<{names}}"
            self._display.print(f"test metrics after step {step}: {where}  {value} {better}")

    def on_checkpoint(self, step: int, path: Path) -> None:
        """Excludes the time for saving from the images per second."""
        self._speed.resume()

    def on_stop(self, step: int, finished: bool) -> None:
        """Leaves the bar in its last state and restores the terminal."""
        self._display.stop()

    def _show(self) -> None:
        run = self._run
        epochs = -(-run.length // run.epoch)
        epoch = max(self._step - 1, 0) // run.epoch + 1
        words = (f"epoch {epoch:>{len(str(epochs))}}/{epochs}", f"{self._speed} images/s")
        self._display.update(self._step, words, self._losses)


class _Speed:
    """Images per second over recent steps. The first step of a session is not counted: it includes one-time work."""

    def __init__(self, run: RunInfo) -> None:
        self._images_per_step = run.images_per_step
        self._recent: deque[float] = deque()
        self._total = 0.0
        self._since: float | None = None

    def step(self) -> None:
        """Counts one step, from the end of the last one or from `resume` to now."""
        now = time.monotonic()
        if self._since is not None:
            self._recent.append(now - self._since)
            self._total += now - self._since
            while self._total > _RECENT_SECONDS and len(self._recent) > _RECENT_STEPS:
                self._total -= self._recent.popleft()
        self._since = now

    def resume(self) -> None:
        """Leaves out the time since the last step."""
        if self._since is not None:
            self._since = time.monotonic()

    def __str__(self) -> str:
        if not self._total:
            return f"{'–':>5}"
        speed = len(self._recent) * self._images_per_step / self._total
        return f"{speed:>5.1f}" if speed < 1000 else f"{speed:>5.0f}"


def _table(step: int, results: Sequence[Result]) -> Table:
    table = Table(title=f"test metrics after step {step}", title_justify="left", box=None)
    table.add_column("direction")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column()
    for result in results:
        table.add_row(*map(Text, _cells(result)))
    return table


def _cells(result: Result) -> tuple[str, str, str, str]:
    """Direction, name, value, and an arrow that points to better values."""
    return result.direction, result.name, _number(result.value), "↑" if result.higher_is_better else "↓"


def _number(value: float) -> str:
    return f"{value:#.4g}".rstrip(".")
