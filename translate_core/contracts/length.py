"""Lengths of training as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

_LENGTH = re.compile(r"([0-9][0-9_]*) +(step|steps|epoch|epochs)")


@dataclass(frozen=True)
class Length:
    """A length of training: `5000 steps`, `1 epoch`."""

    count: int
    unit: Literal["steps", "epochs"]

    @classmethod
    def parse(cls, text: str) -> Length:
        """Raises ValueError when `text` is not `<whole number> steps` or `<whole number> epochs`."""
        match = _LENGTH.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"must be a length such as '500 steps' or '1 epoch', not '{text}'")
        return cls(int(match[1]), "steps" if match[2].startswith("step") else "epochs")

    def steps(self, epoch: int) -> int:
        """The length in optimizer steps. epoch: steps in an epoch."""
        return self.count * (epoch if self.unit == "epochs" else 1)

    def __str__(self) -> str:
        return f"{self.count} {self.unit[:-1] if self.count == 1 else self.unit}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls.parse, core_schema.str_schema(strict=True), serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_LENGTH.pattern}$", "examples": ["200 epochs", "5000 steps"]}
