"""The engine's guarantees hold for every method, shown with its reduced quickstart recipe."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from tests.conftest import REPOSITORY
from tests.proofs.test_resume import differences
from tests.reduced import RECIPES, SIDE, reduced
from translate_core import Translator
from translate_core.commands.run import main

QUICKSTARTS = tuple(name for name in RECIPES if name.startswith("quickstart"))
STEPS = 5


def test_every_method_has_a_quickstart() -> None:
    assert len(QUICKSTARTS) == 10


PARAMS = [pytest.param(name, marks=[] if name == "quickstart.yaml" else pytest.mark.slow) for name in QUICKSTARTS]
"""All of them by `make proofs`, and CycleGAN in the suite."""


@pytest.fixture(scope="module", params=PARAMS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recipe and the folder of its run, with a checkpoint at every step."""
    folder = tmp_path_factory.mktemp(Path(request.param).stem)
    recipe = reduced(
        REPOSITORY / "recipes" / request.param,
        folder,
        length=f"{STEPS} steps",
        keep_checkpoints=STEPS,
        ema=0.9,
        evaluate_every="2 steps",
    )
    assert main([str(recipe), "--out", str(folder / "run"), "--device", "cpu"]) == 0
    return recipe, folder / "run"


def states(run: Path) -> dict[str, Any]:
    """The states in the last checkpoint: those that all ranks share, and those of each rank (image pools)."""
    content = torch.load(run / "checkpoints" / f"step-{STEPS}.pt", weights_only=True)
    return {key: content[key] for key in ("parts", "rank_parts")}


@pytest.mark.parametrize("after", [1, 3])
def test_resume_equality(after: int, trained: tuple[Path, Path], tmp_path: Path) -> None:
    """Resuming from the state after a kill at that step gives the same weights, bit for bit."""
    recipe, run = trained
    again = shutil.copytree(run, tmp_path / "again")
    for step in range(after + 1, STEPS + 1):
        for path in (again / "checkpoints").glob(f"step-{step}.*"):
            path.unlink()
    shutil.rmtree(again / "weights")
    assert main([str(recipe), "--out", str(again), "--device", "cpu"]) == 0
    assert differences(states(run), states(again)) == []
    assert len(states(run)["parts"]) >= 3  # at least a network, its average and an optimizer
    assert len(states(run)["rank_parts"]) == 1


def test_translates_any_size_in_every_direction(trained: tuple[Path, Path]) -> None:
    translator = Translator.load(trained[1], device="cpu")
    assert translator.step == STEPS
    image = Image.effect_noise((51, 37), 80).convert("RGB")
    for direction in translator.directions:
        output = translator.translate(image, direction)
        assert output.size == image.size
        assert output.tobytes() == translator.translate(image, direction).tobytes()


@pytest.mark.slow
def test_an_ablation_varies_it(trained: tuple[Path, Path], tmp_path: Path) -> None:
    """Every loss but the adversarial or the only one can be switched off in an ablation, which writes a table."""
    recipe, _ = trained
    given = yaml.safe_load(recipe.read_text())["losses"]
    losses = [name for name in given if name != "adversarial" and len(given) > 1]
    vary = {f"losses.{losses[-1]}.weight": [0, 1]} if losses else {"optimizer.lr": [1e-4, 1e-3]}
    ablation = tmp_path / "ablation.yaml"
    ablation.write_text(yaml.safe_dump({"base": str(recipe), "vary": vary, "training": {"length": "1 steps"}}))
    assert main([str(ablation), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    table = (tmp_path / "out" / "table.md").read_text()
    assert "psnr" in table
    assert table.count("\n| ") >= 3
    for name in losses:
        folder = tmp_path / name
        off = ["--set", f"losses.{name}.weight=0", "--set", "training.length=1 steps"]
        assert main([str(recipe), "--out", str(folder), "--device", "cpu", *off]) == 0
        rows = (folder / "metrics.jsonl").read_text()
        assert f'"{name}"' not in rows


def test_samples_have_the_side_of_the_recipe(trained: tuple[Path, Path]) -> None:
    grids = sorted((trained[1] / "samples").glob("*.png"))
    assert grids
    assert min(Image.open(grids[0]).size) >= SIDE
