"""A session of a run with a long log begins as soon as one with a short log: only the end of the log is read."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from translate_core import Observer, RunInfo
from translate_plugins.observers import tail
from translate_plugins.observers.csv_files import CSVFiles
from translate_plugins.observers.metrics_log import MetricsLog

SHORT, LONG, LATER = 100, 300_000, 50
"""Lines of a log up to the checkpoint, and lines of later steps."""


def json_line(step: int) -> str:
    return (
        f'{{"step": {step}, "epoch": 1, "kind": "losses", "losses": {{"adversarial": 0.71, "cycle": 1.9, '
        f'"identity": 0.8}}, "learning_rates": {{"generators": 0.0002}}, "seconds": {step / 2}}}\n'
    )


def csv_line(step: int) -> str:
    return f"{step},1,0.71,1.9,0.8,0.0002\r\n"


HEADER = "step,epoch,loss/adversarial,loss/cycle,loss/identity,learning_rate/generators\r\n"
LOGS: dict[str, tuple[type[Observer], str, Callable[[int], str]]] = {
    "metrics.jsonl": (MetricsLog, "", json_line),
    "losses.csv": (CSVFiles, HEADER, csv_line),
}


def write_log(path: Path, lines: int) -> None:
    _, header, line = LOGS[path.name]
    with path.open("w", newline="") as stream:
        stream.write(header)
        stream.writelines(line(step) for step in range(1, lines + LATER + 1))
        stream.write(line(lines + LATER + 1)[:-2])  # the process was killed


def started(folder: Path, name: str, step: int) -> tuple[Observer, float]:
    """An observer that has started after a step, and the seconds that this took."""
    observer = LOGS[name][0]()
    began = time.perf_counter()
    observer.on_start(RunInfo("x", folder, {}, step, 10**9, 10, 1))
    return observer, time.perf_counter() - began


@pytest.mark.parametrize("name", LOGS)
def test_a_long_log_costs_no_time(name: str, tmp_path: Path) -> None:
    seconds = {}
    for lines in (SHORT, LONG):
        folder = tmp_path / str(lines)
        folder.mkdir()
        tries = []
        for _ in range(3):
            write_log(folder / name, lines)
            observer, taken = started(folder, name, lines)
            tries.append(taken)
        seconds[lines] = min(tries)
        observer.on_losses(lines + 1, {"adversarial": 1.0, "cycle": 2.0, "identity": 3.0}, {"generators": 0.1})
        observer.on_stop(lines + 1, False)
        written = (folder / name).read_text().splitlines()
        header, line = LOGS[name][1:]
        assert len(written) == lines + 1 + bool(header)
        assert written[-2] == line(lines).rstrip()
    assert seconds[LONG] < 20 * seconds[SHORT] + 0.02, seconds


def test_only_the_lines_behind_the_checkpoint_are_parsed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write_log(path, 1000)
    parsed: list[bytes] = []

    def step_of(line: bytes) -> int:
        parsed.append(line)
        return int(json.loads(line)["step"])

    assert tail.cut_after(path, 1000, step_of) == json_line(1000).encode()
    assert len(parsed) == LATER + 1
    assert tail.cut_after(path, 0, step_of) is None
    assert (len(parsed), path.read_bytes()) == (LATER + 1, b"")


@pytest.mark.parametrize(
    "broken",
    [b"[]\n", b"null\n", b"{}\n", b'{"step": "4"}\n', b"\n\n", b"\0" * 5000, b"\xff\xfe\n", b"[" * 100_000 + b"\n"],
)
def test_broken_lines_at_the_end_are_removed(broken: bytes, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(json_line(4).encode() + broken)
    started(tmp_path, path.name, 9)
    assert path.read_text() == json_line(4)


def test_a_line_without_an_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with path.open("wb") as stream:
        stream.write(json_line(4).encode() + b'{"step": 5, "a": "')
        stream.truncate(2**28)  # a sparse file
        stream.seek(2**28)
        stream.write(b"\n")
    tracemalloc.start()
    try:
        started(tmp_path, path.name, 9)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.read_text() == json_line(4)
    assert peak < 2**23
