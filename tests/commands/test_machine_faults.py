"""Faults of the machine and of the terminal, in real processes: status 2 or 130, one message, nothing lost."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch
from _pytest.mark import ParameterSet

from translate_core.commands.run import main

TRAINING = {"length": "400 steps", "workers": 0, "checkpoint_every": "5 steps", "sample_every": None}
DATA = {"type": "synthetic", "size": 16, "train": 8, "test": 1}
COMMAND = "import sys; from translate_core.program import translate_run; sys.exit(translate_run())"
"""What the installed script does."""


@pytest.fixture
def recipe(write_recipe: Callable[..., Path]) -> Callable[..., Path]:
    return partial(write_recipe, data=DATA, training=TRAINING)


def slow(value: object) -> ParameterSet:
    """A parameter that `make proofs` tries."""
    return pytest.param(value, marks=pytest.mark.slow)


def command(recipe: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-c", COMMAND, str(recipe), "--out", str(out), "--device", "cpu", *more]


def wait_for(path: Path, process: subprocess.Popen[Any]) -> None:
    until = time.monotonic() + 100
    while not path.exists():
        assert process.poll() is None, "it ended early"
        assert time.monotonic() < until
        time.sleep(0.02)


def is_refused(status: int, messages: str) -> None:
    assert status == 2, messages
    assert "Traceback" not in messages
    assert "defect" not in messages


@pytest.mark.parametrize("limit", [slow(3_000), 20_000, slow(100_000)])
def test_a_full_disk_names_the_file_and_the_space(limit: int, recipe: Callable[..., Path], tmp_path: Path) -> None:
    """A limit on the size of files, which the system reports as it does a full disk."""
    out = tmp_path / "run"
    limited = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
    done = subprocess.run(
        command(recipe(observers={"tensorboard": None}), out),
        capture_output=True, text=True, check=False, timeout=120, preexec_fn=limited,
    )  # fmt: skip
    is_refused(done.returncode, done.stderr)
    assert "cannot be written: File too large" in done.stderr
    assert "bytes are free there now. Make room, and run the same command again" in done.stderr
    assert list(out.rglob("*.part")) == []
    done = subprocess.run(
        command(recipe(), out, "--set", "training.length=6 steps"),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("after", [0.1, 0.6, 1.3, *map(slow, (0.02, 0.2, 0.4, 0.8, 1.0, 1.6, 2.0, 2.5, 3.0))])
def test_ctrl_c_in_the_first_seconds(after: float, recipe: Callable[..., Path], tmp_path: Path) -> None:
    """From the moment when our first line runs; before that Python itself is starting."""
    begun = "import sys; from translate_core import program; program.quit_on_interrupt(); "
    begun += "print('begun', flush=True); sys.exit(program.translate_run())"
    arguments = [sys.executable, "-c", begun, *command(recipe(), tmp_path / "run")[3:]]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        messages = process.communicate(timeout=60)[1]
    assert process.returncode == 130, messages
    assert "Traceback" not in messages
    assert "interrupted" in messages or "stopped after step" in messages


def test_a_reader_that_goes_away(recipe: Callable[..., Path], tmp_path: Path) -> None:
    """`translate-run … 2>&1 | head -1`: the run goes on to its end."""
    out = tmp_path / "run"
    arguments = command(recipe(training={**TRAINING, "length": "30 steps"}), out)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        process.wait(timeout=120)
    assert process.returncode == 0
    assert (out / "results.json").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, slow(signal.SIGSEGV), signal.SIGTERM])
def test_a_loader_process_that_is_killed(number: int, recipe: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    training = {**TRAINING, "workers": 2, "length": "100000 steps", "log_every": "1 steps"}
    with subprocess.Popen(command(recipe(training=training), out), stderr=subprocess.PIPE, text=True) as process:
        wait_for(out / "checkpoints" / "step-5.pt", process)
        logged = last_step(out)
        while last_step(out) == logged:
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), number)
        messages = process.communicate(timeout=60)[1]
    is_refused(process.returncode, messages)
    assert "a loader process " in messages
    assert "lower training.workers (now 2; 0 loads in the training process)" in messages
    steps = [int(path.stem.removeprefix("step-")) for path in (out / "checkpoints").glob("*.pt")]
    assert max(steps) == last_step(out) > logged, "the steps since the last checkpoint are saved"


def last_step(out: Path) -> int:
    """The last step in the log of a run."""
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_sigterm_for_the_training_process_and_its_loader_processes(recipe: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    training = {**TRAINING, "workers": 2, "length": "100000 steps"}
    with subprocess.Popen(
        command(recipe(training=training), out), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        wait_for(out / "checkpoints" / "step-5.pt", process)
        os.killpg(process.pid, signal.SIGTERM)
        messages = process.communicate(timeout=60)[1]
    assert process.returncode == 130, messages
    assert "Traceback" not in messages


def test_what_a_loader_process_cannot_send(
    recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Such as for want of shared memory. Python drops it, and the training process waited for it forever."""

    def fail(tensor: torch.Tensor) -> None:
        raise RuntimeError("unable to allocate shared memory")

    monkeypatch.setitem(ForkingPickler._extra_reducers, torch.Tensor, fail)  # type: ignore[attr-defined]
    out = tmp_path / "run"
    path = recipe(training={**TRAINING, "workers": 1, "length": "3 steps"})
    status = main([str(path), "--out", str(out), "--device", "cpu"])
    messages = capfd.readouterr().err
    is_refused(status, messages)
    assert "a loader process has ended unexpectedly, most often for lack of memory: lower training.workers" in messages


def test_too_few_file_handles(recipe: Callable[..., Path], tmp_path: Path) -> None:
    limited = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (150, 150))
    done = subprocess.run(
        command(recipe(training={**TRAINING, "workers": 2}), tmp_path / "run"),
        capture_output=True, text=True, check=False, timeout=120, preexec_fn=limited,
    )  # fmt: skip
    is_refused(done.returncode, done.stderr)
    assert "2 loader processes need 192 open files, and this system permits 150" in done.stderr


def test_the_limit_of_file_handles_is_raised(recipe: Callable[..., Path], tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limited = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (80, hard))
    training = {**TRAINING, "workers": 2, "length": "12 steps"}
    done = subprocess.run(
        command(recipe(training=training), tmp_path / "run"),
        capture_output=True, text=True, check=False, timeout=120, preexec_fn=limited,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("x" * 300, "File name too long"),
        ("/proc/nothing/run", "cannot be used: No such file or directory"),
        ("/dev/null/run", "cannot be used: Not a directory"),
        (os.fsdecode(b"caf\xe9"), "is not UTF-8 text: rename the file or the folder"),
    ],
    ids=["a long name", "below /proc", "below a device", "no UTF-8"],
)
def test_a_run_folder_that_cannot_be(out: str, message: str, recipe: Callable[..., Path], tmp_path: Path) -> None:
    done = subprocess.run(
        command(recipe(), Path(out)), capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
        errors="surrogateescape",
    )  # fmt: skip
    is_refused(done.returncode, done.stderr)
    assert message in done.stderr


def test_the_current_folder_is_not_moved_aside(recipe: Callable[..., Path], tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    short = ("--set", "training.length=2 steps")
    run = partial(subprocess.run, capture_output=True, text=True, check=False, timeout=120, cwd=here)
    first: Any = run(command(recipe(), Path(), *short))
    assert first.returncode == 0, first.stderr
    again: Any = run(command(recipe(), Path(), *short, "--fresh"))
    is_refused(again.returncode, again.stderr)
    assert "holds the current folder, so it cannot be moved aside" in again.stderr
    assert (here / "results.json").exists()
