"""The commands in the recipe's comment that prepare a dataset which may not be redistributed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.plugins.made_images import plain
from translate_plugins.datasets.unpaired_folders import UnpairedFolders

RECIPE = REPOSITORY / "recipes" / "cyclegan_cityscapes.yaml"


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell")
def test_the_commands_prepare_the_folders(tmp_path: Path) -> None:
    scenes = {"train": ("aachen_000000_000019", "bochum_000000_000313"), "val": ("lindau_000000_000019",)}
    for split, names in scenes.items():
        for value, name in enumerate(names):
            city = name.partition("_")[0]
            photo = tmp_path / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png"
            labels = tmp_path / "gtFine" / split / city / f"{name}_gtFine_color.png"
            for path, image in ((photo, plain(value, 32, 64)), (labels, plain(100 + value, 32, 64))):
                path.parent.mkdir(parents=True)
                image.save(path)
            labels.with_name(f"{name}_gtFine_labelIds.png").write_bytes(b"another file of the same scene")
    lines = RECIPE.read_text(encoding="utf-8").splitlines()
    script = [line.removeprefix("#   ") for line in lines if line.startswith("#   ") and "translate-run" not in line]
    assert len(script) == 8
    root = tmp_path / "prepared here"
    subprocess.run(
        ["sh", "-e", "-c", "\n".join(script)], cwd=tmp_path, env={**os.environ, "ROOT": str(root)}, check=True
    )

    options = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["data"]
    assert "download" not in options
    data = UnpairedFolders(str(root), paired_test=options["paired_test"])
    data.open()
    assert len(data.train) == 2
    assert int(data.train.draw(1, np.random.default_rng(0))["real_A"][0, 0, 0]) == 1
    assert data.test["A"].name(0) == "lindau_000000_000019.png"
    assert int(data.test["A"][0]["target_B"][0, 0, 0]) == 100
    data.close()
