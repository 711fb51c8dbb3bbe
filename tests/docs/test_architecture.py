"""The page on the layout of the code: its packages and functions exist, and data pass the functions in its order."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from PIL import Image

from tests.conftest import REPOSITORY, make_folders, write_small_recipe
from translate_core.commands import apply, run

PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
_STEP = re.compile(r"^\| `([\w.]+)` \| \[`[\w./]+`\]\(\.\./([\w/]+\.py)\) \|", re.MULTILINE)
STEPS = _STEP.findall(PAGE)
"""Function and file of each row of the tables."""
WAYS = {text.partition("\n")[0]: steps for text in PAGE.split("\n## ") if (steps := _STEP.findall(text))}
"""The same by section."""


def test_the_enumeration_is_complete() -> None:
    assert len(STEPS) >= 40
    assert len(STEPS) == PAGE.count(".py) |"), "write a row as | `function` | [`file.py`](../path/to/file.py) | text |"


@pytest.mark.parametrize(("function", "file"), STEPS)
def test_the_function_exists(function: str, file: str) -> None:
    assert _find(function, file) is not None


def _find(function: str, file: str) -> Any:
    found: Any = importlib.import_module(file.removeprefix("plugins/").removesuffix(".py").replace("/", "."))
    for name in function.split("."):
        found = inspect.getattr_static(found, name)
    return found


Call = tuple[str, str]
"""Qualified name of a function, and its file."""


def _calls(action: Callable[[], object]) -> list[Call]:
    """Every call of a function of the project while the action runs, in order, in all threads."""
    calls: list[Call] = []

    def profile(frame: FrameType, event: str, argument: object) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(f"{REPOSITORY}/"):
            calls.append((frame.f_code.co_qualname, path.removeprefix(f"{REPOSITORY}/")))

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return calls


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Call]]:
    """The calls of a short `translate-run`, and of `translate-apply` with its run."""
    folder = tmp_path_factory.mktemp("traced")
    recipe = write_small_recipe(folder / "small.yaml", make_folders(folder / "data"))
    Image.new("RGB", (40, 36), "teal").save(folder / "photo.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train = [str(recipe), "--device", "cpu", "--set", "training.length=1 steps"]
        trained = _calls(lambda: run.main(train))
        (run_folder,) = (folder / "runs").iterdir()
        translate = [str(run_folder), "photo.png", "--out", "out", "--device", "cpu"]
        translated = _calls(lambda: apply.main(translate))
    assert Path(folder / "out" / "photo.png").is_file()
    return {"train": trained, "apply": translated}


@pytest.mark.parametrize("way", WAYS)
def test_data_pass_the_functions_in_this_order(way: str, traced: dict[str, list[Call]]) -> None:
    """Each function is called after the one above it. Dataclasses are left out: their constructors have no file."""
    calls = iter(traced["apply" if "translate-apply" in way else "train"])
    for function, file in WAYS[way]:
        found = _find(function, file)
        if not dataclasses.is_dataclass(found) or not inspect.isclass(found):
            wanted = (f"{function}.__init__" if inspect.isclass(found) else function, file)
            assert wanted in calls, f"{function} is not called after the functions above it"


def test_the_packages_are_those_of_the_linter_in_its_order() -> None:
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    layers = pyproject["tool"]["importlinter"]["contracts"][0]["layers"]
    named = re.findall(r"^\| `translate_core/(\w+)(?:/|\.py)` \|", PAGE, re.MULTILINE)
    assert named == layers
    folders = {path.parent.name for path in (REPOSITORY / "translate_core").glob("*/__init__.py")}
    assert folders == set(named) - {"errors"}


def test_the_tests_mirror_the_packages() -> None:
    tests = {path.name for path in (REPOSITORY / "tests").iterdir() if path.is_dir()}
    packages = {path.parent.name for path in (REPOSITORY / "translate_core").glob("*/__init__.py")}
    assert packages <= tests
