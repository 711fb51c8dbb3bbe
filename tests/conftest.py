"""What several tests share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"

# Also in the processes that tests start: two runs at once, of two threads each, wait for each other on two cores.
os.environ["OMP_NUM_THREADS"] = "1"
# The key that signs the code of runs is made in a folder of the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="translate-tests-")
torch.set_num_threads(1)


def shared(name: str) -> Path:
    """A folder beside the repository that only some machines have; the test is skipped where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs {name} in the folder shared/ beside the repository")
    return path


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two small domains of made images: 6 and 5 to train on, 3 and 2 to test on, 32×32."""
    return make_folders(tmp_path / "data")


def make_folders(root: Path, size: int = 32) -> Path:
    rng = np.random.default_rng(0)
    for folder, count in (("trainA", 6), ("trainB", 5), ("testA", 3), ("testB", 2)):
        (root / folder).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 256, (size // 4, size // 4, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)
            image.save(root / folder / f"{index}.png")
    return root


@pytest.fixture
def write_recipe(tmp_path: Path, folders: Path) -> Callable[..., Path]:
    """Writes a small CycleGAN recipe; keyword arguments replace its blocks."""

    def write(name: str = "small", **blocks: Any) -> Path:
        return write_small_recipe(tmp_path / f"{name}.yaml", folders, **blocks)

    return write


def write_small_recipe(path: Path, folders: Path, **blocks: Any) -> Path:
    data: dict[str, Any] = {
        "method": {"type": "cyclegan"},
        "data": {"type": "unpaired_folders", "root": str(folders), "transform": {"crop": 24}},
        "generator": {"type": "resnet", "blocks": 1, "width": 4},
        "discriminator": {"type": "patchgan", "layers": 1, "width": 4},
        "losses": {
            "adversarial": {"type": "lsgan", "pool": {"type": "history", "size": 3}},
            "cycle": {"type": "cycle", "weight": 10},
            "identity": {"type": "identity", "weight": 5},
        },
        "optimizer": {"type": "adam", "lr": 2.0e-4},
        "schedule": {"type": "linear_decay", "constant": "4 steps"},
        "training": {"length": "6 steps", "workers": 0, "checkpoint_every": "2 steps", "sample_every": None},
    }
    data.update(blocks)
    path.write_text(yaml.safe_dump({key: value for key, value in data.items() if value is not None}, sort_keys=False))
    return path
