"""The weight of a loss: what is valid, for a recipe and for the JSON Schema."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from translate_core.components.blocks import BlockReader
from translate_core.components.plugins import load_plugins
from translate_core.components.registry import Registration
from translate_core.components.weight import WEIGHT_TEXT, Ramp, read_weight, weight_data, weight_schema

REGISTRY = load_plugins().registry
CYCLE, R1 = REGISTRY.get("loss", "cycle"), REGISTRY.get("loss", "r1")
NUMBER = "must be a number at least 0, not"
STEPS = "must be a whole number greater than 0, not"
RULE = "multiplies no part of r1: leave it out (0 switches the loss off), and "

VALID = [
    (2, 2.0),
    (0, 0.0),
    (0.5, 0.5),
    ({"from": 0, "to": 10, "steps": 5}, Ramp(0.0, 10.0, 5)),
    ({"from": 1, "to": 0, "steps": 5}, Ramp(1.0, 0.0, 5)),
    ({"from": 0, "to": 0, "steps": 5}, 0.0),
]
INVALID = [
    (-1, {"w": f"{NUMBER} -1"}),
    (True, {"w": f"{NUMBER} true"}),
    ("1", {"w": f"{NUMBER} '1'"}),
    (None, {"w": f"{NUMBER} null"}),
    ([1], {"w": f"{NUMBER} [1]"}),
    ({"from": -1, "to": "x", "steps": 0}, {"w.from": f"{NUMBER} -1", "w.to": f"{NUMBER} 'x'", "w.steps": f"{STEPS} 0"}),
    ({"from": 1, "to": 2, "steps": 1.5}, {"w.steps": f"{STEPS} 1.5"}),
    (
        {"from": 1, "to": 2},
        {"w.steps": "is missing: a changing weight needs it (a whole number greater than 0)"},
    ),
    (
        {"from": 1, "to": 2, "steps": 3, "step": 4},
        {"w.step": "a changing weight has no option 'step', did you mean 'steps'? It takes: from, to, steps"},
    ),
]


@pytest.mark.parametrize(("value", "weight"), VALID)
def test_valid(value: object, weight: float | Ramp) -> None:
    reader = BlockReader(REGISTRY)
    assert read_weight(reader, value, "w", CYCLE) == weight
    assert reader.faults == []
    assert read_weight(reader, weight_data(weight), "w", CYCLE) == weight


@pytest.mark.parametrize(("value", "faults"), INVALID)
def test_invalid(value: object, faults: dict[str, str]) -> None:
    reader = BlockReader(REGISTRY)
    assert read_weight(reader, value, "w", CYCLE) is None
    assert {fault.path: fault.message for fault in reader.faults} == faults


@pytest.mark.parametrize("value", [2, 0.5, {"from": 0, "to": 1, "steps": 5}])
def test_a_loss_without_a_generator_part_has_no_factor(value: object) -> None:
    reader = BlockReader(REGISTRY)
    assert read_weight(reader, value, "w", R1) is None
    assert [fault.message for fault in reader.faults] == [RULE + "set its strength by its own options"]
    for switch in (0, 1):
        assert read_weight(BlockReader(REGISTRY), switch, "w", R1) == switch


@pytest.mark.parametrize("registration", [CYCLE, R1], ids=["cycle", "r1"])
@pytest.mark.parametrize("value", [value for value, _ in [*VALID, *INVALID]])
def test_the_schema_accepts_the_same(value: object, registration: Registration) -> None:
    reader = BlockReader(REGISTRY)
    read_weight(reader, value, "w", registration)
    accepted = Draft202012Validator(weight_schema(registration)).is_valid(value)
    zero_ramp = registration is R1 and value == {"from": 0, "to": 0, "steps": 5}  # an editor may be stricter here
    assert accepted == (not reader.faults and not zero_ramp)


def test_a_ramp_is_linear_and_then_constant() -> None:
    assert [Ramp(1, 3, 2).at(step) for step in range(5)] == [1, 2, 3, 3, 3]


def test_the_text_of_listings() -> None:
    assert WEIGHT_TEXT == "a number at least 0, or a block of from, to, steps"
