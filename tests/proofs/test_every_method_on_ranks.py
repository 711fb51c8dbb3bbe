"""Two processes that accumulate gradients train every method, and resume to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.conftest import REPOSITORY
from tests.proofs.test_every_method import QUICKSTARTS
from tests.proofs.test_ranks import launch
from tests.proofs.test_resume import differences
from tests.reduced import reduced

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", QUICKSTARTS)
def test_two_ranks_accumulate_and_resume(name: str, tmp_path: Path) -> None:
    recipe = reduced(REPOSITORY / "recipes" / name, tmp_path, length="3 steps", batch_size=1, accumulate=2, ema=0.9)
    out = tmp_path / "run"
    checkpoint = out / "checkpoints" / "step-3.pt"
    done = launch(recipe, out, 2)
    assert done.returncode == 0, done.stderr
    whole = torch.load(checkpoint, weights_only=True)
    assert len(whole["rank_parts"]) == 2
    for path in checkpoint.parent.glob("step-3.*"):
        path.unlink()
    done = launch(recipe, out, 2)
    assert done.returncode == 0, done.stderr
    assert "continuing" in done.stderr
    again = torch.load(checkpoint, weights_only=True)
    kept = ("parts", "rank_parts")
    assert differences({key: whole[key] for key in kept}, {key: again[key] for key in kept}) == []
