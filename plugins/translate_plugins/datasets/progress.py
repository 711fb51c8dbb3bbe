"""Tells people how far a long preparation has come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress(
    what: str, total: int | None, unit: Literal["files", "bytes"] = "files", done: int = 0
) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with the amount that was just done.

    On a terminal there is a bar on stderr, elsewhere one plain line at the start.

    Args:
        what: what is being done, `decoding data/horse2zebra`.
        total: the amount that is to be done, None where nobody knows.
        unit: what is counted.
        done: the amount that an earlier run has done.
    """
    if not sys.stderr.isatty():
        print(f"{what} ({_amount(total, unit)})" if total is not None else what, file=sys.stderr, flush=True)
        yield lambda _: None
        return
    count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(what, total=total, completed=done)
        yield lambda amount: bars.advance(task, amount)


def _amount(total: int, unit: Literal["files", "bytes"]) -> str:
    return f"{total / 1e6:.1f} MB" if unit == "bytes" else f"{total} files"
