"""The losses and test metrics of a run as JSON lines."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TextIO

from translate_core import Observer, Result, RunInfo
from translate_plugins.observers.tail import cut_after

_FILE = "metrics.jsonl"


class MetricsLog(Observer):
    """Writes losses and test metrics to `metrics.jsonl`, one JSON object per line.

    Losses: `{"step", "epoch", "kind": "losses", "losses": {name: value}, "learning_rates": {side: rate}, "seconds"}`.
    Test metrics: `{"step", "epoch", "kind": "evaluation", "results": [{"name", "value", "direction", "on", "protocol",
    "higher_is_better"}], "seconds"}`. `epoch` counts from 1, `seconds` is the training time over all sessions of the
    run. When a run is resumed, the lines of steps after the checkpoint are removed first.
    """

    def on_start(self, run: RunInfo) -> None:
        """Opens the file and keeps the lines up to the step at which this session starts. Reads only its end."""
        self._epoch = run.epoch
        path = run.folder / _FILE
        kept = cut_after(path, run.start, _step_of)
        self._began = time.monotonic() - (0.0 if kept is None else _seconds_of(kept))
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


def _row(line: bytes) -> dict[str, Any]:
    """A line as written; empty for one that is broken."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _step_of(line: bytes) -> int | None:
    step = _row(line).get("step")
    return step if isinstance(step, int) else None


def _seconds_of(line: bytes) -> float:
    seconds = _row(line).get("seconds")
    return seconds if isinstance(seconds, int | float) else 0.0
