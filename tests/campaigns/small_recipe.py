"""The recipe that the campaigns train: some seconds long, with a state of every sort in its checkpoints."""

from __future__ import annotations

import copy
from typing import Any

_RECIPE: dict[str, Any] = {
    "method": {"type": "cyclegan"},
    "data": {"type": "synthetic", "size": 16, "train": 6, "test": 2},
    "generator": {"type": "resnet", "blocks": 1, "width": 4, "dropout": 0.5},
    "discriminator": {"type": "patchgan", "layers": 1, "width": 4},
    "losses": {
        "adversarial": {"type": "lsgan", "pool": {"type": "history", "size": 3}},
        "cycle": {"type": "cycle", "weight": 10},
    },
    "optimizer": {"type": "adam"},
    "schedule": {"type": "plateau"},
    "training": {"workers": 0, "ema": 0.9, "samples": 1},
    "metrics": {"psnr": {"type": "psnr"}, "swd": {"type": "swd", "descriptors": 4}},
    "observers": {"csv": {"type": "csv"}, "early": {"type": "early_stopping", "watch": "cycle", "patience": 900}},
}


def small_recipe(training: dict[str, Any], **blocks: Any) -> dict[str, Any]:
    """The recipe. training: added to its own; blocks: these replace others."""
    recipe = copy.deepcopy(_RECIPE)
    recipe["training"] |= training
    return recipe | blocks
