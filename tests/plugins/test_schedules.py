from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from translate_core.commands.run import main
from translate_core.contracts.length import Length
from translate_core.errors import UserError
from translate_plugins.schedules.constant import Constant
from translate_plugins.schedules.cosine import Cosine
from translate_plugins.schedules.linear_decay import LinearDecay
from translate_plugins.schedules.plateau import Plateau
from translate_plugins.schedules.step import Step
from translate_plugins.schedules.warmup import Warmup


def test_linear_decay_is_that_of_cyclegan() -> None:
    epoch = 7
    schedule = LinearDecay(200 * epoch, epoch)
    for step in range(200 * epoch):
        e = step // epoch + 1
        assert schedule.factor(step) == pytest.approx(1 - max(0, e - 100) / 101, abs=1e-15)
    assert schedule.factor(100 * epoch - 1) == 1
    assert schedule.factor(100 * epoch) == pytest.approx(100 / 101, abs=1e-15)
    assert schedule.factor(200 * epoch - 1) == pytest.approx(1 / 101, abs=1e-15)


def test_linear_decay_in_steps() -> None:
    schedule = LinearDecay(10, 4, constant=Length(6, "steps"))
    assert [schedule.factor(step) for step in range(10)] == pytest.approx([1] * 6 + [4 / 5, 3 / 5, 2 / 5, 1 / 5])


def test_linear_decay_counts_a_partial_epoch() -> None:
    schedule = LinearDecay(10, 4, constant=Length(1, "epochs"))
    assert [schedule.factor(step) for step in range(10)] == pytest.approx([1] * 4 + [2 / 3] * 4 + [1 / 3] * 2)


def test_linear_decay_without_a_constant_part() -> None:
    schedule = LinearDecay(3, 1, constant=Length(0, "epochs"))
    assert [schedule.factor(step) for step in range(3)] == pytest.approx([3 / 4, 2 / 4, 1 / 4])


@pytest.mark.parametrize("length", [1, 2, 7, 12, 13, 40])
@pytest.mark.parametrize("epoch", [1, 4, 50])
@pytest.mark.parametrize("unit", ["steps", "epochs"])
@pytest.mark.parametrize("count", [0, 1, 5, 12, 13, 14, 100])
def test_linear_decay_falls_and_stays_in_range(length: int, epoch: int, unit: str, count: int) -> None:
    constant = Length.parse(f"{count} {unit}")
    schedule = LinearDecay(length, epoch, constant=constant)
    factors = [schedule.factor(step) for step in range(length + 3)]
    assert all(0 < factor <= 1 for factor in factors)
    assert factors == sorted(factors, reverse=True)
    if constant.steps(epoch) >= length:
        assert set(factors) == {1.0}
    else:
        assert factors[length - 1] < 1


def test_cosine_falls_from_one_to_final() -> None:
    schedule = Cosine(8, 3, final=0.2)
    expected = [0.2 + 0.8 * (1 + math.cos(math.pi * step / 8)) / 2 for step in range(9)]
    assert [schedule.factor(step) for step in range(9)] == pytest.approx(expected)
    assert schedule.factor(0) == 1
    assert schedule.factor(4) == pytest.approx(0.6)
    assert schedule.factor(8) == schedule.factor(20) == pytest.approx(0.2)
    assert Cosine(8, 3).factor(7) > 0


def test_step_is_a_staircase() -> None:
    schedule = Step(30, 5, every=Length(2, "epochs"))
    assert [schedule.factor(step) for step in (0, 9, 10, 19, 20, 29)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    schedule = Step(30, 5, every=Length(3, "steps"), gamma=0.5)
    assert [schedule.factor(step) for step in range(7)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    with pytest.raises(UserError, match="at least 1, not '0 epochs'"):
        Step(30, 5, every=Length(0, "epochs"))


def test_constant_is_one() -> None:
    schedule = Constant(10, 2)
    assert {schedule.factor(step) for step in range(12)} == {1.0}


def test_warmup_rises_to_one() -> None:
    schedule = Warmup(40, 5, over=Length(4, "steps"))
    assert [schedule.factor(step) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert Warmup(40, 5, over=Length(2, "epochs")).factor(3) == 0.4
    assert Warmup(40, 5, over=Length(1, "steps")).factor(0) == 1
    with pytest.raises(UserError, match="over must be at least 1, not '0 steps'"):
        Warmup(40, 5, over=Length(0, "steps"))


def test_warmup_multiplies_another_schedule() -> None:
    """The other schedule counts from the beginning of the run, as without warmup."""
    schedule = Warmup(40, 5, over=Length(8, "steps"), then=Cosine)
    cosine = Cosine(40, 5)
    for step in range(40):
        assert schedule.factor(step) == pytest.approx(min((step + 1) / 8, 1) * cosine.factor(step), abs=1e-15)


def test_warmup_passes_losses_to_the_other_schedule() -> None:
    inner = Plateau(40, 5, patience=0, gamma=0.5)
    schedule = Warmup(40, 5, over=Length(2, "steps"), then=lambda **given: inner)
    for loss in (1.0, 1.0):
        schedule.after_epoch(loss, {})
    assert schedule.factor(0) == 0.25
    assert schedule.factor(9) == 0.5
    other = Warmup(40, 5, over=Length(2, "steps"), then=Plateau)
    other.load_state_dict(schedule.state_dict())
    assert other.factor(9) == 0.5


LOSSES = {
    "falling": [1 / (epoch + 1) for epoch in range(30)],
    "flat": [1.0] * 30,
    "slowly": [1 - 0.0005 * epoch for epoch in range(30)],
    "noisy": torch.rand(60, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist(),
    "up and down": [3, 2, 2.5, 1.9, 1.95, 1.95, 1.95, 1.2, 1.3, 1.3, 1.3, 1.3, 1.1, 5, 5, 5, 5, 5],
    "not a number": [1.0, math.nan, math.nan, math.nan, 0.5, 0.6, 0.6, 0.6],
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 0, "gamma": 0.5},
        {"patience": 2, "threshold": 0.1, "gamma": 0.3, "floor": 0.05},
        {"patience": 3, "threshold": 0.0, "floor": 0.5},
        {"patience": 1, "cooldown": 3, "gamma": 0.5},
        {"patience": 0, "cooldown": 1, "threshold": 0.1, "gamma": 0.5},
    ],
)
def test_plateau_equals_that_of_torch(name: str, options: dict[str, Any]) -> None:
    rate = 0.02
    weight = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], lr=rate)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=options.get("gamma", 0.1),
        patience=options.get("patience", 10),
        cooldown=options.get("cooldown", 0),
        threshold=options.get("threshold", 1e-4),
        min_lr=options.get("floor", 0.0) * rate,
        eps=0,
    )
    ours = Plateau(1000, 10, **options)
    rates = set()
    for epoch, loss in enumerate(LOSSES[name]):
        ours.after_epoch(loss, {})
        theirs.step(loss)
        expected = optimizer.param_groups[0]["lr"]
        rates.add(expected)
        assert rate * ours.factor(epoch * 10) == pytest.approx(expected, rel=1e-12), epoch
    assert len(rates) > 1 or name != "flat"


def test_plateau_below_zero() -> None:
    """The loss of a critic may be negative; a loss slightly above the best is not an improvement there either."""
    schedule = Plateau(100, 10, patience=0, threshold=0.1, gamma=0.5)
    for loss, factor in ((-1.0, 1), (-1.2, 1), (-1.19, 0.5), (-1.3, 0.25), (-1.4, 0.25)):
        schedule.after_epoch(loss, {})
        assert schedule.factor(0) == factor, loss


def test_plateau_resumes_from_its_state() -> None:
    whole, first = (Plateau(100, 10, patience=1, gamma=0.5, cooldown=2) for _ in range(2))
    losses = LOSSES["up and down"]
    for loss in losses:
        whole.after_epoch(loss, {})
    for loss in losses[:6]:
        first.after_epoch(loss, {})
    second = Plateau(100, 10, patience=1, gamma=0.5, cooldown=2)
    second.load_state_dict(first.state_dict())
    for loss in losses[6:]:
        second.after_epoch(loss, {})
    assert second.state_dict() == whole.state_dict()
    assert second.factor(0) < 1


def test_plateau_watches_one_loss() -> None:
    schedule = Plateau(100, 10, patience=0, gamma=0.5, watch="cycle")
    for cycle, factor in ((1.0, 1), (0.5, 1), (0.6, 0.5)):
        schedule.after_epoch(-cycle, {"cycle": cycle, "adversarial": 9.0})
        assert schedule.factor(0) == factor
    with pytest.raises(UserError) as caught:
        schedule.after_epoch(1.0, {"cycl": 1.0, "adversarial": 9.0})
    assert str(caught.value) == (
        "schedule plateau watches 'cycle', and no loss of its side is logged under that name, did you mean 'cycl'? "
        "There are: cycl, adversarial"
    )


SCHEDULES = {
    "plateau": {"type": "plateau", "patience": 0, "threshold": 0.9, "gamma": 0.5},
    "warmup": {
        "type": "warmup",
        "over": "1 epochs",
        "then": {"type": "plateau", "patience": 0, "threshold": 0.9, "gamma": 0.5},
    },
    "one loss": {
        "generators": {"type": "plateau", "patience": 0, "threshold": 0.9, "gamma": 0.5, "watch": "cycle/rec_A"},
        "discriminators": {"type": "constant"},
    },
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_resumed_run_has_the_same_learning_rates(
    name: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """The run is stopped within an epoch of 6 steps."""
    recipe = write_recipe(schedule=SCHEDULES[name], observers={"progress": None, "tensorboard": None, "samples": None})

    def train(folder: str, length: int) -> None:
        sets = (f"training.length={length} steps", "training.log_every=1 steps")
        options = [argument for item in sets for argument in ("--set", item)]
        assert main([str(recipe), "--out", str(tmp_path / folder), "--device", "cpu", *options]) == 0

    def rates(folder: str) -> list[float]:
        rows = [json.loads(line) for line in (tmp_path / folder / "metrics.jsonl").read_text().splitlines()]
        return [row["learning_rates"]["generators"] for row in rows if row["kind"] == "losses"]

    train("whole", 20)
    train("parts", 8)
    train("parts", 20)
    assert rates("parts") == rates("whole")
    factors = [1.0] * 12 + [0.5] * 6 + [0.25] * 2
    if name == "warmup":
        factors[:6] = [step / 6 for step in range(1, 7)]
    assert rates("whole") == pytest.approx([2e-4 * factor for factor in factors])
    first, second = (
        torch.load(tmp_path / folder / "checkpoints" / "step-20.pt", weights_only=True)["parts"]["networks/G_AB"]
        for folder in ("whole", "parts")
    )
    assert all(torch.equal(first[key], second[key]) for key in first)
