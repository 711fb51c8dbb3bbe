"""Observers as the trainer calls them: their failures, the early end of a run, and their states."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import REPOSITORY
from tests.tiny_runs import RECIPE
from translate_core import Observer, list_components, load_recipe, open_run
from translate_core.commands.apply import main as apply
from translate_core.commands.run import main
from translate_core.runtime.signals import StopSignal
from translate_core.training.evaluation import metric_names

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "plugins")))}
Write = Callable[..., Path]

PLUGIN = '''
import json
import os
import signal
from pathlib import Path

from translate_core import Observer, UserError, hookimpl

TRACE = Path(__file__).with_name("trace")


class Watch(Observer):
    """Does `what` in one event of one step, and writes when it is started and closed."""

    def __init__(self, name: str, event: str = "", what: str = "", at: int = 2) -> None:
        self.name, self.event, self.what, self.at = name, event, what, at
        self.seen, self.resumed = 0, False
        self.act("__init__", at)

    def act(self, event: str, step: int) -> None:
        if event != self.event or step < self.at:
            return
        if self.what == "stop":
            self.stop(f"{self.name} has seen {self.seen} steps")
        elif self.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.what == "user":
            raise UserError("the option `at` is too large")
        elif self.what == "system":
            raise OSError(28, "No space left on device", "a.log")
        elif self.what == "exit":
            raise SystemExit("enough")
        elif self.what:
            raise RuntimeError("oh")

    def on_start(self, run):
        with TRACE.open("a") as file:
            file.write(f"{self.name} starts\\n")
        self.act("on_start", self.at)

    def on_step(self, step):
        self.seen += 1
        self.act("on_step", step)

    def on_losses(self, step, losses, rates):
        self.act("on_losses", step)

    def on_samples(self, step, samples):
        self.act("on_samples", step)

    def on_evaluation(self, step, results):
        self.act("on_evaluation", step)

    def on_checkpoint(self, step, path):
        self.act("on_checkpoint", step)

    def on_stop(self, step, finished):
        with TRACE.open("a") as file:
            file.write(f"{self.name} {step} {finished}\\n")
        self.act("on_stop", self.at)

    def state_dict(self):
        self.act("state_dict", self.at)
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.act("load_state_dict", self.at)
        self.seen = state["seen"]


class Other(Watch):
    """Another type with the same state."""


class Narrow(Observer):
    """Its event does not take the arguments of the contract."""

    def on_losses(self, step):
        pass


@hookimpl
def register(registry):
    registry.observer("watch", Watch)
    registry.observer("other", Other)
    registry.observer("narrow", Narrow)
'''

TRAINING = {
    "length": "6 steps",
    "workers": 0,
    "log_every": "2 steps",
    "sample_every": "2 steps",
    "evaluate_every": "2 steps",
    "checkpoint_every": "2 steps",
}
SILENT = {"progress": None, "tensorboard": None, "samples": None, "metrics_log": None}
METRICS = {"psnr": {"type": "psnr", "pairs": {"fake_B": "real_A"}}, "swd": None}


@pytest.fixture
def recipe(tmp_path: Path, folders: Path, write_recipe: Write) -> Callable[..., Path]:
    """Writes a recipe with the observers of the test's plugin: their options by name."""
    (tmp_path / "watching.py").write_text(PLUGIN)

    def write(training: dict[str, Any] | None = None, **observers: dict[str, Any]) -> Path:
        blocks = {name: {"type": "watch", "name": name, **options} for name, options in observers.items()}
        return write_recipe(
            plugins=["watching.py"],
            data={"type": "unpaired_folders", "root": str(folders), "transform": {"crop": 24}},
            metrics=METRICS,
            observers={**SILENT, **blocks},
            training={**TRAINING, **(training or {})},
        )

    return write


def train(recipe: Path, *more: str) -> int:
    return main([str(recipe), "--out", str(recipe.parent / "run"), "--device", "cpu", *more])


def traced(folder: Path) -> list[str]:
    path = folder / "trace"
    return path.read_text().splitlines() if path.exists() else []


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "run" / "run.json").read_text())
    return record


# Blame

EVENTS = [name for name, _ in inspect.getmembers(Observer, inspect.isfunction) if name != "stop"]
RAISES = next(number for number, code in enumerate(PLUGIN.splitlines(), 1) if 'RuntimeError("oh")' in code)


@pytest.mark.parametrize("event", EVENTS)
def test_an_observer_that_raises_is_blamed(
    event: str, tmp_path: Path, recipe: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    if event == "load_state_dict":
        assert train(recipe({"length": "2 steps"}, first={}, mine={}, last={})) == 0
    (tmp_path / "trace").unlink(missing_ok=True)
    written = recipe(first={}, mine={"event": event, "what": "raise"}, last={})
    assert train(written) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"translate-run: observer 'mine' failed in {event}: RuntimeError: oh (watching.py, line {RAISES})"
    )
    # Those that were started are closed in reverse order.
    closed = {
        "on_start": ["first 0 False"],
        "load_state_dict": ["first 2 False"],
        "on_stop": ["last 6 True", "mine 6 True", "first 6 True"],
    }
    assert [line for line in traced(tmp_path) if not line.endswith("starts")] == closed.get(
        event, ["last 2 False", "mine 2 False", "first 2 False"]
    )
    newest = {"load_state_dict": 2, "on_checkpoint": 2, "on_stop": 6}.get(event)
    saved = sorted(path.stem for path in (tmp_path / "run" / "checkpoints").glob("*.pt"))
    assert saved[-1:] == ([] if newest is None else [f"step-{newest}"])
    # The corrected command continues.
    assert train(written, "--set", "observers.mine.what=''") == 0
    assert json.loads((tmp_path / "run" / "results.json").read_text())["step"] == 6


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("user", "observer 'mine': the option `at` is too large"),
        (
            "system",
            "observer 'mine' failed in on_step: a.log cannot be used: No space left on device (watching.py, line ",
        ),
        (
            "exit",
            "observer 'mine' failed in on_step: it tried to end the program with SystemExit('enough') (watching.py",
        ),
    ],
)
def test_what_is_said_of_each_kind_of_error(
    what: str, message: str, recipe: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(recipe(mine={"event": "on_step", "what": what})) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"translate-run: {message}")


def test_an_observer_that_cannot_be_called(tmp_path: Path, recipe: Write, capsys: pytest.CaptureFixture[str]) -> None:
    line = next(number for number, code in enumerate(PLUGIN.splitlines(), 1) if "def on_losses(self, step):" in code)
    assert train(recipe(), "--set", "observers.mine={type: narrow}") == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "translate-run: observer 'mine' failed in on_losses: TypeError: Narrow.on_losses() takes 2 positional "
        f"arguments but 4 were given (watching.py, line {line})"
    )


def test_the_place_is_that_of_the_plugin_not_of_its_library(
    tmp_path: Path, recipe: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pillow raises; the line of the plugin that called it is reported."""
    text = PLUGIN.replace('raise RuntimeError("oh")', "from PIL import Image; Image.new('nonsense', (1, 1))")
    written = recipe(mine={"event": "on_step", "what": "raise"})
    (tmp_path / "watching.py").write_text(text)
    assert train(written) == 2
    assert f"(watching.py, line {RAISES})" in capsys.readouterr().err.splitlines()[-1]


def test_the_first_error_is_reported_and_later_ones_are_warnings(
    recipe: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    closing = {"event": "on_stop", "what": "raise"}
    written = recipe(first=closing, mine={"event": "on_step", "what": "raise"}, last=closing)
    assert train(written) == 2
    *_, last, first, error = capsys.readouterr().err.splitlines()
    assert last.startswith("warning: observer 'last' failed in on_stop: RuntimeError: oh")
    assert first.startswith("warning: observer 'first' failed in on_stop: RuntimeError: oh")
    assert error.startswith("translate-run: observer 'mine' failed in on_step: RuntimeError: oh")


# The early end

END = {"on_start": 1, "on_checkpoint": 3}
"""Where the request in another event than those of a step takes effect; it is made at step 2."""


@pytest.mark.parametrize("event", [event for event in EVENTS if event.startswith("on_")])
def test_an_observer_ends_a_run(event: str, tmp_path: Path, recipe: Write, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    written = recipe(mine={"event": event, "what": "stop"})
    assert train(written) == 0
    if event == "on_stop":
        assert "ended" not in record_of(tmp_path)
        return
    step = END.get(event, 2)
    seen = 0 if event == "on_start" else 2
    ended = {"step": step, "length": 6, "by": "mine", "reason": f"mine has seen {seen} steps"}
    text = f"ended after step {step} of 6 by observer 'mine': mine has seen {seen} steps"
    assert capsys.readouterr().err.splitlines()[-2:] == [text, f"done: {run}"]
    assert record_of(tmp_path)["ended"] == ended
    results = json.loads((run / "results.json").read_text())
    assert (results["step"], results["ended"]) == (step, ended)
    assert [result["name"] for result in results["results"]] == ["psnr/fake_B"]
    assert {path.name for path in (run / "weights").iterdir()} == {"G_AB.safetensors", "G_BA.safetensors"}
    checkpoint = torch.load(run / "checkpoints" / f"step-{step}.pt", weights_only=True)
    assert checkpoint["record"]["ended"] == ended
    assert checkpoint["record"]["recipe"]["training"]["length"] == "6 steps"
    assert traced(tmp_path) == ["mine starts", f"mine {step} True"]

    # The same command: finished, also with other operation keys.
    for more in ([], ["--set", "observers.mine=null"]):
        assert train(written, *more) == 0
        assert capsys.readouterr().err.splitlines()[-1] == (
            f"the run in {run} is finished ({text}); to train longer, raise training.length"
        )
        assert record_of(tmp_path)["ended"] == ended

    # A longer length continues.
    assert train(written, "--set", "observers.mine=null", "--set", "training.length=8 steps") == 0
    assert f"continuing {run} after step {step} of 8" in capsys.readouterr().err
    assert "ended" not in record_of(tmp_path)
    results = json.loads((run / "results.json").read_text())
    assert results["step"] == 8
    assert "ended" not in results


def test_the_last_step_has_everything_and_nothing_twice(tmp_path: Path, recipe: Write) -> None:
    """Nothing is due at step 3; everything is due at step 4."""
    for at, event in ((3, "on_step"), (4, "on_evaluation")):
        written = recipe(mine={"event": event, "what": "stop", "at": at})
        assert train(written, "--fresh", "--set", "observers.metrics_log={type: metrics_log}") == 0
        rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
        both = ["losses", "evaluation"]
        assert [(row["step"], row["kind"]) for row in rows] == [(step, kind) for step in (2, at) for kind in both]


def test_a_run_without_samples_has_none_at_its_early_end(tmp_path: Path, recipe: Write) -> None:
    written = recipe({"sample_every": None}, mine={"event": "on_step", "what": "stop"})
    assert train(written, "--set", "observers.samples={type: samples}") == 0
    assert not (tmp_path / "run" / "samples").exists()


def test_a_request_at_the_last_step_does_not_count(tmp_path: Path, recipe: Write) -> None:
    assert train(recipe(mine={"event": "on_step", "what": "stop", "at": 6})) == 0
    assert "ended" not in record_of(tmp_path)


def test_the_first_request_counts(tmp_path: Path, recipe: Write) -> None:
    stops = {"event": "on_losses", "what": "stop"}
    assert train(recipe(one={}, two=stops, three=stops)) == 0
    assert record_of(tmp_path)["ended"]["by"] == "two"


@pytest.mark.parametrize("reason", [None, "", " ", 3])
def test_a_stop_without_a_reason(reason: Any) -> None:
    observer = Observer()
    with pytest.raises(ValueError, match=r"stop\(\) takes the reason as a text, not"):
        observer.stop(reason)
    assert observer.stop_reason is None


def test_an_early_end_from_python(tmp_path: Path, recipe: Write) -> None:
    written, folder = recipe(mine={"event": "on_losses", "what": "stop"}), tmp_path / "run"
    with open_run(written, device="cpu", folder=folder) as run:
        assert run.ended is None
        assert run.train()
        assert (run.finished, run.step, run.length) == (True, 2, 6)
        assert run.ended is not None
        assert (run.ended.by, run.ended.reason) == ("mine", "mine has seen 2 steps")
        assert list(run.steps()) == []
    with open_run(written, device="cpu", folder=folder) as run:
        assert run.finished
        assert list(run.steps()) == []
        run.update(run.batch())  # one step more by hand: no longer the end
        assert not run.finished
        assert run.ended is None
        assert run.save() == folder / "checkpoints" / "step-3.pt"
    with open_run(written, device="cpu", folder=folder) as run:
        assert (run.step, run.finished) == (3, False)


def test_a_run_that_ended_early_translates(tmp_path: Path, folders: Path, recipe: Write) -> None:
    assert train(recipe(mine={"event": "on_losses", "what": "stop"})) == 0
    arguments = [str(tmp_path / "run"), str(folders / "testA"), "--out", str(tmp_path / "out"), "--direction", "A-B"]
    assert apply([*arguments, "--device", "cpu"]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_damaged_last_checkpoint_ends_the_run_again(
    tmp_path: Path, recipe: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    written = recipe(mine={"event": "on_losses", "what": "stop", "at": 4})
    assert train(written) == 0
    ended = record_of(tmp_path)["ended"]
    with (tmp_path / "run" / "checkpoints" / "step-4.pt").open("ab") as file:
        file.write(b"x")
    assert train(written) == 0
    assert f"continuing {tmp_path / 'run'} after step 2 of 6" in capsys.readouterr().err
    assert record_of(tmp_path)["ended"] == ended


def test_the_run_states_its_metrics() -> None:
    """Every built-in metric: those of the evaluation, by direction, known before the first step."""
    metrics = list_components("metric")
    assert len(metrics) >= 2
    recipe = {
        **RECIPE,
        "data": {"type": "synthetic", "size": 32, "train": 2, "test": 2},
        "metrics": {f"my_{name}": {"type": name} for name in metrics},
    }
    with open_run(recipe, device="cpu") as run:
        names = metric_names(run.assembly)
        results = run.evaluate()
    assert [(direction, name) for direction, found in names.items() for name in found] == [
        (result.direction, result.name) for result in results
    ]
    assert {result.name.partition("/")[0] for result in results} >= {f"my_{name}" for name in metrics}


# States


def seen(folder: Path, step: int, name: str = "mine") -> dict[str, Any] | None:
    parts = torch.load(folder / "run" / "checkpoints" / f"step-{step}.pt", weights_only=True)["parts"]
    state: dict[str, Any] | None = parts.get(f"observers/{name}")
    return state


def test_a_killed_run_ends_at_the_same_step_for_the_same_reason(tmp_path: Path, recipe: Write) -> None:
    """Killed in step 3, after the checkpoint of step 2; the reason counts the steps of both sessions."""
    stops = {"event": "on_step", "what": "stop", "at": 5}
    assert train(recipe(mine=stops)) == 0
    expected, weights = record_of(tmp_path)["ended"], parameters(tmp_path)
    assert expected["reason"] == "mine has seen 5 steps"

    written = recipe(mine=stops, killer={"event": "on_step", "what": "kill", "at": 3})
    command = [sys.executable, "-m", "translate_core.run", str(written), "--out", str(tmp_path / "run"), "--fresh"]
    killed = subprocess.run(
        [*command, "--device", "cpu"], env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "ended" not in record_of(tmp_path)
    assert seen(tmp_path, 2) == {"type": "watch", "state": {"seen": 2}}
    assert train(written, "--set", "observers.killer=null") == 0
    assert record_of(tmp_path)["ended"] == expected
    for key, value in parameters(tmp_path).items():
        assert torch.equal(value, weights[key]), key


def parameters(folder: Path) -> dict[str, torch.Tensor]:
    parts = torch.load(folder / "run" / "checkpoints" / "step-5.pt", weights_only=True)["parts"]
    return {
        f"{name}.{key}": value
        for name, part in parts.items()
        if name.startswith("networks/")
        for key, value in part.items()
    }


def test_observers_may_change_between_sessions(tmp_path: Path, recipe: Write) -> None:
    assert train(recipe({"length": "2 steps"}, kept={}, removed={}, replaced={})) == 0
    written = recipe({"length": "4 steps"}, kept={}, replaced={"type": "other"}, added={})
    assert train(written) == 0
    states = {name: seen(tmp_path, 4, name) for name in ("kept", "removed", "replaced", "added")}
    assert states == {
        "kept": {"type": "watch", "state": {"seen": 4}},
        "removed": None,
        "replaced": {"type": "other", "state": {"seen": 2}},
        "added": {"type": "watch", "state": {"seen": 2}},
    }


def test_steps_taken_from_python_keep_the_states(tmp_path: Path, recipe: Write) -> None:
    """Observers see the steps of `train` only; saving after steps by hand does not lose what they had seen."""
    written = recipe({"length": "2 steps"}, mine={})
    assert train(written) == 0
    with open_run(load_recipe(written, {"training.length": "6 steps"}), device="cpu", folder=tmp_path / "run") as run:
        list(run.steps(1))
        run.save()
        assert seen(tmp_path, 3) == {"type": "watch", "state": {"seen": 2}}
        assert run.train()
    assert seen(tmp_path, 6) == {"type": "watch", "state": {"seen": 5}}


def test_a_state_that_cannot_be_saved_is_named(
    tmp_path: Path, recipe: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    written = recipe(mine={})
    (tmp_path / "watching.py").write_text(PLUGIN.replace('{"seen": self.seen}', '{"seen": {self.seen}}'))
    assert train(written) == 2
    assert "observers/mine.state.seen cannot be saved: it is a builtins.set" in capsys.readouterr().err


def test_an_interruption_shows_observers_no_further_losses(write_recipe: Write, tmp_path: Path) -> None:
    """Otherwise early stopping would count more values than in one session."""
    training = {"length": "6 steps", "workers": 0, "log_every": "4 steps", "sample_every": None}
    recipe = load_recipe(str(write_recipe(training=training)))
    for name in ("once", "often"):
        finished = False
        while not finished:
            with open_run(recipe, device="cpu", folder=tmp_path / name) as run:
                stop = StopSignal()
                stop.requested = name == "often"
                finished = run.train(stop)
    once, often = ((tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("once", "often"))
    assert [json.loads(line)["step"] for line in once if '"losses"' in line] == [4, 6]
    assert [json.loads(line)["step"] for line in often if '"losses"' in line] == [4, 6]
