"""A power cut after any operation on the run folder: what was announced is there, and the run continues."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import write_small_recipe
from tests.storage.power_loss import Journal, Operation, leave, recorded
from tests.storage.test_checkpoints import RECORD
from tests.tiny_runs import PLUGIN
from translate_core import load_recipe, open_run
from translate_core.recipe.file import read_recipe
from translate_core.storage.checkpoints import Checkpoints
from translate_core.storage.names import RECIPE
from translate_core.storage.run_folder import RunFolder
from translate_core.translating.opening import open_run_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the paths of flushed files are read from /proc")

STEPS = 5


@dataclass(frozen=True)
class Recorded:
    """A recorded run. root: the folder that holds it. recipe: its file."""

    recipe: Path
    root: Path
    journal: Journal


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Two sessions of a run with a plugin, five checkpoints of which two are kept, one of them saved twice."""
    folder = tmp_path_factory.mktemp("power")
    (folder / "mine.py").write_text(PLUGIN)
    recipe = write_small_recipe(
        folder / "small.yaml",
        folder,
        plugins=["mine.py"],
        generator={"type": "mine"},
        data={"type": "synthetic", "size": 16, "train": 4, "test": 1},
        training={
            "length": f"{STEPS} steps", "workers": 0, "checkpoint_every": "1 steps", "keep_checkpoints": 2,
            "sample_every": "2 steps", "samples": 1, "log_every": "1 steps",
        },
        observers={"csv": {"type": "csv"}, "tensorboard": None},
    )  # fmt: skip
    root = folder / "runs"
    root.mkdir()
    save = Checkpoints.save
    with recorded(root) as journal, pytest.MonkeyPatch.context() as patch:

        def announcing(self: Checkpoints, step: int, *arguments: Any, **options: Any) -> Path:
            path = save(self, step, *arguments, **options)
            journal.announce(step)
            return path

        patch.setattr(Checkpoints, "save", announcing)
        with open_run(load_recipe(recipe, {"training.length": "2 steps"}), device="cpu", folder=root / "run") as first:
            journal.announce(0)  # the run has begun
            first.train()
            first.save()
        with open_run(recipe, device="cpu", folder=root / "run") as second:
            second.train()
    return Recorded(recipe, root, journal)


def announced(operations: list[Operation]) -> int | None:
    """The step that the newest announcement names, None before any."""
    return max((item.step for item in operations if item.what == "announce"), default=None)


def check(run: Recorded, count: int, seed: int, place: Path) -> None:
    """What may be left after the first `count` operations is read as our commands do."""
    operations = run.journal.operations[:count]
    leave(operations, run.root, place, random.Random(f"{count} {seed}"))
    folder = RunFolder(place / "run")
    least = announced(operations)
    if least is None:
        assert folder.exists() or folder.unknown_files() == [], "the same command starts the run"
        return
    assert folder.record()["name"] == "small"
    assert read_recipe(folder.path / RECIPE)["method"]["type"] == "cyclegan"
    newest = folder.checkpoints.newest(lambda message: pytest.fail(message))
    if least:
        assert newest is not None
        assert newest.step >= least
        if count % 20 == 0:  # it resolves the recipe, which takes a moment
            assert open_run_folder(folder.path, None, trust=True).checkpoint.step == newest.step
    if (folder.path / "results.json").exists():
        folder.final_results(STEPS)


def continue_from(run: Recorded, count: int, seed: int, place: Path) -> None:
    """The same command after a power cut trains to the end."""
    operations = run.journal.operations[:count]
    leave(operations, run.root, place, random.Random(f"{count} {seed}"))
    with open_run(run.recipe, device="cpu", folder=place / "run") as opened:
        assert opened.step >= (announced(operations) or 0)
        assert opened.train()
    assert RunFolder(place / "run").final_results(STEPS) is not None


def tried(run: Recorded, attempt: Callable[..., None], counts: list[int], seeds: range, folder: Path) -> None:
    for count in counts:
        for seed in seeds:
            place = folder / f"{count}-{seed}"
            try:
                attempt(run, count, seed, place)
            except BaseException as error:
                error.add_note(f"after {count} operations, seed {seed}: {run.journal.operations[count - 1]}")
                raise
            shutil.rmtree(place, ignore_errors=True)


def test_the_record_is_complete(run: Recorded) -> None:
    """With everything flushed, what is left is the run folder, but for files that are only appended to."""
    what = {item.what for item in run.journal.operations}
    assert what == {"make", "folder", "write", "flush", "flush folder", "rename", "remove", "announce"}
    assert announced(run.journal.operations) == STEPS
    renamed = {item.target.relative_to(run.root).as_posix() for item in run.journal.operations if item.what == "rename"}
    assert renamed >= {
        "run/run.json", "run/recipe.yaml", "run/plugins/mine.py", "run/results.json", "run/checkpoints/step-3.pt",
        "run/checkpoints/step-3.pt.sha256", "run/weights/G_AB.safetensors",
    }  # fmt: skip


def test_some_moments(run: Recorded, tmp_path: Path) -> None:
    total = len(run.journal.operations)
    tried(run, check, sorted(random.Random(0).sample(range(1, total + 1), 50)), range(1), tmp_path)
    tried(run, continue_from, [total // 3], range(1), tmp_path / "continued")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_moment(run: Recorded, tmp_path: Path) -> None:
    total = len(run.journal.operations)
    tried(run, check, list(range(1, total + 1)), range(4), tmp_path)
    tried(run, continue_from, list(range(1, total + 1, total // 16)), range(1), tmp_path / "continued")


def test_a_step_that_is_saved_again(tmp_path: Path) -> None:
    """As `Run.save` does when it is called twice: one of the two is whole at any moment."""
    root = tmp_path / "root"
    root.mkdir()
    with recorded(root) as journal:
        for value in (1, 2):
            Checkpoints(root / "checkpoints").save(3, RECORD, {"networks/G": {"value": value}}, [], keep=1)
            journal.announce(value)
    for count in range(1, len(journal.operations) + 1):
        for seed in range(8):
            operations = journal.operations[:count]
            place = tmp_path / f"{count}-{seed}"
            leave(operations, root, place, random.Random(seed))
            least = announced(operations)
            newest = Checkpoints(place / "checkpoints").newest(lambda message: pytest.fail(message))
            if least is not None:
                assert newest is not None
                assert newest.parts["networks/G"]["value"] >= least


@pytest.mark.parametrize("omitted", ["flush", "flush folder"])
def test_a_missing_flush_is_found(omitted: str, run: Recorded, tmp_path: Path) -> None:
    """The model is strict enough: without either kind of flush it finds a run that cannot be read."""
    operations = [item for item in run.journal.operations if item.what != omitted]
    journal = Journal(run.root, operations)
    counts = list(range(1, len(operations), 7))
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        tried(Recorded(run.recipe, run.root, journal), check, counts, range(2), tmp_path)
