"""Faults in the parts that only some methods have: heads, taps, changing weights, pairs."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import make_folders
from translate_core.ablation.file import parse_ablation
from translate_core.commands.run import main
from translate_core.components.weight import Ramp
from translate_core.recipe.file import read_recipe
from translate_core.recipe.resolver import resolve

RECIPE: dict[str, Any] = {
    "method": {"type": "cut", "taps": ["image", "down1", "block1"], "patches": 16},
    "data": {"type": "unpaired_folders", "transform": {"crop": 24}},
    "generator": {"type": "resnet", "blocks": 1, "width": 4},
    "discriminator": {"type": "patchgan", "layers": 1, "width": 4},
    "head": {"type": "mlp", "width": 8},
    "losses": {"adversarial": {"type": "lsgan"}, "nce": {"type": "patch_nce"}},
    "optimizer": {"type": "adam"},
    "training": {"length": "2 steps", "workers": 0},
}
TENSORS = "real_A, real_B, fake_B, idt_B, both, z_fake_B, z_real_A, places_A, z_idt_B, z_real_B, places_B"
WRONG = {
    "method.taps=[image, blck1]": (
        "method.taps  G has no tap 'blck1', did you mean 'block1'? ResNet has: image, down1, down2, block1",
    ),
    "generator={type: unet, downs: 3, width: 4}": (
        "method.taps  G has no tap 'block1'. UNet has: image, down1, down2, down3",
    ),
    "generator={type: munit, width: 4}": (
        "method.taps  needs features of G, and MUNITGenerator declares no taps: use a network with an attribute "
        "`taps` and a method `features`",
        "generator    G needs a generator with a method 'features', which munit does not have",
    ),
    "method.taps=[]": ("method  taps must name at least one tap of the generator",),
    "method.taps=[image, down1, image]": ("method  taps lists image twice",),
    "method.patches=0": ("method.patches  must be a whole number greater than 0, not 0",),
    "head=null": ("head  is missing: the recipe names no head. There are: mlp",),
    "head={type: mpl}": ("head.type  there is no head 'mpl', did you mean 'mlp'? There are: mlp",),
    "head.width=0": ("head.width  must be a whole number greater than 0, not 0",),
    "method={type: cyclegan}": ("head  the method has no head: leave the block out",),
    "losses.nce.weight={from: 0, to: 1}": (
        "losses.nce.weight.steps  is missing: a changing weight needs it (a whole number greater than 0)",
    ),
    "losses.nce.weight={from: -1, to: 1, step: 5}": (
        "losses.nce.weight.from   must be a number at least 0, not -1",
        "losses.nce.weight.step   a changing weight has no option 'step', did you mean 'steps'? It takes: from, to, ",
        "losses.nce.weight.steps  is missing: a changing weight needs it (a whole number greater than 0)",
    ),
    "losses.nce.weight={from: 0, to: 1, steps: 0}": (
        "losses.nce.weight.steps  must be a whole number greater than 0, not 0",
    ),
    "losses.r={type: r1, weight: 3}": (
        "losses.r.weight  multiplies no part of r1: leave it out "
        "(0 switches the loss off), and set its strength by its own options",
    ),
    "losses.bridge={type: schrodinger_bridge}": (
        "losses.bridge.type  schrodinger_bridge is defined for the side energy, which the method lacks. It has: "
        "generators, discriminators",
    ),
    "losses.nce.similarity=angle": ("losses.nce.similarity  must be one of dot, cosine, not 'angle'",),
    "losses.adversarial={type: hinge, generator: both}": (
        "losses.adversarial.generator  must be one of unbounded, bounded, not 'both'",
    ),
    "losses.nce.pairs={z_fake_B: z_real_a}": (
        f"losses.nce.pairs.z_fake_B  the method has no tensor 'z_real_a', did you mean 'z_real_A'? It has: {TENSORS}",
    ),
    "losses.nce.pairs={fake_B: real_A}": (
        "losses.nce  patch_nce compares embeddings, batch × patches × width, and was given 1×3×24×24: name the output "
        "of a projection head in `pairs`",
    ),
    "losses.cam={type: cam}": ("losses.cam  method CUT has no pairs 'cam'. It has: nce.",),
    "losses.adversarial.augment=[colour]": (
        "losses.adversarial.augment  must be a list, each one of color, translation, cutout, not [colour]",
    ),
    "networks.F.width=4": ("networks.F  the method has no network 'F'. It has: G, D, H",),
}
METHODS = {
    "munit": ("generator  AE_A needs a generator with a method 'encode', which resnet does not have",),
    "ugatit": ("generator  G_AB needs a generator with a method 'attend', which resnet does not have",),
}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    data = copy.deepcopy(RECIPE)
    data["data"]["root"] = str(make_folders(tmp_path / "data"))
    path = tmp_path / "cut.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


@pytest.mark.parametrize("override", WRONG)
def test_recipe(override: str, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu", "--set", override]) == 2
    error = capsys.readouterr().err
    for line in WRONG[override]:
        assert line in error, error
    assert f"has {len(WRONG[override])} fault" in error
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", METHODS)
def test_a_network_without_a_function_that_the_method_calls(
    method: str, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = yaml.safe_load(recipe.read_text())
    del data["head"], data["losses"]["nce"]
    data["method"] = {"type": method}
    recipe.write_text(yaml.safe_dump(data))
    assert main([str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert all(line in error for line in METHODS[method]), error


def test_networks_that_take_no_conditions(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = yaml.safe_load(recipe.read_text())
    data["method"] = {"type": "unsb"}
    recipe.write_text(yaml.safe_dump(data))
    assert main([str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    for line in (
        "generator      G needs a generator that takes time and latent after the image, and resnet takes x",
        "discriminator  D needs a discriminator that takes time after the image, and patchgan takes x",
        "discriminator  E needs a discriminator that takes time after the image, and patchgan takes x",
    ):
        assert line in error, error


def test_the_base_recipe_is_valid(recipe: Path, tmp_path: Path) -> None:
    assert main([str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 0


def test_networks_that_no_loss_needs_are_left_out(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the contrastive loss no loss needs the head, which is then not built."""
    arguments = [str(recipe), "--device", "cpu", "--set", "losses.nce.weight=0"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "networks left out because no loss needs them: H" in capsys.readouterr().out


def test_a_changing_weight(recipe: Path, tmp_path: Path) -> None:
    """{from, to, steps} is linear and then constant; it is recorded, and continues after an interruption."""
    weight = "losses.nce.weight={from: 1, to: 3, steps: 2}"
    arguments = [str(recipe), "--device", "cpu", "--set", "training.log_every=1 steps", "--set", "optimizer.lr=1e-30"]
    ramped, constant = tmp_path / "ramped", tmp_path / "constant"
    for length in (2, 4):
        more = ["--set", weight, "--set", f"training.length={length} steps"]
        assert main([*arguments, "--out", str(ramped), *more]) == 0
    assert main([*arguments, "--out", str(constant), "--set", "training.length=4 steps"]) == 0
    assert yaml.safe_load((ramped / "recipe.yaml").read_text())["losses"]["nce"]["weight"] == {
        "from": 1.0,
        "to": 3.0,
        "steps": 2,
    }
    losses = [
        [
            row["losses"]["nce"]
            for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
            if row["kind"] == "losses"
        ]
        for run in (ramped, constant)
    ]
    factors = [one / other for one, other in zip(*losses, strict=True)]
    assert factors == pytest.approx([1, 2, 3, 3], rel=1e-4)


def test_an_ablation_with_a_changing_weight(recipe: Path, tmp_path: Path) -> None:
    """{from, to, steps} replaces a number of the base, in the blocks of the file and under `vary`."""
    base = yaml.safe_load(recipe.read_text())
    base["losses"]["nce"]["weight"] = 2
    recipe.write_text(yaml.safe_dump(base))
    ramp = {"from": 0, "to": 1, "steps": 5}
    path = tmp_path / "ablation.yaml"
    written = {"base": recipe.name, "vary": {"training.seed": [0, 1]}, "losses": {"nce": {"weight": ramp}}}
    path.write_text(yaml.safe_dump(written))
    (one, two) = parse_ablation(path, read_recipe(path)).variants
    assert one.recipe["losses"]["nce"] == two.recipe["losses"]["nce"] == {"type": "patch_nce", "weight": ramp}
    assert resolve(path, one.recipe).losses["nce"].weight == Ramp(0, 1, 5)
    path.write_text(yaml.safe_dump({"base": recipe.name, "vary": {"losses.nce.weight": [1, ramp]}}))
    weights = [
        resolve(path, variant.recipe).losses["nce"].weight
        for variant in parse_ablation(path, read_recipe(path)).variants
    ]
    assert weights == [1, Ramp(0, 1, 5)]
    assert read_recipe(recipe)["losses"]["nce"]["weight"] == 2
