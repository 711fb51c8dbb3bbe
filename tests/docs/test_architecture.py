"""Every function and every package that the page on the layout of the code names exists."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib

import pytest

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^\| `([\w.]+)` \| \[`[\w./]+`\]\(\.\./([\w/]+\.py)\) \|", PAGE, re.MULTILINE)
"""Function and file of each row of the tables."""


def test_the_enumeration_is_complete() -> None:
    assert len(STEPS) >= 40
    assert len(STEPS) == PAGE.count(".py) |"), "write a row as | `function` | [`file.py`](../path/to/file.py) | text |"


@pytest.mark.parametrize(("function", "file"), STEPS)
def test_the_function_exists(function: str, file: str) -> None:
    found = importlib.import_module(file.removeprefix("plugins/").removesuffix(".py").replace("/", "."))
    for name in function.split("."):
        found = inspect.getattr_static(found, name)


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
