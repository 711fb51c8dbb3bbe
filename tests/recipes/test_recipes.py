"""Every recipe is validated as it is, and trained for two steps at a reduced size on small generated images."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.reduced import ABLATIONS, RECIPES, reduced
from translate_core import load_recipe
from translate_core.ablation.file import parse_ablation
from translate_core.commands.apply import main as apply
from translate_core.commands.run import main as run
from translate_core.recipe.file import read_recipe
from translate_core.recipe.resolver import resolve


def test_the_enumeration_is_complete() -> None:
    """These numbers are changed by hand when a recipe is added, so that a lost recipe is noticed."""
    assert (len(RECIPES), len(ABLATIONS)) == (27, 3)
    methods = {yaml.safe_load((REPOSITORY / "recipes" / name).read_text())["method"]["type"] for name in RECIPES}
    assert methods == {"cyclegan", "pix2pix", "cut", "munit", "ugatit", "gan", "dclgan", "unsb", "bbdm", "starganv2"}
    quickstarts = [name for name in RECIPES if name.startswith("quickstart")]
    assert {
        yaml.safe_load((REPOSITORY / "recipes" / name).read_text())["method"]["type"] for name in quickstarts
    } == methods


@pytest.mark.parametrize("name", RECIPES)
def test_every_key_is_valid(name: str) -> None:
    path = REPOSITORY / "recipes" / name
    load_recipe(path)


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_every_variant_is_valid(path: Path) -> None:
    variants = parse_ablation(path, read_recipe(path)).variants
    assert len(variants) >= 2
    for variant in variants:
        resolve(path, variant.recipe)


@pytest.mark.parametrize("name", RECIPES)
def test_two_steps_and_a_translation(name: str, tmp_path: Path) -> None:
    small = reduced(REPOSITORY / "recipes" / name, tmp_path)
    out = tmp_path / "run"
    assert run([str(small), "--out", str(out), "--device", "cpu"]) == 0
    assert {path.name for path in out.iterdir()} >= {
        "recipe.yaml", "checkpoints", "weights", "metrics.jsonl", "results.json", "samples", "tensorboard"
    }  # fmt: skip
    assert (out / "checkpoints" / "step-2.pt").is_file()
    first = next(iter(load_recipe(small).method.directions))
    assert (out / "samples" / f"step-0000002-{first}.png").is_file()
    picture = next(path for path in (tmp_path / "run" / "samples").glob("*.png"))
    pairs = load_recipe(small).record["data"]["type"] == "paired_side_by_side"
    files = ["--files", "images"] if pairs else []
    assert apply([str(out), str(picture), "--out", str(tmp_path / "translated"), "--device", "cpu", *files]) == 0
    assert len(list((tmp_path / "translated").glob("*.png"))) == 1
