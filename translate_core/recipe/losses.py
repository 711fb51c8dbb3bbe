"""The losses of a recipe: named blocks, each with a weight."""

from __future__ import annotations

from typing import Any

from translate_core.components.weight import DEFAULT_WEIGHT, read_weight, weight_data
from translate_core.recipe.reader import RecipeReader
from translate_core.recipe.resolved import ResolvedLoss


def resolve_losses(reader: RecipeReader) -> tuple[dict[str, ResolvedLoss], dict[str, Any]]:
    """The losses by name, and the record of them. Losses of weight 0 are only in the record."""
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
        if block is None or weight is None:
            continue
        record[name] = {"type": block.record["type"], "weight": weight_data(weight), **block.record}
        if weight != 0:
            losses[name] = ResolvedLoss(block, weight)
    if not losses and len(reader.faults) == before:
        reader.fault("losses", "are all switched off (weight 0 or null): a run needs at least one loss")
    return losses, record
