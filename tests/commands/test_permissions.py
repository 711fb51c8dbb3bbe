"""Files and folders that this user may not read or write: status 2, one message with the path and what to do."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.campaigns.rule import Ended, called
from tests.tiny_runs import PLUGIN, train
from tests.unprivileged import bound_by_permissions
from translate_core import Translator, UserError, open_run
from translate_core.commands.apply import main as apply
from translate_core.commands.run import main as run

ADVICE = "Permission denied. Give this user the right to use it (chmod, chown), or choose another place"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, its images, and its finished run, whose generator is a plugin."""
    folder = tmp_path_factory.mktemp("permissions")
    (folder / "mine.py").write_text("".join(line for line in PLUGIN.splitlines(True) if ".touch()" not in line))
    train(folder, plugins=["mine.py"], generator={"type": "mine"})
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of that folder, which is the current one; permissions bind this process."""
    folder = shutil.copytree(made, tmp_path / "place")
    text = (folder / "tiny.yaml").read_text().replace(str(made), str(folder))
    (folder / "tiny.yaml").write_text(text)
    monkeypatch.chdir(folder)
    (folder / "probe").mkdir()
    with bound_by_permissions(folder / "probe"):
        yield folder
    for path in [folder, *folder.rglob("*")]:  # so that pytest can remove it
        path.chmod(0o755)


def train_it(*more: str, out: str = "run") -> Ended:
    longer = ("--set", "training.length=8 steps")
    return called("translate-run", run, ["tiny.yaml", "--out", out, "--device", "cpu", *longer, *more])


def apply_it(*inputs: str, run: str = "run", out: str = "translated") -> Ended:
    return called("translate-apply", apply, [run, *(inputs or ("data/testA",)), "--out", out, "--device", "cpu"])


def test_an_unprivileged_user_can_train_and_translate(place: Path) -> None:
    assert (train_it().status, apply_it().status) == (0, 0)


@pytest.mark.parametrize(
    ("denied", "mode", "command", "message"),
    [
        ("probe", 0o555, lambda: train_it(out="probe/run"), "translate-run: probe/run cannot be written: "),
        ("probe", 0o555, lambda: train_it(out="probe"), "translate-run: probe cannot be written: "),
        ("run", 0o555, train_it, "translate-run: run cannot be written: "),
        ("run/checkpoints", 0o555, train_it, "translate-run: run/checkpoints cannot be written: "),
        ("run/weights", 0o555, train_it, "translate-run: run/weights cannot be written: "),
        ("run", 0, train_it, "translate-run: run cannot be used: "),
        ("run/checkpoints", 0, train_it, "translate-run: run/checkpoints cannot be used: "),
        ("run/checkpoints/step-6.pt", 0, train_it, "translate-run: run/checkpoints/step-6.pt cannot be used: "),
        (
            "run/checkpoints/step-6.pt.sha256",
            0,
            train_it,
            "translate-run: run/checkpoints/step-6.pt.sha256 cannot be used: ",
        ),
        ("run/run.json", 0, train_it, "translate-run: run/run.json cannot be read: "),
        ("tiny.yaml", 0, train_it, "translate-run: tiny.yaml cannot be read: "),
        ("mine.py", 0, train_it, "mine.py cannot be "),
        ("data", 0, train_it, "data cannot be used: "),
        ("data/trainA", 0, train_it, "data/trainA cannot be used: "),
        ("data/trainA/deep", 0, train_it, "data/trainA/deep cannot be used: "),
        ("data/trainA/0.png", 0, train_it, "data/trainA/0.png"),
        ("run", 0, apply_it, "translate-apply: run/run.json cannot be used: "),
        ("run/recipe.yaml", 0, apply_it, "translate-apply: run/recipe.yaml cannot be read: "),
        ("run/plugins/mine.py", 0, apply_it, "run/plugins/mine.py cannot be used: "),
        ("run/checkpoints", 0, apply_it, "translate-apply: run/checkpoints cannot be used: "),
        ("run/checkpoints/step-6.pt", 0, apply_it, "translate-apply: run/checkpoints/step-6.pt cannot be used: "),
        ("data/testA", 0, apply_it, "data/testA  cannot be read: "),
        ("data/testA/1.png", 0, apply_it, "data/testA/1.png: cannot be read: "),
        ("probe", 0o555, lambda: apply_it(out="probe"), "translate-apply: probe/0.png cannot be written: "),
        ("probe", 0o555, lambda: apply_it(out="probe/in"), "translate-apply: probe/in/0.png cannot be written: "),
    ],
)
def test_what_may_not_be_used(denied: str, mode: int, command: Callable[[], Ended], message: str, place: Path) -> None:
    if denied == "data/trainA/deep":
        (place / denied).mkdir()
        shutil.copy(place / "data" / "trainA" / "1.png", place / denied)
    before = _digests(place / "run")
    (place / denied).chmod(mode)
    ended = command()
    (place / denied).chmod(0o755)
    names = [message]
    assert list(ended.broken(names, allowed=(2,))) == [], ended.printed
    assert ADVICE in ended.printed
    assert _digests(place / "run") == before, "the run folder was changed"


def test_a_run_folder_that_can_only_be_read_is_applied(place: Path) -> None:
    before = _digests(place / "run")
    for path in [place / "run", *(place / "run").rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    ended = apply_it()
    assert (ended.status, list(ended.broken())) == (0, []), ended.printed
    with Image.open(place / "data" / "testA" / "0.png") as image:
        assert Translator.load("run", device="cpu").translate(image, "A-B").size == image.size
    assert _digests(place / "run") == before
    with (
        pytest.raises(UserError, match=r"^run cannot be written: Permission denied"),
        open_run("tiny.yaml", device="cpu", folder="run"),
    ):
        pytest.fail("opened")
    assert _digests(place / "run") == before


def _digests(folder: Path) -> dict[str, str]:
    """The files of a run, but for its lock, and what they hold."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }
