"""Built-in plugins use the engine as a third-party plugin does: by the public names of `translate_core` alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import translate_core
import translate_plugins

ROOT = Path(translate_plugins.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def private_uses(source: str) -> Iterator[str]:
    """Every import and attribute of the engine in the source that is not a public name, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "translate_core":
            names = [alias.name for alias in node.names if alias.name not in translate_core.__all__]
            yield from (f"line {node.lineno}: translate_core.{name}" for name in names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("translate_core."):
            yield f"line {node.lineno}: {node.module}"
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.partition(".")[0] == "translate_core"]
            yield from (f"line {node.lineno}: {name}" for name in names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith("translate_core."):
            yield f"line {node.lineno}: {node.value}"  # importlib.import_module("translate_core.…")


def test_every_file_of_the_package_is_found() -> None:
    assert len(FILES) > 80
    assert ROOT / "builtin.py" in FILES
    assert {path.parent.name for path in FILES} >= {"methods", "generators", "losses", "datasets", "fetching"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_builtins_import_only_public_names_of_the_engine(path: Path) -> None:
    assert list(private_uses(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from translate_core import Loss, Tensors", []),
        ("from translate_core import yaml12", ["line 1: translate_core.yaml12"]),
        ("from translate_core.errors import UserError", ["line 1: translate_core.errors"]),
        ("if x:\n    from translate_core.runtime import console", ["line 2: translate_core.runtime"]),
        ("import translate_core", ["line 1: translate_core"]),
        ("import translate_core.runtime.console as c", ["line 1: translate_core.runtime.console"]),
        ('import_module("translate_core.storage.weights")', ["line 1: translate_core.storage.weights"]),
    ],
)
def test_a_private_name_is_found_wherever_it_is_imported(source: str, found: list[str]) -> None:
    assert list(private_uses(source)) == found
