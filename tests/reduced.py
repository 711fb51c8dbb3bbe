"""Recipes made small: the same components on small made images, so that two steps take a moment."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from tests.conftest import REPOSITORY

SIDE = 64
"""Of the images, as high and wide."""

RECIPES = tuple(
    sorted(
        path.relative_to(REPOSITORY / "recipes").as_posix()
        for path in (REPOSITORY / "recipes").rglob("*.yaml")
        if path.parent.name != "ablations"
    )
)
ABLATIONS = tuple(sorted((REPOSITORY / "recipes" / "ablations").glob("*.yaml")))

SMALL: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("generator", "resnet"): {"width": 4},
    ("generator", "unet"): {"width": 4, "downs": 5},
    ("generator", "unet_diffusion"): {
        "width": 8,
        "groups": 4,
        "head_channels": 4,
        "multipliers": [1, 1, 1],
        "blocks": 1,
    },
    ("generator", "munit"): {"width": 4, "mlp_width": 8},
    ("generator", "ugatit"): {"width": 4, "size": SIDE},
    ("generator", "unsb"): {"width": 4},
    ("discriminator", "unsb"): {"width": 4},
    ("discriminator", "patchgan"): {"width": 4},
    ("discriminator", "multiscale"): {"width": 4},
    ("discriminator", "ugatit"): {"width": 4, "layers": 5},
    ("generator", "starganv2"): {"width": 4, "max_width": 8},
    ("discriminator", "starganv2"): {"width": 4, "max_width": 8, "downs": 3},
    ("network", "starganv2_mapping"): {"width": 8},
    ("network", "starganv2_style"): {"width": 4, "max_width": 8, "downs": 3},
    ("head", "mlp"): {"width": 8},
    ("method", "bbdm"): {"steps": 3},
    ("observer", "early_stopping"): {"watch": "tried/fake_B", "patience": 2},
}
"""By kind and component, the options that make it small. Each must be an option of it."""


def reduced(recipe: Path, folder: Path, **training: Any) -> Path:
    """Writes a small version of a recipe into `folder`, beside its images. training: keys of that block."""
    data = copy.deepcopy(yaml.safe_load(recipe.read_text(encoding="utf-8")))
    data["method"].update(SMALL.get(("method", data["method"]["type"]), {}))
    for kind in ("generator", "discriminator", "head"):
        if kind in data:
            data[kind].update(SMALL[kind, data[kind]["type"]])
            if data[kind].get("light"):
                del data[kind]["size"]  # the light model is tied to none
    for override in data.get("networks", {}).values():
        if "layers" in override:
            override["layers"] -= 1
        if "type" in override:
            override.update(next(options for (_, name), options in SMALL.items() if name == override["type"]))
    data["data"] = small_data(data["data"], folder / "data")
    if data["data"]["type"] != "synthetic":  # of whose images are two
        data["training"]["batch_size"] = 2 // data["training"].get("accumulate", 1)
    data["training"] = {
        **{key: value for key, value in data["training"].items() if not key.endswith("_every")},
        "length": "2 steps",
        "batch_size": min(data["training"].get("batch_size", 1), 2),
        "workers": 0,
        "samples": 1,
        "log_every": "1 steps",
        "checkpoint_every": "1 steps",
        **training,
    }
    path = folder / recipe.name
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def small_data(block: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """A data block on made images of the layout that its dataset wants."""
    if block["type"] == "synthetic":
        return {**block, "size": SIDE, "train": 4, "test": 2}
    made = {key: value for key, value in block.items() if key != "download"}
    made["root"] = str(root)
    transform = dict(block.get("transform", {}))
    transform.update({"resize": SIDE + 8, "crop": SIDE})
    made["transform"] = transform
    make_images(block["type"], root)
    return made


FOLDERS: dict[str, tuple[str, ...]] = {
    "unpaired_folders": ("trainA", "trainB", "testA", "testB"),
    "paired_folders": ("trainA", "trainB", "testA", "testB"),
    "paired_side_by_side": ("train", "val", "test"),
    "class_folders": tuple(
        f"{part}/{domain}" for part in ("train", "val", "test") for domain in ("cat", "dog", "wild")
    ),
}
"""The folders of images, by the type of the dataset."""


def make_images(layout: str, root: Path) -> None:
    """Blurred noise, two pictures for each place, in the folders of that dataset."""
    rng = np.random.default_rng(0)

    def picture(width: int) -> Image.Image:
        pixels = rng.integers(0, 256, (SIDE // 4, width // 4, 3), dtype=np.uint8)
        return Image.fromarray(pixels).resize((width, SIDE), Image.Resampling.BICUBIC)

    side_by_side = layout == "paired_side_by_side"
    for folder in FOLDERS[layout]:
        (root / folder).mkdir(parents=True)
        for number in range(2):
            picture(2 * SIDE if side_by_side else SIDE).save(root / folder / f"{number}.png")
