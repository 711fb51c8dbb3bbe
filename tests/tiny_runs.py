"""Runs that take a second to train, for tests of what is done with a trained run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import make_folders
from translate_core.commands.run import main

RECIPE: dict[str, Any] = {
    "method": {"type": "cyclegan"},
    "data": {"type": "unpaired_folders", "transform": {"crop": 32}},
    "generator": {"type": "resnet", "blocks": 1, "width": 4},
    "discriminator": {"type": "patchgan", "layers": 1, "width": 4},
    "losses": {"adversarial": {"type": "lsgan"}, "cycle": {"type": "cycle", "weight": 10}},
    "optimizer": {"type": "adam", "lr": 0.01},
    "training": {"length": "6 steps", "workers": 0, "checkpoint_every": "2 steps", "sample_every": None},
    "observers": {"progress": None, "tensorboard": None, "samples": None, "metrics_log": None},
}

PLUGIN = """
from pathlib import Path
from translate_core import hookimpl
from translate_plugins.generators.resnet import ResNet

Path(__file__).with_suffix(".executed").touch()

class Mine(ResNet):
    '''A small residual generator.'''

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, blocks=1, width=4)

@hookimpl
def register(registry):
    registry.generator("mine", Mine)
"""
"""A plugin file that leaves a trace when it is executed."""


def train(folder: Path, **blocks: Any) -> Path:
    """Trains in `folder/run` on `folder/data`; keyword arguments replace blocks of the recipe.

    `data` and `training` are merged into its own.
    """
    recipe = copy.deepcopy(RECIPE)
    recipe["data"]["root"] = str(make_folders(folder / "data"))
    for name, block in blocks.items():
        recipe[name] = {**recipe[name], **block} if name in ("data", "training") else block
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    assert main([str(folder / "tiny.yaml"), "--out", str(folder / "run"), "--device", "cpu"]) == 0
    return folder / "run"
