"""Faults of pairs and of changing augmentation: the exact messages of the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from tests.plugins.made_images import beside, folders, plain
from translate_core.commands.run import main

TYPES = "class_folders, paired_folders, paired_side_by_side, synthetic, unpaired_folders"
ADVICE = "Set data.test to the folder with the test images, or to null for none"
NOT_A_MAP = (
    "not a label map: a greyscale or palette PNG file of at most 8 bits, where each pixel is the number of a class"
)
MAPS = {"type": "paired_folders", "maps": ["A"], "classes": ["sky", "road"]}
CLASSES = {"type": "class_folders", "domains": ["cat", "dog"], "test": "val"}
PAIRS = "the images of a pair have the same name, whatever their ending."
REMEDY = f"{PAIRS} Add them, remove these, or use data.type unpaired_folders"


def two_folders(root: Path) -> None:
    images = {f"{number}.png": plain(number, 32, 32) for number in range(3)}
    folders(root, trainA=images, trainB=images, testA=images, testB=images)


def side_by_side(root: Path) -> None:
    images = {f"{number}.png": beside(plain(0, 32, 32), plain(number, 32, 32)) for number in range(3)}
    folders(root, train=images, val=images)


def missing_counterparts(root: Path) -> None:
    two_folders(root)
    (root / "trainB" / "1.png").unlink()
    (root / "testA" / "2.png").rename(root / "testA" / "two.png")


def pairs_of_two_sizes(root: Path) -> None:
    two_folders(root)
    plain(0, 40, 32).save(root / "trainB" / "1.png")
    (root / "trainA" / "0.png").write_bytes(b"no image")


def images_in_the_root(root: Path) -> None:
    images = {f"{number}.png": plain(number, 32, 64) for number in range(3)}
    folders(root.parent, data=images)


def odd_width(root: Path) -> None:
    side_by_side(root)
    plain(0, 32, 63).save(root / "train" / "7.png")


def folders_of_classes(root: Path) -> None:
    images = {f"{number}.png": plain(number, 32, 32) for number in range(3)}
    folders(root, **{f"{part}/{domain}": images for part in ("train", "val") for domain in ("cat", "dog")})


def label_maps(root: Path) -> None:
    """A label map with the value 9, a photograph, and a JPEG file in trainA."""
    two_folders(root)
    for path in (root / "trainA").iterdir():
        path.unlink()
    for number, image in enumerate((Image.new("L", (32, 32), 9), plain(1, 32, 32), Image.new("L", (32, 32), 1))):
        image.save(root / "trainA" / f"{number}.{'jpg' if number == 2 else 'png'}")
    for path in (root / "testA").iterdir():
        Image.new("P", (32, 32), 1).save(path)


DATA: dict[str, tuple[Callable[[Path], None], dict[str, Any], list[str]]] = {
    "an image without counterpart": (missing_counterparts, {"type": "paired_folders"}, [
        f"data/trainB  lacks the counterparts of 1 of 3 images in trainA: 1.png; {REMEDY}",
        f"data/testB   lacks the counterparts of 1 of 3 images in testA: two.png; {REMEDY}",
        f"data/testA   lacks the counterparts of 1 of 3 images in testB: 2.png; {REMEDY}",
    ]),
    "images of a pair that differ in size": (pairs_of_two_sizes, {"type": "paired_folders"}, [
        "data/trainA/0.png  is not an image, or of a format that Pillow cannot read",
        "data/trainA/1.png  is 32 × 32 (height × width), but its counterpart data/trainB/1.png is 40 × 32: "
        "the images of a pair must have one size; resize them, or set transform.resize without keep_aspect",
    ]),
    "a test image without target": (missing_counterparts, {"type": "unpaired_folders", "paired_test": True}, [
        f"data/testB  lacks the counterparts of 1 of 3 images in testA: two.png; {PAIRS} "
        "Add them, remove these, or set data.paired_test to false",
        f"data/testA  lacks the counterparts of 1 of 3 images in testB: 2.png; {PAIRS} "
        "Add them, remove these, or set data.paired_test to false",
    ]),
    "two folders read as side by side": (two_folders, {"type": "paired_side_by_side", "test": None}, [
        "data/train  does not exist, but data has trainA and trainB: "
        "that is data.type paired_folders, or unpaired_folders where images are not paired",
    ]),
    "side by side read as two folders": (side_by_side, {"type": "paired_folders"}, [
        f"data/train{domain}  does not exist, but data has a train with images in it: "
        "two images side by side in a file are data.type paired_side_by_side" for domain in "AB"
    ]),
    "no test folder of that name": (side_by_side, {"type": "paired_side_by_side"}, [
        f"data/test  does not exist. data holds: train, val. {ADVICE}",
    ]),
    "images in no folder": (images_in_the_root, {"type": "paired_side_by_side"}, [
        "data/train  does not exist, and data itself holds 3 images (0.png …): move the training images into train",
    ]),
    "no label maps": (label_maps, MAPS, [
        "data/trainA/0.png  holds the value 9 (row 0, column 0), "
        "but data.classes lists 2 classes, numbered 0 … 1",
        f"data/trainA/1.png  is a PNG file of mode RGB, {NOT_A_MAP}",
        f"data/trainA/2.jpg  is a JPEG file of mode L, {NOT_A_MAP}",
    ]),
    "a domain without a folder": (folders_of_classes, CLASSES | {"domains": ["cat", "dogs"]}, [
        "data/train/dogs  does not exist, did you mean 'dog'? data/train has the folders cat, dog",
    ]),
    "folders of classes read as two folders": (folders_of_classes, {"type": "unpaired_folders"}, [
        f"data/train{domain}  does not exist, but data has a train with folders of images in it: "
        "a folder for each domain is data.type class_folders" for domain in "AB"
    ]),
    "two folders read as folders of classes": (two_folders, CLASSES | {"test": None}, [
        "data/train  does not exist, but data has trainA and trainB: "
        "that is data.type paired_folders, or unpaired_folders where images are not paired",
    ]),
    "no folder of test images of classes": (folders_of_classes, CLASSES | {"test": "test"}, [
        f"data/test  does not exist. data holds: train, val. {ADVICE}",
    ]),
    "no two halves": (odd_width, {"type": "paired_side_by_side", "test": "val"}, [
        "data/train/7.png  is 32 × 63 (height × width): an odd width has no two halves; is it two images side by side?",
    ]),
}  # fmt: skip
OPTIONS = {
    "data.left=C": "data.left  must be one of A, B, not 'C'",
    "data.type=paired": f"data.type  there is no dataset 'paired', did you mean 'paired_folders'? There are: {TYPES}",
    "data.tets=val": "data.tets  paired_side_by_side has no option 'tets', did you mean 'test'? It takes: "
    "root, left, test, transform, channels_A, channels_B, shuffle, download, max_pixels",
    "data.transform={crop: 24, crop_until: 500 steps}": (
        "data.transform  crop_until must be in epochs, such as '200 epochs', not '500 steps'"
    ),
    "data.transform={resize: 24, crop_until: 2 epochs}": (
        "data.transform  crop_until is the end of cropping, but crop is not given"
    ),
    "data.transform={crop: 24, crop_until: 2}": (
        "data.transform.crop_until  must be a length such as '500 steps' or '1 epoch', or null, not 2"
    ),
}
OF_OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "one domain": (
        CLASSES | {"domains": ["cat"]},
        "data  domains lists cat only: at least two are needed, such as domains: [cat, dog]",
    ),
    "a domain twice": (CLASSES | {"domains": ["cat", "dog", "cat"]}, "data  domains lists cat twice"),
    "no domains": ({"type": "class_folders"}, "data.domains  is missing: class_folders needs it (a list, each text)"),
    "maps without classes": (
        MAPS | {"classes": []},
        "data  maps needs classes, the names of the numbers 0, 1, … in the label maps, such as classes: [sky, road]",
    ),
    "classes without maps": (
        MAPS | {"maps": []},
        "data  classes are those of label maps, but maps is empty: list their domain, such as maps: [A]",
    ),
    "maps of no domain": (MAPS | {"maps": ["C"]}, "data.maps  must be a list, each one of A, B, not [C]"),
    "colours of a label map": (
        MAPS | {"channels_A": 3},
        "data  channels_A is 3, but the label maps of A have 1 channel: leave it out",
    ),
    "one species": (
        {"type": "synthetic", "domains": ["pony"]},
        "data  domains lists pony only: at least two of horse, zebra, pony are needed",
    ),
    "an unknown species": (
        {"type": "synthetic", "domains": ["horse", "cow"]},
        "data.domains  must be a list, each one of horse, zebra, pony, not [horse, cow]",
    ),
    "pairs of domains": (
        {"type": "synthetic", "domains": ["horse", "zebra"], "paired": True},
        "data  paired is true, but with domains images are drawn one by one: leave one of the two out",
    ),
}


def printed(folder: Path, data: dict[str, Any], capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    recipe: dict[str, Any] = {
        "method": {"type": "cyclegan"},
        "data": data if data["type"] == "synthetic" else {"root": "data", **data},
        "generator": {"type": "resnet", "blocks": 1, "width": 4},
        "discriminator": {"type": "patchgan", "layers": 1, "width": 4},
        "losses": {"adversarial": {"type": "lsgan"}, "cycle": {"type": "cycle", "weight": 10}},
        "optimizer": {"type": "adam"},
        "training": {"length": "2 steps", "workers": 0},
    }
    (folder / "r.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    sets = [word for override in overrides for word in ("--set", override)]
    assert main(["r.yaml", "--dry-run", "--device", "cpu", *sets]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("name", DATA)
def test_data(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, data, messages = DATA[name]
    make(tmp_path / "data")
    lines = [line for line in printed(tmp_path, data, capsys).splitlines() if not line.startswith("decoding ")]
    assert lines[0] == f"translate-run: dataset data has {len(messages)} fault{'s' if len(messages) > 1 else ''}"
    assert lines[1:] == [f"  {message}" for message in messages]


@pytest.mark.parametrize("override", OPTIONS)
def test_options(
    override: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    side_by_side(tmp_path / "data")
    error = printed(tmp_path, {"type": "paired_side_by_side", "test": "val"}, capsys, override)
    assert error == f"translate-run: recipe r.yaml has 1 fault\n  {OPTIONS[override]}\n"


@pytest.mark.parametrize("name", OF_OTHERS)
def test_options_of_other_types(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data, message = OF_OTHERS[name]
    assert printed(tmp_path, data, capsys) == f"translate-run: recipe r.yaml has 1 fault\n  {message}\n"
