"""Label maps from a folder to a translation, and the options of a direction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from translate_core import RecipeError, Translator, UserError, load_recipe, open_run
from translate_core.commands.apply import main as apply

QUIET = {"progress": None, "tensorboard": None, "samples": None, "metrics_log": None}
COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200))


def write_pairs(root: Path) -> None:
    """Label maps of three classes, and images that have the colour of each class."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for domain in "AB":
            (root / f"{split}{domain}").mkdir(parents=True)
        for index in range(count):
            numbers = rng.integers(0, 3, (4, 4), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
            labels = Image.fromarray(numbers).convert("P")
            labels.putdata(numbers.flatten().tolist())
            labels.putpalette([value for colour in COLOURS for value in colour])
            labels.save(root / f"{split}A" / f"{index}.png")
            Image.fromarray(np.array(COLOURS, np.uint8)[numbers]).save(root / f"{split}B" / f"{index}.png")


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    write_pairs(folder / "data")
    recipe: dict[str, Any] = {
        "plugins": ["tests.training.toys"],
        "method": {"type": "from_maps"},
        "data": {
            "type": "paired_folders",
            "root": str(folder / "data"),
            "maps": ["A"],
            "classes": ["house", "tree", "lake"],
        },
        "generator": {"type": "pixel"},
        "losses": {"l1": {"type": "l1"}},
        "optimizer": {"type": "adam", "lr": 0.1},
        "training": {"length": "60 steps", "workers": 0, "sample_every": None, "log_every": "60 steps"},
        "observers": QUIET,
    }
    with open_run(recipe, device="cpu", folder=folder / "run") as run:
        item = run.batch(0)[0]
        assert item["real_A"].dtype == torch.uint8
        assert set(run.tensors(item)["real_A"].unique().tolist()) <= {0, 1, 2}
        assert run.train()
        pictures = run.samples()[0].pictures
        colours = {tuple(colour) for colour in pictures["real_A"].flatten(1).T.tolist()}
        assert colours <= {(0, 0, 0), (128, 0, 0), (0, 128, 0)}
        assert {result.name for result in run.evaluate()} >= {"psnr/fake_B", "ssim/fake_B"}
    return folder


def test_a_label_map_is_translated_at_its_own_size(maps: Path) -> None:
    numbers = np.random.default_rng(1).integers(0, 3, (7, 9), dtype=np.uint8)
    translator = Translator.load(maps / "run", device="cpu", trust=True)
    translated = np.asarray(translator.translate(Image.fromarray(numbers)))
    assert translated.shape == (7, 9, 3)
    assert np.abs(translated.astype(int) - np.array(COLOURS)[numbers]).max() < 12
    again = translator.translate(torch.from_numpy(numbers)[None])
    assert np.array_equal(again.permute(1, 2, 0).numpy(), translated)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            Image.new("RGB", (4, 4)),
            "the image is an image of mode RGB, not a label map: a greyscale or palette PNG file of at most 8 bits, "
            "where each pixel is the number of a class",
        ),
        (torch.zeros(1, 4, 4), "a label map must be a tensor of integers, (1, H, W) or (N, 1, H, W)"),
        (
            Image.new("L", (4, 4), 7),
            "the image holds the value 7 (row 0, column 0), but data.classes lists 3 classes, numbered 0 … 2",
        ),
        (
            torch.full((1, 4, 4), 7),
            "the label map holds the value 7, but there are 3 classes, numbered 0 … 2",
        ),
    ],
)
def test_what_is_not_a_label_map(maps: Path, image: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        Translator.load(maps / "run", device="cpu", trust=True).translate(image)
    assert str(caught.value) == message


def test_a_method_refuses_data(maps: Path) -> None:
    data = {"type": "paired_folders", "root": str(maps / "data")}
    with pytest.raises(RecipeError) as caught:
        load_recipe(maps / "run" / "recipe.yaml", {"data": data})
    assert [(fault.path, fault.message) for fault in caught.value.faults] == [
        ("method", "needs label maps: let the data state their classes")
    ]


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("options")
    recipe = {
        "plugins": ["tests.training.toys"],
        "method": {"type": "three_sides"},
        "data": {"type": "synthetic", "size": 16, "train": 4, "test": 1},
        "generator": {"type": "pixel"},
        "discriminator": {"type": "critic"},
        "losses": {"adversarial": {"type": "lsgan"}, "energy": {"type": "energy"}},
        "optimizer": {"type": "adam"},
        "training": {"length": "2 steps", "workers": 0, "sample_every": None},
        "observers": QUIET,
    }
    with open_run(recipe, device="cpu", folder=folder / "run") as run:
        assert run.train()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / "in.png")
    return folder


def test_an_option_changes_the_translation(options: Path) -> None:
    translator = Translator.load(options / "run", device="cpu", trust=True)
    assert [option.name for option in translator.options()] == ["steps"]
    image = Image.open(options / "in.png")
    default, one, three = (translator.translate(image, options=given) for given in (None, {"steps": 1}, {"steps": 3}))
    assert default.tobytes() == one.tobytes() != three.tobytes()
    assert set(translator.networks) == {"G"}


def test_apply_takes_options(options: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, image = str(options / "run"), str(options / "in.png")
    common = [run, image, "--trust", "--device", "cpu"]
    for number in (1, 3):
        assert apply([*common, "--out", str(options / f"{number}"), "--option", f"steps={number}"]) == 0
    assert "--option" not in capsys.readouterr().err
    assert (options / "1" / "in.png").read_bytes() != (options / "3" / "in.png").read_bytes()
    assert apply([*common, "--out", str(options / "default")]) == 0
    assert "(options: steps=1: change with --option)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["steps=9"], "translate-apply: option steps must be a whole number in 1 … 4, not 9\n"),
        (["stps=2"], "translate-apply: A-B has no option 'stps', did you mean 'steps'? It has: steps\n"),
        (
            ["steps", "=3"],
            "translate-apply: --option has 2 faults\n"
            "  --option  'steps' must be NAME=NUMBER, such as steps=50\n"
            "  --option  '=3' must be NAME=NUMBER, such as steps=50\n",
        ),
        (["steps=1", "steps=2"], "translate-apply: --option has 1 fault\n  --option  has two values for steps\n"),
    ],
)
def test_faults_of_options(
    given: list[str], message: str, options: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    texts = [part for text in given for part in ("--option", text)]
    arguments = [str(options / "run"), str(options / "in.png"), "--out", str(tmp_path / "out"), "--trust", *texts]
    assert apply([*arguments, "--device", "cpu"]) == 2
    assert capsys.readouterr().err == message
    assert not (tmp_path / "out").exists()
