"""The example package is built, installed without a network, tested, trained and applied."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.conftest import REPOSITORY

EXAMPLES = tuple(sorted(path.parent for path in (REPOSITORY / "examples").glob("*/pyproject.toml")))
NAMES = [path.name for path in EXAMPLES]
OFFERED = {"translate-structure": {"generator": "attention_unet", "loss": "edges", "metric": "gmsd"}}
REDUCED = (
    "data.train=4",
    "data.test=2",
    "training.length=2 steps",
    "training.sample_every=1 steps",
    "training.samples=1",
    "generator.width=4",
    "discriminator.width=4",
)

SMALLER = ("--set", "generator.attention_unet.width=4")


@pytest.fixture(scope="module", params=EXAMPLES, ids=NAMES)
def example(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def wheel(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the package from a copy, so that the repository stays clean."""
    folder = tmp_path_factory.mktemp("build")
    shutil.copytree(example, folder / "source", ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    _pip("wheel", "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "source"))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment variables of a process in which the package is installed."""
    site = tmp_path_factory.mktemp("site")
    _pip("install", "--target", str(site), str(wheel))
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _pip(command: str, *arguments: str) -> None:
    words = [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", "--no-index", *arguments]
    subprocess.run(words, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})


def _run(installed: dict[str, str], folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=installed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_enumeration_is_complete() -> None:
    assert set(NAMES) == set(OFFERED)


def test_the_wheel_contains_only_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "[translate_core]" in archive.read(points).decode()
    assert len(tops) == 2
    assert any(top.endswith(".dist-info") for top in tops)


def test_it_imports_only_public_names(example: Path) -> None:
    """Imports of `translate_plugins` or of modules of the engine are not allowed."""
    sources = sorted((example / "src").rglob("*.py"))
    assert len(sources) >= 4
    for source in sources:
        imports = re.findall(r"^\s*(?:from|import) (translate_(?:core|plugins)\S*)", source.read_text(), re.MULTILINE)
        assert set(imports) <= {"translate_core"}, source.name


def test_its_own_tests_pass(example: Path, installed: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(example / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    printed = _run(installed, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    passed = re.search(r"(\d+) passed", printed)
    assert passed is not None
    assert int(passed[1]) >= 15


def test_it_is_listed(example: Path, installed: dict[str, str], tmp_path: Path) -> None:
    printed = _run(installed, tmp_path, "-m", "translate_core.commands.plugins", "list")
    for name in OFFERED[example.name].values():
        assert re.search(rf"{name}.*{example.name}", printed), printed


def test_it_keeps_every_promise(example: Path, installed: dict[str, str], tmp_path: Path) -> None:
    printed = _run(installed, tmp_path, "-m", "translate_core.commands.plugins", "check", example.name, *SMALLER)
    kept = re.search(r"promises: (\d+) kept", printed)
    assert kept is not None, printed
    assert int(kept[1]) >= 30
    assert "not tested" not in printed


def test_its_recipe_trains_and_translates(example: Path, installed: dict[str, str], tmp_path: Path) -> None:
    recipes = sorted((example / "recipes").glob("*.yaml"))
    assert len(recipes) == 1
    for recipe in recipes:
        text = recipe.read_text(encoding="utf-8")
        assert f"#   translate-run {recipe.relative_to(REPOSITORY)}" in text
        named = yaml.safe_load(text)
        assert named["generator"]["type"] == OFFERED[example.name]["generator"]
        assert OFFERED[example.name]["loss"] in {block["type"] for block in named["losses"].values()}
        sets = [word for override in REDUCED for word in ("--set", override)]
        command = ["-m", "translate_core.run", str(recipe), "--out", "run", "--device", "cpu", *sets]
        _run(installed, tmp_path, *command)
        record = json.loads((tmp_path / "run" / "run.json").read_text())
        assert record["plugins"][example.name] == "0.1.0"
        results = json.loads((tmp_path / "run" / "results.json").read_text())["results"]
        assert {f"gmsd/fake_{domain}" for domain in "AB"} <= {result["name"] for result in results}
        assert list((tmp_path / "run" / "samples").glob("*.png"))

        Image.new("RGB", (50, 41), "teal").save(tmp_path / "photo.png")
        apply = ["-m", "translate_core.apply", "run", "photo.png", "--out", "translated", "--device", "cpu"]
        _run(installed, tmp_path, *apply)
        with Image.open(tmp_path / "translated" / "photo.png") as translated:
            assert translated.size == (50, 41)
