from __future__ import annotations

import math

import pytest

from translate_core.errors import UserError
from translate_core.schedule import Length
from translate_plugins.schedules.constant import Constant
from translate_plugins.schedules.cosine import Cosine
from translate_plugins.schedules.linear_decay import LinearDecay
from translate_plugins.schedules.step import Step


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


def test_linear_decay_counts_a_begun_epoch() -> None:
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
