"""Splits the pages of the documentation into blocks of code, and runs a block of each language."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.conftest import REPOSITORY
from tests.reduced import SMALL, reduced, small_data
from translate_core import load_recipe
from translate_core.ablation.file import parse_ablation
from translate_core.commands import apply, run
from translate_core.commands import plugins as plugin_command
from translate_core.commands import recipes as recipes_command
from translate_core.components.plugins import load_plugins
from translate_core.components.registry import KINDS
from translate_core.contracts import hook as hookspecs
from translate_core.recipe.file import is_ablation, read_recipe
from translate_core.recipe.overrides import parse_overrides
from translate_core.recipe.resolver import resolve
from translate_core.recipe.shipped import find_recipe

PAGES = tuple(sorted([*(REPOSITORY / "docs").rglob("*.md"), *(REPOSITORY / "examples").glob("*/README.md")]))
"""Every page whose blocks are run. The README has its own tests."""

_FENCE = re.compile(r"```(\w*)")
_NOT_RUN = re.compile(r"<!-- not run: (\S.*) -->")
_FILE = re.compile(r"# ([\w-]+\.(?:py|yaml))\b")
_CHANGED = re.compile(r"# ([\w-]+\.yaml): (\S+\.yaml) with these blocks")
_WITHIN = re.compile(r"# in (recipes/\S+\.yaml)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. line: line number of its fence, from 1. reason: why it is not run, or empty."""

    page: Path
    line: int
    language: str
    code: str
    reason: str

    @property
    def place(self) -> str:
        """Page and line, for messages."""
        return f"{self.page.name}, line {self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Every fenced block, in order. An indented or unclosed fence fails the test."""
    blocks = []
    lines = page.read_text(encoding="utf-8").splitlines()
    opened: tuple[int, str, str] | None = None
    before = ""
    code: list[str] = []
    for number, line in enumerate(lines, 1):
        if opened is None and line.lstrip().startswith("```"):
            match = _FENCE.fullmatch(line)
            assert match is not None, f"{page.name}, line {number}: write a fence as ```language, not indented"
            reason = _NOT_RUN.fullmatch(before)
            opened = (number, match[1], reason[1] if reason else "")
            code = []
        elif opened is not None and line == "```":
            start, language, why = opened
            blocks.append(Block(page, start, language, "\n".join([*code, ""]), why))
            opened = None
        elif opened is not None:
            code.append(line)
        else:
            assert not re.match(r"( {4}|\t)\S", line) or before.lstrip()[:2] in ("- ", "* ", "1."), (
                f"{page.name}, line {number}: put code into fences, so that it is run"
            )
        if line.strip():
            before = line
    assert opened is None, f"{page.name}: a block is not closed"
    return blocks


def prose_of(page: Path) -> str:
    """The text of a page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def commands_of(code: str) -> list[list[str]]:
    """The commands of a bash block, as words, without comments; lines that end with a backslash are joined."""
    joined = code.replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


class Session:
    """Runs the blocks of one page from top to bottom, in a folder like the repository's.

    Recipes are trained at a reduced size. Files that a page assumes (photos, a trained run) are created.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        for name in ("recipes", "examples", "benchmarks", "docs"):
            (folder / name).symlink_to(REPOSITORY / name)
        monkeypatch.chdir(folder)
        self._monkeypatch = monkeypatch
        self._modules = set(sys.modules)
        self._own: set[Path] = set()
        self._offered: set[tuple[str, str]] = set()
        self._used: set[tuple[str, str]] = set()

    def do(self, block: Block) -> None:
        """Runs a block according to its language."""
        ways: Mapping[str, Callable[[Block], None]] = {
            "python": self._python,
            "yaml": self._yaml,
            "bash": self._bash,
            "json": self._json,
            "toml": self._toml,
        }
        assert block.language in ways, (
            f"{block.place}: a block of {block.language or 'no language'} cannot be run; "
            f"give the reason above it, <!-- not run: REASON -->, or use one of {', '.join(ways)}"
        )
        ways[block.language](block)

    def finish(self) -> None:
        """Asserts that a recipe of the page trained every component that the page registers."""
        for name in set(sys.modules) - self._modules:
            if str(self.folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]  # installed for this page only
        assert self._offered <= self._used, f"registered and not trained: {self._offered - self._used}"

    # Python

    def _python(self, block: Block) -> None:
        name = _FILE.match(block.code)
        path = self.folder / (name[1] if name else f"block_at_line_{block.line}.py")
        path.write_text(block.code, encoding="utf-8")
        if "@hookimpl" in block.code:
            assert name, f"{block.place}: begin a plugin with the name of its file, # mine.py"
            self._offered |= _components(path)
            return
        found = runpy.run_path(str(path), run_name="__main__")
        self._used |= {(kind, name) for kind, name in self._offered if f'"type": "{name}"' in block.code}
        for key, value in found.items():
            if key.startswith("test_"):
                value()

    # YAML

    def _yaml(self, block: Block) -> None:
        within = _WITHIN.match(block.code)
        changed = _CHANGED.match(block.code)
        name = _FILE.match(block.code)
        data = yaml.safe_load(block.code)
        if within:
            self._resolve(_merged(self.folder / within[1], data), "fragment.yaml")
        elif changed:
            self._train(_merged(self.folder / changed[2], data), changed[1])
        else:
            assert name, (
                f"{block.place}: begin with `# NAME.yaml`, with `# NAME.yaml: recipes/X.yaml with these blocks`, "
                f"or with `# in recipes/X.yaml`"
            )
            if "base" in data:
                path = self._write(block.code, name[1])
                self._validate(path, [])
            else:
                self._train(data, name[1])

    def _write(self, text: str, name: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        self._own.add(path)
        return path

    def _resolve(self, data: Mapping[str, Any], name: str) -> None:
        path = self.folder / name
        path.write_text(yaml.safe_dump(dict(data), sort_keys=False), encoding="utf-8")
        load_recipe(path)

    def _train(self, data: Mapping[str, Any], name: str) -> None:
        """Validates the recipe as written, then trains a reduced version for two steps."""
        self._resolve(data, name)
        small = _shrunk(data, self.folder / "small")
        self._write(yaml.safe_dump(small, sort_keys=False), name)
        assert run.main([name, "--device", "cpu"]) == 0
        self._used |= _used(small)

    # bash

    def _bash(self, block: Block) -> None:
        for words in commands_of(block.code):
            program = Path(words[0]).name
            ways: Mapping[str, Callable[[Sequence[str]], None]] = {
                "translate-run": self._translate_run,
                "translate-apply": self._translate_apply,
                "translate-plugins": self._translate_plugins,
                "translate-recipes": self._translate_recipes,
                "tensorboard": _tensorboard,
                "torchrun": self._torchrun,
                "make": _make,
                "python3": _python3,
                "python": _python3,
                "pip": self._pip,
                "source": _source,
            }
            assert program in ways, f"{block.place}: unknown command {program}"
            try:
                ways[program](words[1:])
            except SystemExit as ended:
                raise AssertionError(f"{block.place}: {shlex.join(words)} ended with {ended.code}") from None

    def _translate_run(self, arguments: Sequence[str]) -> None:
        options = run.parser().parse_args(arguments)
        path = self.folder / find_recipe(options.recipe)
        if path in self._own and not is_ablation(read_recipe(path)):
            assert run.main([*arguments, "--device", "cpu"]) == 0
        else:
            self._validate(path, options.overrides)

    def _validate(self, path: Path, overrides: Sequence[str]) -> None:
        data = read_recipe(path)
        if is_ablation(data):
            variants = parse_ablation(path, data, parse_overrides(overrides)).variants
            assert len(variants) >= 2
            for variant in variants:
                resolve(path, variant.recipe)
        else:
            load_recipe(path, overrides)

    def _translate_apply(self, arguments: Sequence[str]) -> None:
        options = apply.parser().parse_args(arguments)
        self.trained(options.run)
        if options.checkpoint is not None:  # the reduced run does not have this step
            arguments = ["1" if word == options.checkpoint else word for word in arguments]
        for given in [*options.inputs, *(Path(text.partition("=")[2]) for text in options.choose)]:
            self.pictures(given)
        assert apply.main([*arguments, "--device", "cpu"]) == 0

    def _translate_plugins(self, arguments: Sequence[str]) -> None:
        plugin_command.parser().parse_args(arguments)
        assert plugin_command.main(list(arguments)) == 0

    def _translate_recipes(self, arguments: Sequence[str]) -> None:
        assert recipes_command.main(list(arguments)) == 0

    def _torchrun(self, words: Sequence[str]) -> None:
        at = list(words).index("-m")
        assert words[at + 1] == "translate_core.run"
        self._translate_run(words[at + 2 :])

    def _pip(self, arguments: Sequence[str]) -> None:
        """Installs an example package, or one that the page created; the project itself is installed already."""
        assert arguments[0] == "install"
        for given in arguments[1:]:
            package = self.folder / re.sub(r"\[\w+\]$", "", given)
            if package != self.folder:
                assert (package / "pyproject.toml").is_file(), f"there is no package {given}"
                self._install(package)

    def _install(self, package: Path) -> None:
        site = self.folder / "site"
        if not list(site.glob(f"{package.name.replace('-', '_')}-*")):
            words = ["install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
            quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
            subprocess.run([sys.executable, "-m", "pip", *words, str(package)], check=True, env=quiet)
            self._monkeypatch.syspath_prepend(site)

    # Files that pages assume

    def trained(self, folder: Path) -> None:
        """Trains a recipe of the project at a reduced size, under its default name."""
        if (self.folder / folder / "run.json").exists():
            return
        assert folder.parts[0] == "runs", f"{folder} is not the folder of a run"
        recipe = REPOSITORY / "recipes" / f"{folder.name}.yaml"
        assert recipe.is_file(), f"{folder} is not the run of a recipe of the project"
        place = self.folder / "reduced" / folder.name
        place.mkdir(parents=True)
        assert run.main([str(reduced(recipe, place)), "--out", str(self.folder / folder), "--device", "cpu"]) == 0

    def pictures(self, path: Path) -> None:
        """Creates an image, or a folder with two images."""
        path = self.folder / path
        if path.exists():
            return
        files = [path] if path.suffix else [path / "first.png", path / "second.png"]
        for number, file in enumerate(files):
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (40, 52, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file)

    # Other languages

    def _json(self, block: Block) -> None:
        """Compares the keys of lines of metrics.jsonl with those of real lines of the same kind."""
        self.trained(Path("runs/quickstart"))
        lines = (self.folder / "runs" / "quickstart" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        real = {row["kind"]: row for row in map(json.loads, lines)}
        for line in block.code.splitlines():
            row = json.loads(line)
            assert _keys(row) == _keys(real[row["kind"]]), block.place

    def _toml(self, block: Block) -> None:
        data = tomllib.loads(block.code)
        points = data.get("project", {}).get("entry-points", {})
        assert set(points) <= {hookspecs.GROUP}, f"{block.place}: the group is {hookspecs.GROUP}"


def _merged(recipe: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with some of its blocks replaced; null removes a block."""
    merged = {**yaml.safe_load(recipe.read_text(encoding="utf-8")), **changes}
    return {key: value for key, value in merged.items() if value is not None}


def _shrunk(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe with two steps on small images."""
    small = dict(data)
    for kind in ("generator", "discriminator", "head"):
        if kind in small:
            small[kind] = {**small[kind], **SMALL.get((kind, small[kind]["type"]), {})}
    if small["data"]["type"] in load_plugins().registry.names("dataset"):
        number = len(list(folder.glob("*"))) if folder.exists() else 0
        small["data"] = small_data(small["data"], folder / str(number))
    kept = {key: value for key, value in small["training"].items() if not key.endswith("_every")}
    small["training"] = {**kept, "length": "2 steps", "workers": 0, "samples": 1, "log_every": "1 steps"}
    return small


def _components(plugin: Path) -> set[tuple[str, str]]:
    """Kind and name of every component that a plugin file registers."""
    ours, all_ = load_plugins().registry, load_plugins([plugin.name], plugin.parent).registry
    found = {(kind, name) for kind in KINDS for name in set(all_.names(kind)) - set(ours.names(kind))}
    assert found, f"{plugin.name} registers nothing"
    return found


def _used(data: Any, key: str = "") -> set[tuple[str, str]]:
    """Every name of a component in a recipe, combined with every kind."""
    if not isinstance(data, Mapping):
        return set()
    found = {(kind, data["type"]) for kind in KINDS} if isinstance(data.get("type"), str) else set()
    return found.union(*(_used(value, name) for name, value in data.items()))


def _keys(row: Any) -> Any:
    """The keys of a line of metrics.jsonl, nested."""
    if isinstance(row, Mapping):
        return {key: _keys(value) for key, value in row.items()}
    return [_keys(row[0])] if isinstance(row, list) and row else None


def _tensorboard(arguments: Sequence[str]) -> None:
    assert list(arguments) == ["--logdir", "runs"]


def _make(arguments: Sequence[str]) -> None:
    targets = re.findall(r"^(\w+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(arguments) <= set(targets)


def _python3(arguments: Sequence[str]) -> None:
    """Checks that a script of the project exists, or that a module is venv or pytest."""
    if arguments[0] == "-m":
        assert arguments[1] in ("venv", "pytest"), f"python -m {arguments[1]}"
    else:
        assert (REPOSITORY / arguments[0]).is_file(), f"there is no {arguments[0]}"


def _source(arguments: Sequence[str]) -> None:
    assert list(arguments) == [os.path.join(".venv", "bin", "activate")]
