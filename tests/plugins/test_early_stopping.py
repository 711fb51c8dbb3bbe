"""The observer that ends a run which no longer improves."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import REPOSITORY
from translate_core import Length, Result, RunInfo, UserError
from translate_core.commands.run import main
from translate_plugins.observers.early_stopping import EarlyStopping

RECIPE: Mapping[str, Any] = {
    "losses": {"cycle": {"weight": 10}, "idle": {"weight": 0}, "ssim": {"weight": 1}, "late": {"weight": 1}},
    "training": {"evaluate_every": "1 epochs"},
}
METRICS = {"A-B": ["ssim/fake_B", "ssim/fake"], "B-A": ["ssim/fake", "lpips/fake_A"]}
EPOCH = 10


def info(start: int, recipe: Mapping[str, Any] = RECIPE, length: int = 1000) -> RunInfo:
    return RunInfo("x", Path(), recipe, start, length, EPOCH, 1, METRICS)


def started(watch: str, recipe: Mapping[str, Any] = RECIPE, **options: Any) -> EarlyStopping:
    observer = EarlyStopping(watch, **options)
    observer.on_start(info(0, recipe))
    return observer


def result(name: str, value: float, direction: str = "A-B", better: bool = True) -> Result:
    return Result(name, value, direction, better, "all", "as it is")


def end_of(observer: EarlyStopping, values: Sequence[float], every: int = EPOCH, better: bool = True) -> int | None:
    """The step at which it requests the end, given the values of the metric ssim/fake_B; None if it does not."""
    for number, value in enumerate(values, 1):
        observer.on_evaluation(number * every, [result("ssim/fake_B", value, better=better)])
        if observer.stop_reason is not None:
            return number * every
    return None


# When it ends a run


def expected_end(values: Sequence[float], patience: int, delta: float) -> int | None:
    """The number of the first value with `patience` values before it, or itself, since the best: written apart."""
    best, best_number = -math.inf, 1
    for number, value in enumerate(values, 1):
        if math.isfinite(value) and value > best + delta:
            best, best_number = value, number
        elif number - best_number >= patience:
            return number
    return None


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize("delta", [0.0, 0.15])
def test_every_short_sequence(patience: int, delta: float) -> None:
    ends = set()
    for values in itertools.product((0.1, 0.2, 0.4, math.nan), repeat=5):
        found = end_of(started("ssim/fake_B", patience=patience, min_delta=delta), values, every=1)
        assert found == expected_end(values, patience, delta), values
        ends.add(found)
    assert len(ends) > 2


def test_a_length_counts_steps_since_the_best() -> None:
    values = [0.1, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2]
    assert end_of(started("ssim/fake_B", patience=Length(30, "steps")), values) == 50
    assert end_of(started("ssim/fake_B", patience=Length(3, "epochs")), values) == 50
    assert end_of(started("ssim/fake_B", patience=Length(25, "steps")), values) == 50
    assert end_of(started("ssim/fake_B", patience=Length(31, "steps")), values) == 60


def test_the_metric_states_what_is_better() -> None:
    falling = [0.5, 0.4, 0.3]
    assert end_of(started("ssim/fake_B", patience=1), falling, better=True) == 20
    assert end_of(started("ssim/fake_B", patience=1), falling, better=False) is None
    assert end_of(started("ssim/fake_B", patience=1, mode="min"), falling, better=True) is None
    assert end_of(started("ssim/fake_B", patience=1, mode="max"), falling, better=False) == 20


def test_a_smaller_loss_is_better() -> None:
    observer = started("cycle", patience=2)
    for step, value in enumerate([3.0, 2.0, 2.5, 2.0], 1):
        assert observer.stop_reason is None
        observer.on_losses(step, {"cycle": value, "late": 0.0}, {})
    assert observer.stop_reason == "cycle has not improved for 2 logged values: the best value is 2, after step 2"


def test_a_loss_that_is_not_logged_at_every_step_is_awaited() -> None:
    observer = started("late/part", patience=1)
    for step in range(1, 10):
        values = {"late": 1.0, "late/part": 1.0} if step % 4 == 0 else {}
        observer.on_losses(step, {"cycle": float(step), **values}, {})
        assert (observer.stop_reason is None) == (step < 8)


def test_directions_are_averaged_or_chosen() -> None:
    def values(first: float, second: float) -> list[Result]:
        return [result("ssim/fake", first, "A-B"), result("other/fake", 9.0), result("ssim/fake", second, "B-A")]

    for direction, ends in ((None, False), ("A-B", True), ("B-A", False)):
        observer = started("ssim/fake", patience=1, direction=direction)
        observer.on_evaluation(1, values(0.5, 0.5))
        observer.on_evaluation(2, values(0.4, 0.7))
        assert (observer.stop_reason is not None) == ends, direction


def test_a_metric_comes_before_a_loss_of_the_same_name() -> None:
    observer = started("ssim/fake_B", patience=1)
    for step in (1, 2, 3):
        observer.on_losses(step, {"ssim": 1.0, "ssim/fake_B": 1.0}, {})
    assert observer.stop_reason is None
    total = started("ssim", patience=1)
    for step in (1, 2):
        total.on_losses(step, {"ssim": 1.0, "ssim/fake_B": 1.0}, {})
    assert total.stop_reason is not None


@pytest.mark.parametrize(
    ("patience", "words"),
    [(1, "1 evaluation"), (2, "2 evaluations"), (Length(1, "epochs"), "1 epoch"), (Length(15, "steps"), "15 steps")],
)
def test_the_reason(patience: int | Length, words: str) -> None:
    observer = started("ssim/fake_B", patience=patience)
    assert end_of(observer, [0.71234, 0.5, 0.5]) is not None
    assert observer.stop_reason == (
        f"ssim/fake_B has not improved for {words}: the best value is 0.7123, after step {EPOCH}"
    )
    never = started("ssim/fake_B", patience=patience)
    end_of(never, [math.nan] * 3)
    assert never.stop_reason == f"ssim/fake_B has had no finite value for {words}"


def test_a_longer_run_has_the_patience_again() -> None:
    for patience in (2, Length(2, "epochs")):
        first = started("ssim/fake_B", patience=patience)
        assert end_of(first, [0.5, 0.4, 0.4]) == 30
        second = EarlyStopping("ssim/fake_B", patience=patience)
        second.load_state_dict(first.state_dict())
        second.on_start(info(30, length=2000))
        for step in (40, 50):
            assert second.stop_reason is None
            second.on_evaluation(step, [result("ssim/fake_B", 0.45)])
        assert second.stop_reason is not None
        assert "0.5, after step 10" in second.stop_reason


@pytest.mark.parametrize("options", [{"direction": "A-B"}, {"mode": "max"}, {"watch": "lpips/fake_A"}])
def test_the_state_of_another_watch_is_ignored(options: dict[str, Any]) -> None:
    first = started("ssim/fake_B", patience=3)
    end_of(first, [0.9, 0.1])
    second = EarlyStopping(**{"watch": "ssim/fake_B", "patience": 5, **options})
    empty = second.state_dict()
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == empty
    same = EarlyStopping("ssim/fake_B", patience=5)  # the patience may change
    same.load_state_dict(first.state_dict())
    assert same.state_dict() == first.state_dict() != empty


# Faults

ONLY_AT_END = {**RECIPE, "training": {"evaluate_every": None}}
NAMES = "There are: cycle, ssim, late, ssim/fake_B, ssim/fake, lpips/fake_A"


@pytest.mark.parametrize(
    ("watch", "recipe", "options", "message"),
    [
        ("cylce", RECIPE, {}, f"watch: the run has no loss and no test metric 'cylce', did you mean 'cycle'? {NAMES}"),
        ("ssmi/fake_B", RECIPE, {},
         f"watch: the run has no loss and no test metric 'ssmi/fake_B', did you mean 'ssim/fake_B'? {NAMES}"),
        ("lpips", RECIPE, {}, f"watch: the run has no loss and no test metric 'lpips'. {NAMES}"),
        ("idle", RECIPE, {}, f"watch: the run has no loss and no test metric 'idle'. {NAMES}"),
        ("lpips/fake_A", ONLY_AT_END, {}, "watch: 'lpips/fake_A' is a test metric, which is computed at the end only: "
         "set training.evaluate_every, for example to 1 epoch"),
        ("cycle", RECIPE, {"direction": "A-B"}, "direction: 'cycle' is a loss, which has no direction"),
        ("ssim/fake", RECIPE, {"direction": "A-C"},
         "direction: 'ssim/fake' has no direction 'A-C', did you mean 'A-B'? There are: A-B, B-A"),
    ],
)  # fmt: skip
def test_a_fault_at_the_start(watch: str, recipe: Mapping[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        started(watch, recipe, **options)
    assert str(error.value) == message


def test_a_fault_at_the_first_losses() -> None:
    with pytest.raises(UserError) as error:
        started("cycle/rec_X").on_losses(1, {"cycle": 1.0, "cycle/rec_A": 0.5, "late": 1.0}, {})
    assert str(error.value) == (
        "watch: no logged loss is called 'cycle/rec_X', did you mean 'cycle/rec_A'? There are: cycle, cycle/rec_A"
    )


# In a run


def early(write_recipe: Callable[..., Path], folders: Path, **options: Any) -> Path:
    """Evaluated at every step; PSNR of the reconstruction, which must rise by an impossible amount."""
    silent = {"progress": None, "tensorboard": None, "samples": None, "metrics_log": None}
    watching = {"type": "early_stopping", "watch": "rec/rec_A", "patience": 4, "min_delta": 100.0, **options}
    training = {"workers": 0, "evaluate_every": "1 steps", "checkpoint_every": "2 steps", "sample_every": None}
    return write_recipe(
        data={"type": "unpaired_folders", "root": str(folders), "transform": {"crop": 24}},
        metrics={"rec": {"type": "psnr", "pairs": {"rec_A": "real_A"}}, "swd": None},
        observers={**silent, "watching": watching},
        training={"length": "20 steps", **training},
    )


def train(recipe: Path, out: Path, *overrides: str) -> int:
    sets = [part for override in overrides for part in ("--set", override)]
    return main([str(recipe), "--out", str(out), "--device", "cpu", *sets])


def ended(out: Path) -> Any:
    return json.loads((out / "run.json").read_text()).get("ended")


def test_a_killed_run_ends_as_one_that_was_not(
    write_recipe: Callable[..., Path], folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed in step 4, after the checkpoint of step 2, and resumed."""
    recipe = early(write_recipe, folders)
    assert train(recipe, tmp_path / "whole") == 0
    expected = ended(tmp_path / "whole")
    assert (expected["step"], expected["length"], expected["by"]) == (5, 20, "watching")
    assert expected["reason"].startswith("rec/rec_A has not improved for 4 evaluations: the best value is ")
    assert expected["reason"].endswith(", after step 1")

    (tmp_path / "killing.py").write_text(
        "import os, signal\n"
        "from translate_core import Observer, hookimpl\n"
        "class Killing(Observer):\n"
        "    def on_step(self, step):\n"
        "        if step == 4:\n            os.kill(os.getpid(), signal.SIGKILL)\n"
        "@hookimpl\ndef register(registry):\n    registry.observer('killing', Killing)\n"
    )
    out = tmp_path / "resumed"
    command = [sys.executable, "-m", "translate_core.run", str(recipe), "--out", str(out), "--device", "cpu"]
    killing = ["--set", "plugins=[killing.py]", "--set", "observers.killing={type: killing}"]
    paths = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "plugins")))
    killed = subprocess.run(
        [*command, *killing], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, timeout=240, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert ended(out) is None
    capsys.readouterr()
    assert train(recipe, out, "plugins=[killing.py]") == 0
    assert "continuing" in capsys.readouterr().err
    assert ended(out) == expected
    one, other = (
        torch.load(folder / "checkpoints" / "step-5.pt", weights_only=True)["parts"]
        for folder in (tmp_path / "whole", out)
    )
    assert one["observers/watching"] == other["observers/watching"]
    for name, value in one["networks/G_AB"].items():
        assert torch.equal(value, other["networks/G_AB"][name])


def test_an_ablation_with_a_run_that_ended_early(
    write_recipe: Callable[..., Path], folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such runs are finished, and the table states where they ended."""
    early(write_recipe, folders, patience=2)
    (tmp_path / "ablation.yaml").write_text("base: small.yaml\nvary: {losses.identity.weight: [5, 0]}\n")
    command = [str(tmp_path / "ablation.yaml"), "--out", str(tmp_path / "all"), "--device", "cpu"]
    assert main(command) == 0
    table = (tmp_path / "all" / "table.md").read_text()
    assert "unfinished" not in table
    assert [line.count("–") for line in table.splitlines() if line.startswith("|")][2:] == [0, 0]
    for weight in (5, 0):
        note = (
            f"\n- losses.identity.weight={weight}, seed 0: ended after step 3 of 20 by observer 'watching': rec/rec_A"
        )
        assert table.count(note) == 1
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().err.count("is finished already") == 2
    longer = ["--set", "training.length=22 steps", "--set", "observers.watching.patience=1"]
    assert main([*command, *longer]) == 0
    assert "is finished already" not in capsys.readouterr().err
    assert (tmp_path / "all" / "table.md").read_text().count("ended after step 4 of 22") == 2
