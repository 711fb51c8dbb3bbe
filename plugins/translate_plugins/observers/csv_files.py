"""The losses and test metrics of a run as CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from translate_core import Observer, Result, RunInfo, atomic_write

_FIRST = ("step", "epoch")
_OF_METRICS = (*_FIRST, "direction", "name", "value", "higher_is_better", "on", "protocol")


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

    columns: the first ones. start: rows of later steps are removed.
    """

    def __init__(self, path: Path, columns: Sequence[str], start: int) -> None:
        self._path = path
        self._columns = list(columns)
        kept = [row for row in self._read() if int(row["step"]) <= start]
        self._name_columns(kept)
        if kept:
            self._write(kept)
        else:
            path.unlink(missing_ok=True)

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Appends rows. A new column rewrites the file."""
        if not rows:
            return
        if self._name_columns(rows) or not self._path.exists():
            self._write([*self._read(), *rows])
            return
        with self._path.open("a", encoding="utf-8", newline="") as stream:
            stream.write(self._lines(rows))

    def _name_columns(self, rows: Sequence[Mapping[str, object]]) -> bool:
        """Adds the columns that the rows have values for; returns whether there are new ones."""
        before = len(self._columns)
        named = [name for row in rows for name, value in row.items() if value != ""]
        self._columns = list(dict.fromkeys([*self._columns, *named]))
        return len(self._columns) > before

    def _lines(self, rows: Sequence[Mapping[str, object]], *, header: bool = False) -> str:
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, self._columns, restval="", extrasaction="ignore")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return stream.getvalue()

    def _write(self, rows: Sequence[Mapping[str, object]]) -> None:
        with atomic_write(self._path) as part, part.open("w", encoding="utf-8", newline="") as stream:
            stream.write(self._lines(rows, header=True))

    def _read(self) -> list[dict[str, str]]:
        """The rows of the file, without one that was cut off when the process was killed."""
        if not self._path.exists():
            return []
        with self._path.open(encoding="utf-8", errors="replace", newline="") as stream:
            text = stream.read()
        whole = text[: text.rfind("\r\n") + 2]
        rows = csv.DictReader(io.StringIO(whole, newline=""))
        return [dict(row) for row in rows if (row.get("step") or "").isdigit()]
