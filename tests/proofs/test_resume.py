"""A run that was killed and resumed by the same command equals an uninterrupted run, bit for bit."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import make_folders, write_small_recipe

STEPS = 60
TRAINING = {
    "length": f"{STEPS} steps",
    "workers": 0,
    "ema": 0.9,
    "checkpoint_every": "1 steps",
    "sample_every": "25 steps",
    "evaluate_every": "20 steps",
}
"""Six steps an epoch and a checkpoint at every step, so that stops fall within epochs."""


def command(recipe: Path, out: Path, workers: int) -> list[str]:
    return [
        sys.executable, "-m", "translate_core.run", str(recipe), "--out", str(out), "--device", "cpu",
        "--set", f"training.workers={workers}",
    ]  # fmt: skip


def final_state(out: Path) -> dict[str, Any]:
    """The states in the last checkpoint: those that all ranks share, and those of each rank (image pools)."""
    content = torch.load(out / "checkpoints" / f"step-{STEPS}.pt", weights_only=True)
    return {key: content[key] for key in ("parts", "rank_parts")}


def differences(left: Any, right: Any, path: str = "") -> list[str]:
    """The paths at which two nested states differ by a bit or more."""
    if type(left) is not type(right):
        return [path]
    if isinstance(left, torch.Tensor):
        same = left.dtype == right.dtype and left.shape == right.shape and torch.equal(left, right)
        return [] if same else [path]
    if isinstance(left, dict):
        if left.keys() != right.keys():
            return [f"{path}: {left.keys() ^ right.keys()}"]
        return [item for key in left for item in differences(left[key], right[key], f"{path}/{key}")]
    if isinstance(left, list | tuple):
        if len(left) != len(right):
            return [path]
        return [
            item
            for index, pair in enumerate(zip(left, right, strict=True))
            for item in differences(*pair, f"{path}/{index}")
        ]
    return [] if left == right else [path]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    return write_small_recipe(
        folder / "small.yaml",
        make_folders(folder / "data"),
        generator={"type": "resnet", "blocks": 1, "width": 4, "dropout": 0.5},
        training=TRAINING,
        metrics={"reconstruction": {"type": "psnr", "pairs": {"rec_A": "real_A", "rec_B": "real_B"}}},
    )


@pytest.fixture(scope="module")
def unbroken(recipe: Path) -> dict[str, Any]:
    """The final state of an uninterrupted run, in the folder `unbroken` beside the recipe."""
    out = recipe.parent / "unbroken"
    subprocess.run(command(recipe, out, 0), check=True, capture_output=True, timeout=120)
    state = final_state(out)
    (own,) = state["rank_parts"]
    assert int(own["losses/adversarial"]["pools.D_A._extra_state"]["images"].shape[0]) == 3, "the pools never filled"
    assert any(name.startswith("ema/") for name in state["parts"])
    return state


def progress(out: Path) -> int:
    """The step of the newest checkpoint."""
    found = [int(path.stem[5:]) for path in (out / "checkpoints").glob("step-*.pt")]
    return max(found, default=0)


def kill_when(arguments: list[str], ripe: Callable[[], bool]) -> bool:
    """Starts a run and kills it once `ripe` returns true; returns whether it was still running."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while process.poll() is None and not ripe():
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    at_work = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return at_work


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 4])
def test_killed_at_random_moments(workers: int, recipe: Path, unbroken: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "killed"
    rng = random.Random(workers)
    kills = 0
    for part in (0.1, 0.3, 0.5):
        moment = time.monotonic() + 600

        def ripe(part: float = part) -> bool:
            nonlocal moment
            if progress(out) >= part * STEPS and moment > time.monotonic() + 60:
                moment = time.monotonic() + rng.uniform(0, 0.03)
            return time.monotonic() >= moment

        kills += kill_when(command(recipe, out, workers), ripe)
    assert kills == 3, "the run was over before it was killed"
    assert 0 < progress(out) < STEPS
    done = subprocess.run(command(recipe, out, workers), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "continuing" in done.stderr
    assert differences(unbroken, final_state(out)) == []


@pytest.mark.slow
def test_killed_while_a_checkpoint_is_written(recipe: Path, unbroken: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "killed"
    caught = 0
    for part in (0.1, 0.3, 0.5, 0.7):

        def writing(part: float = part) -> bool:
            return progress(out) >= part * STEPS and any((out / "checkpoints").glob("*.part"))

        kill_when(command(recipe, out, 0), writing)
        caught += any((out / "checkpoints").glob("*.part"))
    assert caught, "no kill fell into the writing of a checkpoint"
    done = subprocess.run(command(recipe, out, 0), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert differences(unbroken, final_state(out)) == []
    assert not list((out / "checkpoints").glob("*.part"))


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_stopped_by_a_signal(number: signal.Signals, recipe: Path, unbroken: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    arguments = command(recipe, out, 1)
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    while progress(out) < STEPS // 3:
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    step = progress(out)
    assert (
        f"stopped after step {step} of {STEPS}; saved. To continue, run the same command again:\n  translate-run "
        in stderr
    )
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert f"after step {step} of {STEPS}" in done.stderr
    assert differences(unbroken, final_state(out)) == []


def test_a_finished_run_is_reported(recipe: Path, unbroken: dict[str, Any]) -> None:
    out = recipe.parent / "unbroken"
    before = (out / "checkpoints" / f"step-{STEPS}.pt").read_bytes()
    done = subprocess.run(command(recipe, out, 0), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert f"the run in {out} is finished ({STEPS} steps); to train longer, raise training.length" in done.stderr
    assert (out / "checkpoints" / f"step-{STEPS}.pt").read_bytes() == before


def test_a_longer_length_continues_the_run(recipe: Path, unbroken: dict[str, Any], tmp_path: Path) -> None:
    out = shutil.copytree(recipe.parent / "unbroken", tmp_path / "longer")
    longer = [*command(recipe, out, 0), "--set", f"training.length={STEPS + 3} steps"]
    done = subprocess.run(longer, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert progress(out) == STEPS + 3


@pytest.mark.slow
def test_the_number_of_workers_does_not_change_the_result(
    recipe: Path, unbroken: dict[str, Any], tmp_path: Path
) -> None:
    for workers in (1, 4):
        out = tmp_path / f"workers-{workers}"
        subprocess.run(command(recipe, out, workers), check=True, capture_output=True, timeout=120)
        assert differences(unbroken, final_state(out)) == []
