"""`translate-recipes list` and `copy`, and `translate-run` with the name of a shipped recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from translate_core.commands.recipes import main
from translate_core.commands.run import main as run
from translate_core.recipe.shipped import shipped_recipes, summary_of


def test_list_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [
        [name, summary_of(path)] for name, path in shipped_recipes().items()
    ]


def test_copy_prints_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["copy", "ablations/cycle_loss"]) == 0
    assert main(["copy", "ablations/identity_loss_quickstart"]) == 0
    assert capsys.readouterr().err == (
        "wrote cycle_loss.yaml\n"
        "wrote quickstart.yaml\n"
        "wrote identity_loss_quickstart.yaml\n"
        "quickstart.yaml is unchanged; it is the recipe that the ablation varies\n"
    )


def test_copy_refuses_to_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.yaml"
    assert main(["copy", "quickstart", str(mine)]) == 0
    assert main(["copy", "quickstart", str(mine)]) == 2
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"translate-recipes: {mine} exists already: choose another file or folder, nothing was copied"
    ]


def test_a_copied_ablation_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["copy", "ablations/cycle_loss"]) == 0
    small = ["--set", "data={type: synthetic, size: 32, train: 4, test: 2}", "--set", "training.length=2 steps"]
    assert run(["cycle_loss.yaml", "--dry-run", "--device", "cpu", *small]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 2 * 3


def test_a_name_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["data={type: synthetic, size: 32, train: 4, test: 2}", "training.length=1 steps", "training.samples=1"]
    sets = [word for override in small for word in ("--set", override)]
    assert run(["quickstart", "--device", "cpu", "--out", "run", *sets]) == 0
    assert (tmp_path / "run" / "weights" / "G_AB.safetensors").is_file()


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quikstart"]) == 2
    assert capsys.readouterr().err == (
        "translate-run: there is neither a file nor a shipped recipe 'quikstart', did you mean 'quickstart'? "
        f"The shipped recipes: {', '.join(shipped_recipes())}\n"
    )


def test_the_command_is_an_entry_point() -> None:
    pyproject = (REPOSITORY / "pyproject.toml").read_text()
    assert 'translate-recipes = "translate_core.program:translate_recipes"' in pyproject
