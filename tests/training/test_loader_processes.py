"""Loader processes that are no forks of the training process: the default on macOS, and of Python 3.14."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PLUGIN = '''
from translate_core import TrainSplit, hookimpl
from translate_plugins.datasets.synthetic import Synthetic


class Brighter(TrainSplit):
    """The draws of another split, brighter."""

    def __init__(self, split: TrainSplit) -> None:
        self.split = split
        self.change = CHANGE

    def __len__(self) -> int:
        return len(self.split)

    def draw(self, index, rng):
        return {name: self.change(image) for name, image in self.split.draw(index, rng).items()}


def brighter(image):
    return (image + 0.1).clamp(-1, 1)


class Mine(Synthetic):
    """Drawn animals, brighter."""

    def __init__(self) -> None:
        super().__init__(size=16, train=8, test=1)

    def open(self) -> None:
        super().open()
        self.train = Brighter(self.train)


@hookimpl
def register(registry):
    registry.dataset("mine", Mine)
'''
RUN = """
import multiprocessing, sys
from translate_core.commands.run import main
if __name__ == "__main__":
    multiprocessing.set_start_method({start!r})
    sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def train(write_recipe: Callable[..., Path], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Trains two steps on the dataset of a plugin file. change: of its images, as Python."""

    def trained(out: Path, start: str, workers: int, change: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "mine.py").write_text(PLUGIN.replace("CHANGE", change))
        (tmp_path / "start.py").write_text(RUN.format(start=start))
        training = {"length": "2 steps", "workers": workers, "log_every": "1 steps", "sample_every": None}
        recipe = write_recipe(data={"type": "mine"}, plugins=["mine.py"], training=training, schedule=None)
        command = [sys.executable, str(tmp_path / "start.py"), str(recipe), "--out", str(out), "--device", "cpu"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    return trained


@pytest.mark.parametrize("start", ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_it_imports_the_plugin_files(
    start: str, train: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    for name, workers in (("here", 0), ("there", 1)):
        done = train(tmp_path / name, start, workers, "brighter")
        assert done.returncode == 0, done.stderr
    here, there = (losses(tmp_path / name) for name in ("here", "there"))
    assert here == there


def losses(run: Path) -> list[dict[str, float]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line["losses"] for line in lines if line["kind"] == "losses"]


def test_a_dataset_that_cannot_be_sent(train: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    done = train(tmp_path / "run", "spawn", 1, "lambda image: image")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "mine.py" in done.stderr
    assert "cannot be sent to a loader process" in done.stderr
    assert "set training.workers=0" in done.stderr
