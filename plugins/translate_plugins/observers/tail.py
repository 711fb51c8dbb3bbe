"""The end of a log with a line for each step, without reading the rest."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path

_LONGEST = 2**20
"""Bytes of a line; a longer one is not a line of a log."""


def cut_after(path: Path, last: int, step_of: Callable[[bytes], int | None], first: int = 0) -> bytes | None:
    """Truncates a log after its last line of a step up to `last`; returns that line, None where no such line is left.

    The file is read from its end to that line only: a session appends lines of growing steps. Lines behind it that are
    cut off or broken are removed with those of later steps; the file is not rewritten.

    Args:
        path: of the log, which may be missing.
        last: the step of the checkpoint from which the run continues.
        step_of: the step of a line with its end, None for a broken one.
        first: the byte at which the lines begin, after a header.
    """
    if not path.exists() or path.stat().st_size <= first:
        return None
    line, end = _last_line(path, last, step_of, first)
    os.truncate(path, end)
    return line


def _last_line(path: Path, last: int, step_of: Callable[[bytes], int | None], first: int) -> tuple[bytes | None, int]:
    """The line, and the byte at which it ends."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = content.rfind(b"\n", first) + 1
        while end > first and last > 0:
            start = max(content.rfind(b"\n", first, end - 1) + 1, first)
            line = content[start:end] if end - start <= _LONGEST else b""
            step = step_of(line)
            if step is not None and step <= last:
                return line, end
            end = start
    return None, first
