"""Optimizers and schedules: one block for all sides, or one for each side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from translate_core.components.blocks import Block
from translate_core.errors import did_you_mean
from translate_core.recipe.reader import RecipeReader


def resolve_per_side(
    reader: RecipeReader, key: str, names: Sequence[str] | None, *, required: bool
) -> tuple[dict[str, Block], dict[str, Any]]:
    """The blocks by side, and their part of the record by key of the recipe.

    key: `optimizer` or `schedule`, also the kind of component. names: of the sides, None if the method is not known.
    required: whether the recipe must have the block even if a plugin registers a default.
    """
    value = reader.data.get(key)
    if value is None:
        default = reader.registry.default(key)
        if required or default is None:
            reader.missing(key, key)
            return {}, {}
        value = {"type": default.name}
    if isinstance(value, Mapping) and "type" not in value:
        if names is None:
            return {}, {}  # keys may be sides or options: only the method decides
        if any(name in names for name in value):
            return _resolve_each(reader, key, names, value)
    block = reader.block(key, value, key)
    return (dict.fromkeys(names or (), block), {key: block.record}) if block is not None else ({}, {})


def _resolve_each(
    reader: RecipeReader, key: str, names: Sequence[str], value: Mapping[str, Any]
) -> tuple[dict[str, Block], dict[str, Any]]:
    for name in value:
        if name not in names:
            reader.fault(
                f"{key}.{name}",
                f"the method has no side '{name}'{did_you_mean(name, names)} It has: {', '.join(names)}",
            )
    blocks: dict[str, Block] = {}
    for name in names:
        path = f"{key}.{name}"
        if name not in value:
            reader.fault(path, f"is missing: where one side has its own {key}, each needs one")
            continue
        block = reader.block(key, value[name], path)
        if block is not None:
            blocks[name] = block
    return blocks, {key: {name: block.record for name, block in blocks.items()}}
