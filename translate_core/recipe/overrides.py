"""Recipe files and `--set` overrides, read as plain data.

Nothing here imports torch: a fault of the YAML is reported before that is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from translate_core.errors import Fault, RecipeError, UserError
from translate_core.runtime import yaml12
from translate_core.runtime.yaml12 import show


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted path -> value; an empty mapping stays a value."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{path}."))
        else:
            flat[path] = value
    return flat


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The data of a recipe file with `KEY=VALUE` overrides applied, not yet validated.

    Raises UserError for YAML that cannot be read, RecipeError for overrides that do not fit.
    """
    data = yaml12.read(path)
    if not isinstance(data, dict):
        found = "is empty" if data is None else f"holds {show(data)}"
        raise UserError(f"recipe {path} {found}: a recipe is a mapping of blocks such as `method:`, `data:`, `losses:`")
    faults: list[Fault] = []
    for override in overrides:
        try:
            apply_override(data, *parse_override(override))
        except UserError as error:
            faults.append(Fault("--set", str(error)))
    if faults:
        raise RecipeError(f"recipe {path}", faults)
    return data


def is_ablation(path: Path) -> bool:
    """Whether a recipe file varies another recipe. Raises UserError for a file that cannot be read."""
    data = yaml12.read(path)
    return isinstance(data, dict) and ("base" in data or "vary" in data)


def parse_override(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` as a dotted key and YAML data."""
    key, equals, value = text.partition("=")
    if not equals or not all(key.strip().split(".")):
        raise UserError(f"'{text}' must be KEY=VALUE, such as training.batch_size=4")
    return key.strip(), yaml12.parse(value, f"the value of {key.strip()}")


def apply_override(data: dict[str, Any], key: str, value: Any) -> None:
    """Sets one dotted key in place; blocks on the way are made where they are missing. A mapping replaces a block."""
    *parents, last = key.split(".")
    block = data
    for depth, parent in enumerate(parents):
        if block.get(parent) is None:
            block[parent] = {}
        inner = block[parent]
        if isinstance(inner, list) and depth == len(parents) - 1 and last.isdigit() and int(last) < len(inner):
            inner[int(last)] = value
            return
        if not isinstance(inner, dict):
            raise UserError(
                f"'{key}' reaches into {'.'.join(parents[: depth + 1])}, which is {show(inner)} and no block"
            )
        block = inner
    block[last] = value
