"""A clock that is wrong, jumps by years and runs backwards, within a session and between sessions."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.proofs.test_resume import differences
from translate_core import Translator, open_run
from translate_core.runtime.signals import StopSignal
from translate_core.training.watchers import Watchers

STEPS = 6
TRAINING = {
    "length": f"{STEPS} steps", "workers": 0, "ema": 0.9, "log_every": "1 steps", "checkpoint_every": "1 steps",
    "sample_every": "3 steps", "samples": 1, "evaluate_every": "2 steps",
}  # fmt: skip
YEARS = (2040, 2026, 1999)
"""Of the sessions."""


class Clock:
    """Wrong by up to years at every reading. readers: the modules of the project that read it."""

    def __init__(self) -> None:
        self.rng = random.Random(0)
        self.base = 0.0
        self.readers: set[str] = set()

    def __call__(self) -> float:
        reader = sys._getframe(1).f_globals.get("__name__", "")
        if reader.startswith(("translate_core", "translate_plugins")):
            self.readers.add(reader)
        return self.base + self.rng.uniform(-4e7, 4e7)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "time", made)
    monkeypatch.setattr(time, "time_ns", lambda: int(made() * 1e9))
    return made


def session(recipe: Path, out: Path, until: int) -> None:
    """Trains until a step, as Ctrl-C in it ends a session."""
    step = Watchers.step
    with open_run(recipe, device="cpu", folder=out) as run, StopSignal() as stop, pytest.MonkeyPatch.context() as patch:

        def stopping(self: Watchers, number: int) -> None:
            step(self, number)
            stop.requested = number == until

        patch.setattr(Watchers, "step", stopping)
        run.train(stop)
        assert run.step == until


def age(folder: Path) -> None:
    """The older a file, the newer it seems; some are of the future."""
    files = sorted((path for path in folder.rglob("*")), key=lambda path: path.stat().st_mtime_ns)
    for number, path in enumerate(files):
        seconds = 4e9 - 1e8 * number
        os.utime(path, (seconds, seconds))


def state(out: Path) -> dict[str, Any]:
    content = torch.load(out / "checkpoints" / f"step-{STEPS}.pt", weights_only=True)
    return {key: content[key] for key in ("parts", "rank_parts")}


def test_nothing_depends_on_the_clock(write_recipe: Callable[..., Path], clock: Clock, tmp_path: Path) -> None:
    recipe = write_recipe(training=TRAINING)
    out = tmp_path / "run"
    for number, year in enumerate(YEARS, 1):
        clock.base = (year - 1970) * 365.25 * 86400
        session(recipe, out, until=2 * number)
        age(out)
        assert Translator.load(out, device="cpu").step == 2 * number, "the newest checkpoint is that of the last step"
    assert _steps_in_tensorboard(out) == list(range(1, STEPS + 1))
    session(recipe, tmp_path / "undisturbed", until=STEPS)
    assert differences(state(tmp_path / "undisturbed"), state(out)) == []
    assert clock.readers == set()


def test_a_session_that_repeats_steps_after_the_clock_was_set_back(
    write_recipe: Callable[..., Path], clock: Clock, tmp_path: Path
) -> None:
    """Its values replace those of the session that was killed."""
    recipe = write_recipe(training=TRAINING)
    out = tmp_path / "run"
    for year, until in ((2040, 4), (2026, STEPS)):
        clock.base = (year - 1970) * 365.25 * 86400
        session(recipe, out, until=until)
        for path in (out / "checkpoints").glob("step-[34]*"):
            if until == 4:
                path.unlink()  # as if it had been killed after step 2 was saved
    assert _steps_in_tensorboard(out) == list(range(1, STEPS + 1))


def _steps_in_tensorboard(out: Path) -> list[int]:
    """The steps of a loss as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    return [event.step for event in events.Scalars("loss/cycle")]
