"""Two processes under torchrun give the same weights as one process with the batch of both."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow

OVERRIDES = ["training.precision=fp64", "losses.adversarial.pool={type: none}", "training.length=3 steps"]


def train(recipe: Path, out: Path, ranks: int, *overrides: str) -> subprocess.CompletedProcess[str]:
    return launch(recipe, out, ranks, *OVERRIDES, *overrides)


def launch(recipe: Path, out: Path, ranks: int, *overrides: str) -> subprocess.CompletedProcess[str]:
    """Trains with that many processes of this machine."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    sets = [part for override in overrides for part in ("--set", override)]
    command = ["-m", "translate_core.run", str(recipe), "--out", str(out), "--device", "cpu", *sets]
    arguments = [sys.executable, *launcher, *command]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=240, check=False)


def generators(out: Path, step: int) -> dict[str, Any]:
    parts = torch.load(out / "checkpoints" / f"step-{step}.pt", weights_only=True)["parts"]
    return {name: state for name, state in parts.items() if name.startswith("networks/")}


def test_two_ranks_equal_the_large_batch_and_resume(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = write_recipe()
    together, alone = tmp_path / "together", tmp_path / "alone"
    done = train(recipe, alone, 1, "training.batch_size=2")
    assert done.returncode == 0, done.stderr
    done = train(recipe, together, 2, "training.batch_size=1")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("training small on cpu") == 1, "every rank talks"
    expected, found = generators(alone, 3), generators(together, 3)
    assert expected.keys() == found.keys()
    for name, state in expected.items():
        for key, value in state.items():
            # The exact gradient of biases before an instance norm is 0; Adam turns rounding errors into steps.
            atol = 2e-3 if key.endswith("bias") else 1e-9
            torch.testing.assert_close(found[name][key], value, rtol=0, atol=atol, msg=f"{name} {key}")

    done = train(recipe, together, 2, "training.batch_size=1", "training.length=5 steps")
    assert done.returncode == 0, done.stderr
    assert "continuing" in done.stderr
    done = train(recipe, together, 1, "training.batch_size=1", "training.length=6 steps")
    assert done.returncode == 2
    assert "processes: 2 there, 1 now" in done.stderr


def test_a_schedule_that_uses_losses_is_saved_within_an_epoch(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """Its state is averaged over the ranks, so every rank takes part in saving it."""
    recipe = write_recipe(schedule={"type": "plateau"})
    out = tmp_path / "together"
    done = train(recipe, out, 2, "training.batch_size=1", "training.checkpoint_every=1 steps")
    assert done.returncode == 0, done.stderr
    state = torch.load(out / "checkpoints" / "step-1.pt", weights_only=True)["parts"]["schedules/generators"]
    assert state["sum"] is not None
    assert len(torch.load(out / "checkpoints" / "step-1.pt", weights_only=True)["rank_parts"]) == 2


def test_an_observer_of_the_first_rank_ends_the_run_on_all(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """The loss of step 1 would have to fall by more than it is."""
    early = {"type": "early_stopping", "watch": "cycle", "patience": 2, "min_delta": 1000.0}
    out = tmp_path / "together"
    recipe = write_recipe(observers={"early": early})
    options = ("training.batch_size=1", "training.length=9 steps", "training.log_every=1 steps")
    done = train(recipe, out, 2, *options)
    assert done.returncode == 0, done.stderr
    assert "ended after step 3 of 9 by observer 'early': cycle has not improved for 2 logged values" in done.stderr
    checkpoint = torch.load(out / "checkpoints" / "step-3.pt", weights_only=True)
    assert checkpoint["record"]["ended"]["step"] == 3
    assert len(checkpoint["rank_parts"]) == 2
    done = train(recipe, out, 2, *options)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is finished (ended after step 3 of 9") == 1
    done = train(recipe, out, 2, *options[:1], "training.length=10 steps", "observers.early=null")
    assert done.returncode == 0, done.stderr
    assert (out / "checkpoints" / "step-10.pt").exists()
