"""A run that is stopped and continued over and over: nothing piles up, it starts as fast as before, same result."""

from __future__ import annotations

import itertools
import json
import signal
import statistics
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from tests.campaigns.kills import RECIPE
from tests.proofs.test_resume import differences
from translate_core.commands.run import main

STOP = """
import os, signal
from translate_core import Observer, hookimpl

class Stop(Observer):
    def on_step(self, step: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM if step % 2 else signal.SIGINT)

@hookimpl
def register(registry):
    registry.observer("stop", Stop)
"""


KEPT = 3
"""Checkpoints, by default."""


def write(folder: Path, steps: int) -> list[str]:
    """A recipe of so many steps, each of which is a session of its own; the command."""
    (folder / "stop.py").write_text(STOP)
    every = {
        "checkpoint_every": "100 steps",
        "sample_every": "50 steps",
        "log_every": "1 steps",
        "evaluate_every": "10 steps",
    }
    recipe = {
        **RECIPE,
        "plugins": ["stop.py"],
        "observers": {**RECIPE["observers"], "stop": {"type": "stop"}},
        "training": {**RECIPE["training"], **every, "length": f"{steps} steps"},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    return [str(folder / "recipe.yaml"), "--device", "cpu", "--out"]


def files(folder: Path) -> dict[str, int]:
    """The bytes of each file."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def state(folder: Path, step: int) -> dict[str, Any]:
    content = torch.load(folder / "checkpoints" / f"step-{step}.pt", weights_only=True)
    return {key: content[key] for key in ("parts", "rank_parts")}


def logged(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.mark.parametrize("cycles", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_started_and_stopped_over_and_over(
    cycles: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = write(tmp_path, cycles)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert main([*command, str(whole), "--set", "observers.stop=null"]) == 0
    seconds = []
    ticks = itertools.count(1_800_000_000)
    # A session of this test takes less than a second, and the names of event files, which order them, contain seconds.
    monkeypatch.setattr(event_file_writer, "time", SimpleNamespace(time=lambda: float(next(ticks))))
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    for _ in range(cycles - 1):
        began = time.process_time()
        assert main([*command, str(stopped)]) == 130
        seconds.append(time.process_time() - began)
        capsys.readouterr()
    assert main([*command, str(stopped)]) == 0
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    assert differences(state(whole, cycles), state(stopped, cycles)) == []
    for name in ("results.json", "losses.csv", "metrics.csv", "weights/G_AB.safetensors"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes()
    assert logged(stopped) == logged(whole)
    of_events, others = {}, {}
    for name, size in files(stopped).items():
        (of_events if name.startswith("tensorboard/") else others)[name] = size
    kept = {name for name in others if name.startswith("checkpoints/")}
    assert len(kept) == 2 * KEPT
    assert others.keys() - kept == {
        name for name in files(whole) if not name.startswith(("tensorboard/", "checkpoints/"))
    }
    assert len(of_events) <= 18
    with capsys.disabled():
        print(
            f"\n{cycles} sessions: {len(of_events)} event files, {sum(of_events.values()):,} bytes; all others "
            f"{sum(others.values()):,}; seconds {seconds[1]:.3f} {seconds[-1]:.3f}"
        )
    tenth = max(cycles // 10, 5)
    assert statistics.median(seconds[-tenth:]) < 1.5 * statistics.median(seconds[1 : tenth + 1]) + 0.05, seconds
    found = EventAccumulator(str(stopped / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    assert [item.step for item in found.Scalars("loss/cycle")] == list(range(1, cycles + 1))
