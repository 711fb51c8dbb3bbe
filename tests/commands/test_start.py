"""Commands start quickly: what needs no torch does not import it. `benchmarks/startup.py` measures the times."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from translate_core.components.kinds import KIND_NAMES
from translate_core.contracts.hook import GROUP
from translate_core.recipe.shipped import shipped_recipes
from translate_core.runtime.installation import DISTRIBUTION, version

SCRIPTS: dict[str, str] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
HEAVY = ("torch", "torchvision", "numpy", "pydantic", "PIL", "translate_plugins")

START = """
import atexit, sys
atexit.register(lambda: print("imported:", *[name for name in {heavy} if name in sys.modules], file=sys.stderr))
from {module} import {function}
sys.argv[1:] = {arguments}
sys.exit({function}())
"""


def start(command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a new process, which prints at its end the heavy modules that it imported."""
    module, _, function = SCRIPTS[command].partition(":")
    code = START.format(heavy=HEAVY, module=module, function=function, arguments=list(arguments))
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )


def is_light(done: subprocess.CompletedProcess[str]) -> bool:
    return done.stderr.splitlines()[-1] == "imported:"


def test_the_commands() -> None:
    assert sorted(SCRIPTS) == ["translate-apply", "translate-plugins", "translate-recipes", "translate-run"]


@pytest.mark.parametrize("command", SCRIPTS)
def test_help(command: str) -> None:
    done = start(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {command} ")
    assert is_light(done)


@pytest.mark.parametrize("command", SCRIPTS)
def test_version(command: str) -> None:
    done = start(command, "--version")
    assert done.returncode == 0
    assert done.stdout == f"{command} {version()} ({DISTRIBUTION}), torch {version('torch')}\n"
    assert is_light(done)


@pytest.mark.parametrize("command", SCRIPTS)
def test_an_argument_that_does_not_exist(command: str) -> None:
    done = start(command, "--nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: {command} ")
    assert is_light(done)


def test_a_second_override_without_its_own_set() -> None:
    done = start("translate-run", "quickstart", "--set", "a=1", "training.length=6 steps", "b=2")
    assert done.returncode == 2
    assert "needs a --set of its own: --set 'training.length=6 steps' --set b=2\n" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RECIPE"], "translate-run: RECIPE, line 2, column 16: "),
        (["quickstart", "--set", "a=[1"], "translate-run: "),
        (["missing.yaml"], "translate-run: there is no file missing.yaml\n"),
        (["quikstart"], "translate-run: there is neither a file nor a shipped recipe 'quikstart', did you mean "),
    ],
    ids=["YAML", "--set", "no file", "no name"],
)
def test_a_fault_that_needs_no_components(arguments: list[str], message: str, tmp_path: Path) -> None:
    recipe = tmp_path / "wrong.yaml"
    recipe.write_text("method: {type: gan}\ngenerator: type: resnet\n")
    done = start("translate-run", *(argument.replace("RECIPE", str(recipe)) for argument in arguments))
    assert done.returncode == 2
    assert done.stderr.startswith(message.replace("RECIPE", str(recipe)))
    assert is_light(done)


def test_recipes_are_listed_without_torch() -> None:
    done = start("translate-recipes", "list")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(shipped_recipes())
    assert is_light(done)


def test_a_kind_that_does_not_exist_is_reported_without_torch() -> None:
    done = start("translate-plugins", "list", "los")
    assert done.returncode == 2
    assert done.stderr.startswith("translate-plugins: there is no kind of component 'los', did you mean 'loss'? ")
    assert is_light(done)


def test_a_public_name_that_needs_no_torch_imports_none() -> None:
    code = "import sys; from translate_core import Fault, UserError, write_text; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


# Completion


def completions(line: str, tmp_path: Path) -> list[str]:
    """What a shell offers after a line."""
    found = tmp_path / "completions"
    environment = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(found),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    done = start(line.split()[0], **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return [word.strip() for word in found.read_text().splitlines()]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("translate-run quickstart_", [name for name in shipped_recipes() if name.startswith("quickstart_")]),
        ("translate-run ablations/cycle", ["ablations/cycle_loss"]),
        ("translate-run quickstart --dev", ["--device"]),
        ("translate-run quickstart --device c", ["cpu", "cuda"]),
        ("translate-recipes ", ["copy", "list"]),
        ("translate-recipes copy quickstart_m", ["quickstart_munit"]),
        ("translate-plugins list ", sorted(KIND_NAMES)),
        ("translate-plugins show gen", ["generator"]),
        ("translate-plugins check ", [DISTRIBUTION]),
    ],
)
def test_completion(line: str, words: list[str], tmp_path: Path) -> None:
    found = [word for word in completions(line, tmp_path) if not word.startswith("-") or "--" in line]
    assert set(words) <= set(found)
    if line != "translate-plugins check ":  # other installed plugins are offered too
        assert sorted(found) == sorted(words)


def test_completion_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quicker.yaml").touch()
    (tmp_path / "quickest.txt").touch()
    (tmp_path / "quiet_runs").mkdir()
    assert {"quickstart", "quicker.yaml", "quiet_runs/"} <= set(completions("translate-run qui", tmp_path))
    assert "quickest.txt" not in completions("translate-run qui", tmp_path)
    assert completions("translate-apply qui", tmp_path) == ["quiet_runs/"]


def test_the_group_of_completed_plugins_is_that_of_the_hook() -> None:
    assert GROUP == "translate_core"
