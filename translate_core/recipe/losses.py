"""The losses of a recipe: named blocks, each with a weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import PositiveInt

from translate_core.components.blocks import Block
from translate_core.components.signature import Option
from translate_core.components.weight import DEFAULT_WEIGHT, read_weight, weight_data
from translate_core.contracts.loss import Loss
from translate_core.recipe.reader import RecipeReader
from translate_core.recipe.resolved import ResolvedLoss

EVERY = Option("every", PositiveInt, 1, required=False, nested=None, group=None)
"""The engine's key of a loss that is not evaluated each time."""


def resolve_losses(reader: RecipeReader, sides: Sequence[str] | None) -> tuple[dict[str, ResolvedLoss], dict[str, Any]]:
    """The losses by name, and the record of them. Losses of weight 0 are only in the record.

    sides: those of the method, None if it is not known.
    """
    losses: dict[str, ResolvedLoss] = {}
    record: dict[str, Any] = {}
    before = len(reader.faults)
    if not reader.data.get("losses"):
        reader.fault("losses", f"is missing or empty: a run needs at least one loss. {reader.blocks.choices('loss')}")
    for name, value in reader.named_blocks("losses").items():
        path = f"losses.{name}"
        if "/" in name or "." in name:
            reader.fault(
                "losses", f"the name '{name}' must not contain '/' or '.', which separate names in logs and keys"
            )
        block = reader.block("loss", value, path)
        registration = block.registration if block is not None else None
        weight = read_weight(reader.blocks, value.get("weight", DEFAULT_WEIGHT), f"{path}.weight", registration)
        every = reader.blocks.value(EVERY, value.get("every", 1), f"{path}.every")
        if block is None or weight is None or every is None:
            continue
        lazy = {"every": every} if every > 1 else {}
        record[name] = {"type": block.record["type"], "weight": weight_data(weight), **lazy, **block.record}
        if weight != 0:
            losses[name] = ResolvedLoss(block, weight, every)
            _check_sides(reader, path, block, sides)
    if not losses and len(reader.faults) == before:
        reader.fault("losses", "are all switched off (weight 0 or null): a run needs at least one loss")
    return losses, record


def _check_sides(reader: RecipeReader, path: str, block: Block, sides: Sequence[str] | None) -> None:
    """A fault for a loss that is defined for a side which the method lacks: that part would never be computed."""
    loss: type[Loss] = block.registration.component  # type: ignore[assignment]
    lacking = [side for side in loss.functions if sides is not None and side not in sides]
    if lacking and sides is not None:
        reader.fault(
            f"{path}.type",
            f"{block.registration.name} is defined for the side {' and '.join(lacking)}, which the method lacks. "
            f"It has: {', '.join(sides)}",
        )
