"""The losses and test metrics of a run as JSON lines."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from translate_core import Observer, Result, RunInfo, write_text

_FILE = "metrics.jsonl"


class MetricsLog(Observer):
    """Writes losses and test metrics to `metrics.jsonl`, one JSON object per line.

    Losses: `{"step", "epoch", "kind": "losses", "losses": {name: value}, "learning_rates": {side: rate}, "seconds"}`.
    Test metrics: `{"step", "epoch", "kind": "evaluation", "results": [{"name", "value", "direction", "on", "protocol",
    "higher_is_better"}], "seconds"}`. `epoch` counts from 1, `seconds` is the training time over all sessions of the
    run. When a run is resumed, the lines of steps after the checkpoint are removed first.
    """

    def on_start(self, run: RunInfo) -> None:
        """Opens the file and keeps the lines up to the step at which this session starts."""
        self._epoch = run.epoch
        path = run.folder / _FILE
        kept = _lines_until(path, run.start)
        self._began = time.monotonic() - (kept[-1]["seconds"] if kept else 0.0)
        write_text(path, "".join(map(_line, kept)))
        self._stream: TextIO = path.open("a", encoding="utf-8")

    def on_losses(self, step: int, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """Writes one line."""
        self._write(step, "losses", losses=dict(losses), learning_rates=dict(rates))

    def on_evaluation(self, step: int, results: Sequence[Result]) -> None:
        """Writes one line."""
        self._write(step, "evaluation", results=[asdict(result) for result in results])

    def on_stop(self, step: int, finished: bool) -> None:
        """Closes the file; every line has been flushed already."""
        self._stream.close()

    def _write(self, step: int, kind: str, **values: object) -> None:
        seconds = round(time.monotonic() - self._began, 3)
        epoch = (step - 1) // self._epoch + 1
        self._stream.write(_line({"step": step, "epoch": epoch, "kind": kind, **values, "seconds": seconds}))
        self._stream.flush()


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _lines_until(path: Path, step: int) -> list[dict[str, Any]]:
    """The rows of the file up to `step`. A line that was cut off when the process was killed is skipped."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int) and row["step"] <= step:
            rows.append(row)
    return rows
