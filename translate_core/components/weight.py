"""The weight of a loss in a recipe: a number, or a change over steps. Everything that decides whether it is valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, PositiveInt, TypeAdapter

from translate_core.components.blocks import BlockReader
from translate_core.components.registry import Registration
from translate_core.components.signature import Option, describe
from translate_core.contracts.loss import Loss

_Number = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Ramp:
    """A weight that changes linearly from `start` to `end` over `steps` optimizer steps and then stays at `end`."""

    start: float
    end: float
    steps: int

    def at(self, step: int) -> float:
        """The weight after `step` optimizer steps."""
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)


DEFAULT_WEIGHT = 1.0
_NUMBER = Option("weight", _Number, DEFAULT_WEIGHT, required=False, nested=None, group=None)
_RAMP = {
    name: Option(name, annotation, None, required=True, nested=None, group=None)
    for name, annotation in (("from", _Number), ("to", _Number), ("steps", PositiveInt))
}
WEIGHT_TEXT = f"{describe(_Number)}, or a block of {', '.join(_RAMP)}"
"""Type and range of a weight, for listings."""


def read_weight(
    reader: BlockReader, value: object, path: str, registration: Registration | None
) -> float | Ramp | None:
    """The weight in a loss's block; None where it has a fault. A ramp from 0 to 0 is 0.

    registration: the loss that it belongs to, None where that is not known.
    """
    if isinstance(value, Mapping):
        weight = _read_ramp(reader, value, path)
    else:
        weight = reader.value(_NUMBER, value, path)
    if weight not in (None, 0, 1) and registration is not None and not _has_weighted_part(registration):
        reader.fault(
            path,
            f"multiplies no part of {registration.name}: leave it out "
            f"(0 switches the loss off), and set its strength by its own options",
        )
        return None
    return weight


def _read_ramp(reader: BlockReader, value: Mapping[str, Any], path: str) -> float | Ramp | None:
    before = len(reader.faults)
    built, _ = reader.options(_RAMP, value, path, "a changing weight")
    if len(reader.faults) > before:
        return None
    return Ramp(built["from"], built["to"], built["steps"]) if built["from"] or built["to"] else 0.0


def _has_weighted_part(registration: Registration) -> bool:
    """Whether a loss has a function whose parts its weight multiplies."""
    component = registration.component
    assert isinstance(component, type)
    assert issubclass(component, Loss)
    return any(function.weighted for function in component.functions.values())


def weight_data(weight: float | Ramp) -> Any:
    """A weight as a recipe has it: plain data."""
    return {"from": weight.start, "to": weight.end, "steps": weight.steps} if isinstance(weight, Ramp) else weight


def weight_schema(registration: Registration) -> dict[str, Any]:
    """The JSON Schema of the weights that `read_weight` accepts for this loss."""
    if not _has_weighted_part(registration):
        return {"enum": [0, 1], "default": 1}
    ramp = {
        "type": "object",
        "additionalProperties": False,
        "required": list(_RAMP),
        "properties": {name: TypeAdapter(option.annotation).json_schema() for name, option in _RAMP.items()},
    }
    return {"anyOf": [TypeAdapter(_Number).json_schema(), ramp], "default": DEFAULT_WEIGHT}
