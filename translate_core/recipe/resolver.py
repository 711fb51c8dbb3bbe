"""A recipe's data resolved: every block validated, or all faults reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from translate_core.components.blocks import Block, BlockReader
from translate_core.components.plugins import LoadedPlugins, load_plugins
from translate_core.components.registry import KINDS, NETWORK_KINDS
from translate_core.components.signature import options_of_group
from translate_core.contracts.dataset import Dataset
from translate_core.contracts.method import Method
from translate_core.contracts.role import sides
from translate_core.contracts.tables import table_faults
from translate_core.contracts.update import updates_of
from translate_core.errors import Fault, RecipeError, did_you_mean, explain, in_order
from translate_core.recipe.default_sets import resolve_metrics, resolve_observers
from translate_core.recipe.file import subject_of
from translate_core.recipe.losses import resolve_losses
from translate_core.recipe.networks import resolve_networks, resolve_own_optimizers
from translate_core.recipe.per_side import resolve_per_side
from translate_core.recipe.reader import RecipeReader
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.recipe.training import Training, operation_keys, resolve_training
from translate_core.recipe.updates import resolve_updates
from translate_core.runtime.yaml12 import show


def resolve(path: Path | None, data: Mapping[str, Any]) -> ResolvedRecipe:
    """Loads the plugins of a recipe and validates every block of it.

    path: the file of the recipe, None for data from Python. Raises RecipeError with every fault.
    """
    faults: list[Fault] = []
    listed = _listed_plugins(data, faults)
    plugins = load_plugins(listed, path.parent if path is not None else Path(), faults)
    absent = "; a plugin that failed to load may register it" if faults else ""
    reader = RecipeReader(data, BlockReader(plugins.registry, faults, absent=absent))
    return _resolved(path, reader, plugins, listed)


def _resolved(path: Path | None, reader: RecipeReader, plugins: LoadedPlugins, listed: list[str]) -> ResolvedRecipe:
    """Every part resolved in turn. listed: the plugins of the recipe, which `plugins` has loaded."""
    method_block = reader.required_block("method", "method")
    method: Method | None = reader.construct("method", method_block) if method_block is not None else None
    data_block = reader.required_block("data", "dataset")
    data: Dataset | None = reader.construct("data", data_block) if data_block is not None else None
    if method is not None and data is not None:
        method = _on(reader, method, data)
    _check_keys(reader, method)
    networks, network_records = resolve_networks(reader, method.roles) if method is not None else ({}, {})
    names = sides(method.roles) if method is not None else None
    losses, loss_records = resolve_losses(reader, names)
    updates, update_record = resolve_updates(reader, updates_of(method.order)) if method is not None else ((), {})
    optimizers, optimizer_record = resolve_per_side(reader, "optimizer", names, required=True)
    networks = resolve_own_optimizers(reader, networks, optimizers, network_records)
    schedules, schedule_record = resolve_per_side(reader, "schedule", names, required=False)
    metrics, metric_record = resolve_metrics(reader)
    observers, observer_records = resolve_observers(reader)
    training = resolve_training(reader)
    if reader.faults:
        raise RecipeError(subject_of(path), in_order(reader.faults, reader.data))
    assert method_block is not None
    assert method is not None
    assert data_block is not None
    assert training is not None
    record = {
        **({"plugins": listed} if listed else {}),
        "method": method_block.record,
        "data": data_block.record,
        **network_records,
        "losses": loss_records,
        **optimizer_record,
        **schedule_record,
        **update_record,
        **metric_record,
        "observers": observer_records,
        "training": training[1],
    }
    return ResolvedRecipe(
        name=path.stem if path is not None else "recipe",
        path=path,
        plugins=plugins,
        method=method,
        data=data_block,
        networks=networks,
        updates=updates,
        losses=losses,
        optimizers=optimizers,
        schedules=schedules,
        metrics=metrics,
        observers=observers,
        training=training[0],
        record=_in_order_of(reader.data, record),
        operation=_operation_keys(data_block),
    )


def _on(reader: RecipeReader, method: Method, data: Dataset) -> Method | None:
    """The method on these data; None, and faults, if it cannot use them or its tables are wrong then."""
    try:
        method.on(data)
    except Exception as error:  # a component may raise anything
        reader.fault("method", explain(error))
        return None
    faults = table_faults(method, NETWORK_KINDS)
    for message in faults:
        reader.fault("method", message)
    return None if faults else method


def _listed_plugins(data: Mapping[str, Any], faults: list[Fault]) -> list[str]:
    listed = data.get("plugins") or []
    if isinstance(listed, list) and all(isinstance(entry, str) for entry in listed):
        return listed
    faults.append(Fault("plugins", f"must be a list of modules and .py files, not {show(listed)}"))
    return []


def _check_keys(reader: RecipeReader, method: Method | None) -> None:
    """Faults of keys at the top of the recipe that do not exist, or not for this method."""
    if method is not None:
        kinds = [role.kind for role in method.roles]
    else:
        kinds = list(NETWORK_KINDS)
    known = [
        *("method", "data"),
        *dict.fromkeys(kinds),
        *("networks", "losses", "optimizer", "schedule", "updates", "training"),
        *("metrics", "observers", "plugins"),
    ]
    similar = [*known, *(f"training.{name}" for name in options_of_group(Training))]
    for key, value in reader.data.items():
        if key in KINDS and KINDS[key].network and key not in kinds:
            if value is not None:
                reader.fault(key, f"the method has no {key}: leave the block out")
        elif key not in known:
            takes = f"It takes: {', '.join(known)}"
            reader.fault(key, f"a recipe has no block '{key}'{did_you_mean(key, similar)} {takes}")


def _in_order_of(data: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with its blocks in the order of the recipe; blocks that the recipe leaves out come last."""
    return {key: record[key] for key in dict.fromkeys([*data, *record]) if key in record}


def _operation_keys(data: Block) -> frozenset[str]:
    """The dotted keys that do not change what is learned."""
    dataset = data.registration.component
    of_data = {f"data.{key}" for key in dataset.operation_keys}  # type: ignore[attr-defined]
    return frozenset({"observers", "metrics"} | of_data | operation_keys())
