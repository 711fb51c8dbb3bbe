"""What ends a command: exceptions that would end it in silence, and outputs that are closed early."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from translate_core.commands.run import main
from translate_core.runtime.console import guarded

ENDINGS = {
    "SystemExit(0)": "raise SystemExit(0)",
    "SystemExit(3)": "raise SystemExit(3)",
    "SystemExit('enough')": "sys.exit('enough')",
    "BrokenPipeError(32, 'Broken pipe')": "raise BrokenPipeError(32, 'Broken pipe')",
    "KeyboardInterrupt()": "raise KeyboardInterrupt",
    "Ended()": "raise Ended",
}

PLUGIN = """
import sys
from pathlib import Path

from torch.utils.data import get_worker_info
from translate_core import Loss, Observer, TrainSplit, hookimpl
from translate_plugins.datasets.synthetic import Synthetic

TRACE = Path(__file__).with_name("trace")


class Ended(BaseException):
    pass


def end(where, wanted):
    if where == wanted:
        ENDING


class Data(Synthetic):
    def __init__(self, where: str) -> None:
        super().__init__(size=32, train=4, test=2)
        self.where = where

    def open(self):
        end("dataset", self.where)
        super().open()
        if self.where == "worker":
            self.train = Images(self.train)


class Images(TrainSplit):
    def __init__(self, images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, index, generator):
        end("worker", "worker" if get_worker_info() else "")
        return self.images.draw(index, generator)


class Nothing(Loss):
    def __init__(self, *, where: str) -> None:
        super().__init__()
        self.where = where

    def generator_loss(self, tensors):
        value = tensors["fake_B"].mean()
        if value.device.type != "meta":
            end("loss", self.where)
        return {"mean": value}


class Watch(Observer):
    def __init__(self, name: str, where: str = "") -> None:
        self.name, self.where = name, where

    def on_step(self, step):
        end("observer", self.where)

    def on_stop(self, step, finished):
        with TRACE.open("a") as file:
            file.write(f"{self.name} {step} {finished}\\n")


@hookimpl
def register(registry):
    registry.dataset("ending", Data)
    registry.loss("ending", Nothing)
    registry.observer("watch", Watch)
"""


def blocks(where: str) -> dict[str, object]:
    return {
        "plugins": ["ending.py"],
        "data": {"type": "ending", "where": where},
        "losses": {"adversarial": {"type": "lsgan"}, "nothing": {"type": "ending", "where": where}},
        "observers": {
            "first": {"type": "watch", "name": "first"},
            "second": {"type": "watch", "name": "second", "where": where},
            "progress": None,
        },
        "training": {"length": "2 steps", "workers": int(where == "worker"), "sample_every": None},
    }


@pytest.mark.parametrize("where", ["dataset", "worker", "loss", "observer"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_component_that_ends_the_program_is_a_fault(
    where: str, ending: str, tmp_path: Path, write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    text = PLUGIN.replace("ENDING", ENDINGS[ending])
    (tmp_path / "ending.py").write_text(text)
    line = next(number for number, code in enumerate(text.splitlines(), 1) if ENDINGS[ending] in code)
    recipe = write_recipe(**blocks(where))
    assert main([str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 2
    which = {
        "dataset": "dataset 'ending' of plugin ending.py failed in open",
        "worker": "dataset 'ending' of plugin ending.py failed",
        "loss": "loss 'ending' of plugin ending.py failed in generator_loss",
        "observer": "observer 'second' failed in on_step",
    }[where]
    assert (
        f"translate-run: {which}: it tried to end the program with {ending} (ending.py, line {line}): "
        "it must raise an error instead"
    ) in capsys.readouterr().err.splitlines()
    assert not (tmp_path / "run" / "results.json").exists()
    # Observers are closed in reverse order, whatever was raised.
    stopped = (tmp_path / "trace").read_text().splitlines() if where != "dataset" else []
    step = 1 if where == "observer" else 0
    assert stopped == ([] if where == "dataset" else [f"second {step} False", f"first {step} False"])


@pytest.mark.parametrize("error", ["SystemExit(0)", "BrokenPipeError(32, 'Broken pipe')"])
def test_without_a_component_it_is_a_defect(error: str, capsys: pytest.CaptureFixture[str]) -> None:
    body = partial(exec, compile(f"raise {error}", "<engine>", "exec"))
    assert guarded("translate-run", body) == 1  # type: ignore[arg-type]
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith(
        "translate-run: this is a defect in the software, not in what you asked for; please report it\n"
    )


# Pipes


def run(module: str, *arguments: object, folder: Path, merged: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs a command whose output nobody reads: the pipe is closed from the start. merged: stderr goes there too."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, "-m", f"translate_core.commands.{module}", *map(str, arguments)],
            cwd=folder,
            stdout=writer,
            stderr=writer if merged else subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
    finally:
        os.close(writer)


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "plugins")))}


@pytest.mark.parametrize(
    "arguments",
    [
        ("plugins", "list"),
        ("plugins", "show", "generator", "resnet"),
        ("plugins", "schema"),
        ("recipes", "list"),
        ("run", "quickstart", "--dry-run", "--device", "cpu", "--set", "data.train=4", "--set", "data.test=2"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_listing_that_nobody_reads(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipeError" not in done.stderr


def test_a_check_that_nobody_reads_keeps_its_status(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from translate_core import Pool, hookimpl\n"
        "class Forgetful(Pool):\n"
        "    '''Returns nothing.'''\n"
        "    def query(self, images, generator):\n        return None\n"
        "@hookimpl\ndef register(registry):\n    registry.pool('forgetful', Forgetful)\n"
    )
    done = run("plugins", "check", "mine.py", folder=tmp_path)
    assert (done.returncode, done.stderr) == (2, "")


def eight_steps(write_recipe: Callable[..., Path]) -> Path:
    training = {"length": "8 steps", "workers": 0, "log_every": "1 steps", "checkpoint_every": "4 steps"}
    return write_recipe(training={**training, "sample_every": None})


def is_finished(folder: Path) -> bool:
    done = json.loads((folder / "results.json").read_text())["step"] == 8
    return done and (folder / "checkpoints" / "step-8.pt").exists()


def test_training_goes_on_when_nobody_reads_it(tmp_path: Path, write_recipe: Callable[..., Path]) -> None:
    arguments = (eight_steps(write_recipe), "--out", "run", "--device", "cpu")
    assert run("run", *arguments, folder=tmp_path, merged=True).returncode == 0
    assert is_finished(tmp_path / "run")


def test_a_fault_that_nobody_reads_keeps_its_status(tmp_path: Path) -> None:
    assert run("run", "missing.yaml", folder=tmp_path, merged=True).returncode == 2


def test_head_in_a_shell(tmp_path: Path, write_recipe: Callable[..., Path]) -> None:
    training = f"run {eight_steps(write_recipe)} --out run --device cpu 2>&1"
    for command in ("plugins list", training):
        script = f'{sys.executable} -m translate_core.commands.{command} | head -1; echo "${{PIPESTATUS[@]}}"'
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT, check=True
        )
        assert len(done.stdout.splitlines()) == 2
        assert (done.stdout.splitlines()[1], done.stderr) == ("0 0", "")
    assert is_finished(tmp_path / "run")
