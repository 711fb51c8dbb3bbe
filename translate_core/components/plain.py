"""Python values as the plain data that a YAML file would give."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from translate_core.contracts.length import Length
from translate_core.errors import Fault


def plain(value: object, path: str, faults: list[Fault]) -> Any:
    """A copy of a value in mappings with text keys, lists, text, numbers, booleans and None.

    Tuples become lists, paths and lengths text. path: dotted path of the value, for the faults of values that have no
    such form.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Length):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{path}.{index}", faults) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        return plain_mapping(value, path, faults)
    faults.append(
        Fault(
            path,
            f"has the type {type(value).__name__}; a recipe holds mappings, lists, text, numbers, booleans and None",
        )
    )
    return None


def plain_mapping(data: Mapping[Any, Any], path: str, faults: list[Fault]) -> dict[str, Any]:
    """A copy of a mapping as `plain` makes it. path: its dotted path, empty for a whole recipe."""
    copied = {}
    for key, value in data.items():
        place = f"{path}.{key}" if path else str(key)
        if isinstance(key, str):
            copied[key] = plain(value, place, faults)
        else:
            faults.append(Fault(place, f"is a key of type {type(key).__name__}; keys are text"))
    return copied
