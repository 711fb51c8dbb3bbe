"""The losses and test metrics of a run as CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO

from translate_core import Observer, Result, RunInfo, atomic_write
from translate_plugins.observers.tail import cut_after

_STEP = "step"
_FIRST = (_STEP, "epoch")
_OF_METRICS = (*_FIRST, "direction", "name", "value", "higher_is_better", "on", "protocol")
_LONGEST_HEADER = 2**17
"""Bytes; the module csv reads no longer field."""


class CSVFiles(Observer):
    """Writes `losses.csv` and `metrics.csv`, for spreadsheets and data frames (RFC 4180, UTF-8).

    `losses.csv` has a row for each step whose losses are logged: `step`, `epoch` (counts from 1), `loss/<name>` for
    each loss with its weight, `learning_rate/<side>`. A loss that is first logged later gets a column at the right; a
    cell is empty where there is no value. `metrics.csv` has a row for each test metric of each evaluation: `step`,
    `epoch`, `direction`, `name`, `value`, `higher_is_better`, `on`, `protocol`. When a run is resumed, the rows of
    steps after the checkpoint are removed first.
    """

    def on_start(self, run: RunInfo) -> None:
        """Keeps the rows up to the step at which this session starts."""
        self._epoch = run.epoch
        self._losses = _Table(run.folder / "losses.csv", _FIRST, run.start)
        self._metrics = _Table(run.folder / "metrics.csv", _OF_METRICS, run.start)

    def on_losses(self, step: int, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """Writes one row."""
        values = {f"loss/{name}": value for name, value in losses.items()}
        values.update({f"learning_rate/{side}": rate for side, rate in rates.items()})
        self._losses.add([{**self._place(step), **values}])

    def on_evaluation(self, step: int, results: Sequence[Result]) -> None:
        """Writes one row for each result."""
        self._metrics.add([{**self._place(step), **_cells(result)} for result in results])

    def _place(self, step: int) -> dict[str, object]:
        return {"step": step, "epoch": (step - 1) // self._epoch + 1}


def _cells(result: Result) -> dict[str, object]:
    """The cells of a result; each on one line, so that a row that was cut off can be recognised."""
    cells: dict[str, object] = {
        name: " ".join(str(getattr(result, name)).split()) for name in ("direction", "name", "on", "protocol")
    }
    return {**cells, "value": result.value, "higher_is_better": result.higher_is_better}


class _Table:
    """A CSV file that grows, in rows and in columns. It exists once it has a row.

    columns: the first ones. start: rows of later steps are removed. Only the header and the end of a file are read.
    """

    def __init__(self, path: Path, columns: Sequence[str], start: int) -> None:
        self._path = path
        self._columns = list(columns)
        header, rows = _header(path) if path.exists() else ([], 0)
        if header[:1] == [_STEP] and cut_after(path, start, _step_of, rows) is not None:
            self._columns = header
        else:
            path.unlink(missing_ok=True)

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Appends rows. A new column rewrites the file."""
        if not rows:
            return
        if self._name_columns(rows) or not self._path.exists():
            self._rewrite(rows)
            return
        with self._path.open("a", encoding="utf-8", newline="") as stream:
            self._append(stream, rows)

    def _name_columns(self, rows: Sequence[Mapping[str, object]]) -> bool:
        """Adds the columns that the rows have values for; returns whether there are new ones."""
        before = len(self._columns)
        named = [name for row in rows for name, value in row.items() if value != ""]
        self._columns = list(dict.fromkeys([*self._columns, *named]))
        return len(self._columns) > before

    def _append(self, stream: TextIO, rows: Sequence[Mapping[str, object]]) -> None:
        text = io.StringIO(newline="")  # written at once, so that a killed process cuts off the last row only
        csv.DictWriter(text, self._columns, restval="", extrasaction="ignore").writerows(rows)
        stream.write(text.getvalue())

    def _rewrite(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Writes the file with all columns: the rows that it has, one by one, and further ones."""
        with atomic_write(self._path) as part, part.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(self._columns)
            width = len(self._columns)
            writer.writerows((row + [""] * width)[:width] for row in self._rows())
            self._append(stream, rows)

    def _rows(self) -> Iterator[list[str]]:
        """The rows of the file, up to one that a power cut has damaged."""
        if self._path.exists():
            with self._path.open(encoding="utf-8", errors="replace", newline="") as stream, suppress(csv.Error):
                yield from islice(csv.reader(stream), 1, None)


def _header(path: Path) -> tuple[list[str], int]:
    """The names of the columns, and the byte at which the rows begin. No names where the file is not a table."""
    size = 0

    def lines(stream: BinaryIO) -> Iterator[str]:
        nonlocal size
        while line := stream.readline(_LONGEST_HEADER - size):  # a name may contain line breaks
            size += len(line)
            yield line.decode("utf-8", "replace")

    with path.open("rb") as stream, suppress(csv.Error):
        return next(csv.reader(lines(stream)), []), size
    return [], 0


def _step_of(line: bytes) -> int | None:
    step = line.partition(b",")[0]
    return int(step) if len(step) < 19 and step.isdigit() and line.endswith(b"\r\n") else None
