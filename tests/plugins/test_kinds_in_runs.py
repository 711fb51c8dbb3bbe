"""Runs on datasets that supply labels and label maps: from the recipe to sample pictures, resumed to the bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.plugins.made_images import folders, noise
from tests.reduced import make_images
from translate_core import load_recipe, open_run
from translate_core.commands import apply
from translate_core.commands.run import main

PLUGIN = Path(__file__).with_name("methods_of_kinds.py")
DOMAINS = ("wild", "cat", "dog")


def classes(root: Path) -> dict[str, Any]:
    make_images("class_folders", root / "data")
    return {
        "method": {"type": "labelled"},
        "data": {
            "type": "class_folders",
            "root": str(root / "data"),
            "domains": list(DOMAINS),
            "transform": {"crop": 32},
        },
    }


def species(root: Path) -> dict[str, Any]:
    domains = ["pony", "horse", "zebra"]
    data = {"type": "synthetic", "size": 32, "train": 4, "test": 2, "domains": domains}
    return {"method": {"type": "labelled"}, "data": data}


def maps(root: Path) -> dict[str, Any]:
    numbers = [np.random.default_rng(i).integers(0, 3, (40, 48), dtype=np.uint8) for i in range(4)]
    of_a = {f"{i}.png": Image.fromarray(each) for i, each in enumerate(numbers)}
    of_b = {f"{i}.png": noise(i, 40, 48) for i in range(4)}
    folders(root / "data", trainA=of_a, trainB=of_b, testA=of_a, testB=of_b)
    data = {"type": "paired_folders", "root": str(root / "data"), "maps": ["A"], "classes": ["sky", "road", "tree"]}
    return {"method": {"type": "of_maps"}, "data": {**data, "transform": {"resize": 36, "crop": 32}}}


def written(root: Path, blocks: dict[str, Any]) -> Path:
    shutil.copy(PLUGIN, root / PLUGIN.name)
    recipe = {
        "plugins": [PLUGIN.name],
        "generator": {"type": "resnet", "blocks": 1, "width": 4},
        "discriminator": {"type": "patchgan", "layers": 1, "width": 4},
        "losses": {"adversarial": {"type": "lsgan"}},
        "optimizer": {"type": "adam"},
        "training": {"length": "2 steps", "batch_size": 2, "workers": 0, "samples": 1, "checkpoint_every": "1 steps"},
        **blocks,
    }
    path = root / "r.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


@pytest.fixture(params=[classes, species, maps], ids=lambda make: make.__name__)
def recipe(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return written(tmp_path, request.param(tmp_path))


def weights(folder: Path, step: int) -> dict[str, torch.Tensor]:
    parts = torch.load(folder / "checkpoints" / f"step-{step}.pt", weights_only=True)["parts"]
    networks = {part: state for part, state in parts.items() if part.startswith("networks/")}
    return {f"{part}/{name}": value for part, state in networks.items() for name, value in state.items()}


def test_a_run_trains_shows_samples_and_resumes_to_the_bit(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def trained(folder: str, *options: str) -> Path:
        command = [str(recipe), "--out", str(tmp_path / folder), "--device", "cpu", *options]
        assert main(command) == 0, capsys.readouterr().err
        return tmp_path / folder

    whole = trained("whole", "--set", "training.length=3 steps")
    resumed = trained("resumed")
    trained("resumed", "--set", "training.length=3 steps", "--set", "training.workers=1")
    expected, found = weights(whole, 3), weights(resumed, 3)
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert list((whole / "samples").glob("*.png"))


def test_labels_and_maps_reach_the_method_as_they_are(recipe: Path) -> None:
    """Only images are scaled; the loader, the device and the precision leave the others as they are."""
    with open_run(load_recipe(recipe), device="cpu") as run:
        (item,) = run.batch()
        tensors = run.tensors()
        kinds = run.assembly.dataset.kinds
        for name, given in item.items():
            if name in kinds:
                assert tensors[name].dtype == given.dtype
                assert torch.equal(tensors[name], given)
            else:
                assert torch.equal(tensors[name], given.float() / 127.5 - 1)
        if "label" in item:
            assert item["label"].dtype == torch.int64
            assert item["label"].shape == (2,)
        else:
            assert item["real_A"].dtype == torch.uint8
            assert item["real_A"].shape == (2, 1, 32, 32)
            assert set(item["real_A"].unique().tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("make", "folder", "direction"), [(classes, "test/cat", "cat-wild"), (maps, "testA", "A-B")], ids=["labels", "maps"]
)
def test_a_run_translates_the_files_of_a_domain(
    make: Callable[[Path], dict[str, Any]],
    folder: str,
    direction: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = written(tmp_path, make(tmp_path))
    assert main([str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 0, capsys.readouterr().err
    files, out = tmp_path / "data" / folder, tmp_path / "out"
    command = [str(tmp_path / "run"), str(files), "--out", str(out), "--direction", direction, "--device", "cpu"]
    assert apply.main(command) == 0, capsys.readouterr().err
    written_files = sorted(out.rglob("*.png"))
    assert len(written_files) == len(list(files.iterdir()))
    with Image.open(written_files[0]) as image, Image.open(sorted(files.iterdir())[0]) as source:
        assert image.mode == "RGB"
        assert image.size == source.size
