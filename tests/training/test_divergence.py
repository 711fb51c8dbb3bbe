"""A run that diverges is reported, and its newest checkpoint is from before the divergence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from translate_core.commands.run import main

TRAINING = {"length": "6 steps", "workers": 0, "sample_every": None, "checkpoint_every": "1 steps"}


@pytest.mark.parametrize("log_every", ["1 steps", "6 steps"])
def test_what_diverged_is_not_saved(
    log_every: str, write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(
        optimizer={"type": "adam", "lr": 1e30}, schedule=None, training={**TRAINING, "log_every": log_every}
    )
    assert main([str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 2
    message = capsys.readouterr().err
    assert "translate-run: training has diverged: at step 2 " in message
    assert "Nothing was saved since the last checkpoint; try a lower optimizer.lr" in message
    kept = sorted((tmp_path / "run" / "checkpoints").glob("*.pt"))
    assert [path.name for path in kept] == ["step-1.pt"]
    parts = torch.load(kept[0], weights_only=True)["parts"]
    weights = [value for name, state in parts.items() if name.startswith("networks/") for value in state.values()]
    assert weights
    assert all(bool(value.isfinite().all()) for value in weights)
