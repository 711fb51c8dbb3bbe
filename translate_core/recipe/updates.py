"""The updates of a recipe: those of the method, with what `updates:` changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import PositiveFloat, PositiveInt

from translate_core.components.signature import Option
from translate_core.contracts.update import Update
from translate_core.errors import did_you_mean
from translate_core.recipe.reader import RecipeReader
from translate_core.recipe.resolved import ResolvedUpdate

UPDATE_OPTIONS: Mapping[str, Option] = {
    "every": Option("every", PositiveInt, 1, required=False, nested=None, group=None),
    "clip": Option("clip", PositiveFloat | None, None, required=False, nested=None, group=None),
}
"""The keys of an update: in which steps it takes place, and the largest norm of its gradient."""

MEANINGS: Mapping[str, str] = {
    "every": "the update takes place in every n-th step; by default as the method has it",
    "clip": "the largest norm of the gradient over all parameters of the update; the norm is logged",
}


def resolve_updates(
    reader: RecipeReader, updates: tuple[Update, ...]
) -> tuple[tuple[ResolvedUpdate, ...], dict[str, Any]]:
    """The updates in their order, and their part of the record by key of the recipe."""
    blocks = reader.named_blocks("updates")
    names = [update.name for update in updates]
    for name in blocks:
        if name not in names:
            reader.fault(
                f"updates.{name}",
                f"the method has no update '{name}'{did_you_mean(name, names)} It has: {', '.join(names)}",
            )
    resolved = []
    record: dict[str, Any] = {}
    for update in updates:
        given = blocks.get(update.name, {})
        options, values = reader.blocks.options(UPDATE_OPTIONS, given, f"updates.{update.name}", "an update")
        if given:
            record[update.name] = {key: values[key] for key in given if key in values}
        every = options.get("every", update.every) if "every" in given else update.every
        resolved.append(ResolvedUpdate(replace(update, every=every), options.get("clip")))
    return tuple(resolved), {"updates": record} if record else {}
