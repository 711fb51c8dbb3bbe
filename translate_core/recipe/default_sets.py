"""Metrics and observers: named blocks in addition to a default set, which plugins register."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import PositiveInt

from translate_core.components.blocks import Block
from translate_core.components.signature import Option
from translate_core.recipe.reader import RecipeReader
from translate_core.recipe.resolved import ResolvedMetric

PAIRS = Option("pairs", dict[str, str] | None, None, required=False, nested=None, group=None)
IMAGES = Option("images", PositiveInt | None, None, required=False, nested=None, group=None)
REFERENCES = Option("references", Literal["test", "train"], "test", required=False, nested=None, group=None)
"""The engine's keys in the block of a metric."""


def resolve_metrics(reader: RecipeReader) -> tuple[dict[str, ResolvedMetric], dict[str, Any]]:
    """The metrics by name, and their part of the record by key of the recipe.

    The record leaves out the default set: listed in a recipe, a metric is an error where the data have no target.
    """
    metrics: dict[str, ResolvedMetric] = {}
    explicit: dict[str, Any] = {}
    for name, (value, default) in _with_defaults(reader, "metrics", "metric").items():
        path = f"metrics.{name}"
        block = reader.block("metric", value, path)
        keys = {
            option.name: reader.blocks.value(option, value.get(option.name, option.default), f"{path}.{option.name}")
            for option in (PAIRS, IMAGES, REFERENCES)
        }
        if block is None:
            continue
        metrics[name] = ResolvedMetric(block, **keys, default=default)
        if "references" in value and not metrics[name].over_sets:
            reader.blocks.fault(f"{path}.references", f"{value['type']} compares pairs of images; set its `pairs`")
        if "references" in value and keys["pairs"]:
            reader.blocks.fault(f"{path}.references", "is not used where `pairs` names the references; remove one")
        if not default:
            changed = {
                option.name: keys[option.name]
                for option in (PAIRS, IMAGES, REFERENCES)
                if keys[option.name] != option.default
            }
            explicit[name] = {**block.record, **changed}
    switched_off = {name: None for name in reader.names_in("metrics") if reader.data["metrics"][name] is None}
    record = {**explicit, **switched_off}
    return metrics, {"metrics": record} if record else {}


def resolve_observers(reader: RecipeReader) -> tuple[dict[str, Block], dict[str, Any]]:
    """The observers by name, and the record of them: those of the default set that are switched off are null."""
    observers: dict[str, Block] = {}
    for name, (value, _) in _with_defaults(reader, "observers", "observer").items():
        block = reader.block("observer", value, f"observers.{name}")
        if block is not None:
            observers[name] = block
    record: dict[str, Any] = {name: block.record for name, block in observers.items()}
    for item in reader.registry.defaults("observer"):
        record.setdefault(item.name, None)
    return observers, record


def _with_defaults(reader: RecipeReader, key: str, kind: str) -> dict[str, tuple[Mapping[str, Any], bool]]:
    """Name -> (block, whether it is of the default set). A name in the recipe replaces that of the default set."""
    named: dict[str, tuple[Mapping[str, Any], bool]] = {
        item.name: ({"type": item.name}, True) for item in reader.registry.defaults(kind)
    }
    for name in reader.names_in(key):
        named.pop(name, None)
    named.update({name: (block, False) for name, block in reader.named_blocks(key).items()})
    return named
