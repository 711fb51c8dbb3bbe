"""The code, commands and paths of the README work."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY, make_folders, write_small_recipe
from translate_core.commands import plugins as plugin_command
from translate_core.commands import recipes as recipe_command
from translate_core.commands.run import main, parser
from translate_core.recipe.shipped import find_recipe

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
COMMANDS = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("    ")]


def test_the_plugin_trains(tmp_path: Path) -> None:
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "hookimpl" in block)
    (tmp_path / "mine.py").write_text(code)
    recipe = write_small_recipe(
        tmp_path / "small.yaml",
        make_folders(tmp_path / "data"),
        plugins=["mine.py"],
        generator={"type": "tiny", "width": 16},
    )
    arguments = [str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu", "--set", "training.length=2 steps"]
    assert main(arguments) == 0


def test_the_loop_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "open_run" in block)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "\n20 " in printed
    assert "psnr/fake_B" in printed


def test_every_set_is_understood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Validated against the full recipe, on small made images; only the file of weights is not there."""
    sets = [word for command in COMMANDS for word in re.findall(r"--set (\"[^\"]+\"|\S+)", command)]
    wanted = [word.strip('"') for word in sets if not word.startswith(("data.root", "networks."))]
    assert len(wanted) >= 6
    recipe = str(REPOSITORY / "recipes" / "cyclegan_horse2zebra.yaml")
    data = f"data.root={make_folders(tmp_path / 'data', 256)}"
    for word in wanted:
        arguments = [recipe, "--dry-run", "--device", "cpu", "--set", data, "--set", word]
        assert main(arguments) == 0, f"{word}: {capsys.readouterr().err}"


def test_every_command_parses() -> None:
    runs = [command for command in COMMANDS if command.split()[:1] == ["translate-run"]]
    assert len(runs) >= 5
    for command in runs:
        options = parser().parse_args(shlex.split(command)[1:])
        recipe = options.recipe
        assert recipe.name == "mine.yaml" or find_recipe(REPOSITORY / recipe).is_file()  # the copy that a line makes


def test_every_command_about_recipes_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [shlex.split(command)[1:] for command in COMMANDS if command.startswith("translate-recipes")]
    assert [words[0] for words in listed] == ["list", "copy"]
    monkeypatch.chdir(tmp_path)
    assert [recipe_command.main(words) for words in listed] == [0, 0]
    assert (tmp_path / "mine.yaml").is_file()


def test_ci_runs_the_commands_that_run_all_checks() -> None:
    named = [command for command in COMMANDS if command in ("make test", "make proofs")]
    assert named == ["make test", "make proofs"]
    assert (REPOSITORY / ".ci" / "run").read_text().splitlines()[-2:] == named


def test_every_target_of_make_that_is_named_exists() -> None:
    pages = [README, (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")]
    named = {target for page in pages for target in re.findall(r"(?:^    |`)make (\w+)", page, re.MULTILINE)}
    assert {"demo", "test", "proofs", "lint", "format"} <= named
    makefile = (REPOSITORY / "Makefile").read_text()
    assert [target for target in named if f"\n{target}:" not in makefile] == []


def test_completion_is_for_every_command() -> None:
    (line,) = [command for command in COMMANDS if "register-python-argcomplete" in command]
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(re.findall(r"translate-\w+", line)) == set(scripts)


def test_every_command_about_plugins_is_one() -> None:
    listed = [shlex.split(command)[1:] for command in COMMANDS if command.startswith("translate-plugins")]
    assert [words[0] for words in listed] == ["list", "show", "new", "check", "schema"]
    for words in listed:
        plugin_command.parser().parse_args(words)


def test_every_path_is_there() -> None:
    for page in (README, (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        for target in re.findall(r"\]\(([^)#]+)\)", page):
            assert (REPOSITORY / target).exists(), target


def test_recipes_say_how_to_launch_them() -> None:
    recipes = sorted((REPOSITORY / "recipes").rglob("*.yaml"))
    assert len(recipes) >= 4
    for recipe in recipes:
        text = recipe.read_text(encoding="utf-8")
        assert f"#   translate-run {recipe.relative_to(REPOSITORY)}" in text
        assert isinstance(yaml.safe_load(text), dict)
