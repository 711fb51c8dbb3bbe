"""The networks of a recipe: a block for each kind, and changes to single networks under `networks:`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from translate_core.components.blocks import Block
from translate_core.contracts.role import Role
from translate_core.errors import did_you_mean
from translate_core.recipe.reader import RecipeReader
from translate_core.recipe.resolved import ResolvedNetwork
from translate_core.runtime.yaml12 import show

Blocks = Mapping[str, Mapping[str, Any]]


def resolve_networks(reader: RecipeReader, roles: Sequence[Role]) -> tuple[dict[str, ResolvedNetwork], dict[str, Any]]:
    """The networks by role, and their part of the record by key of the recipe."""
    overrides = reader.named_blocks("networks")
    _check_names(reader, overrides, [role.name for role in roles])
    shared = {kind: _shared_block(reader, kind, overrides) for kind in dict.fromkeys(role.kind for role in roles)}
    networks: dict[str, ResolvedNetwork] = {}
    record: dict[str, Any] = {}
    for role in roles:
        value = _value(role, shared[role.kind], overrides.get(role.name))
        if value is None:
            if overrides:
                reader.fault(f"networks.{role.name}", f"is missing: without a block `{role.kind}`, each needs its own")
            continue
        network = _network(reader, role, value)
        if network is None:
            continue
        networks[role.name] = network
        if role.name in overrides:
            record.setdefault("networks", {})[role.name] = _record(network)
        else:
            record[role.kind] = _record(network)
    for kind, block in shared.items():
        if kind not in record and block is not None:
            record |= _record_of_unused(reader, kind, block)
    return networks, record


def _check_names(reader: RecipeReader, overrides: Blocks, names: Sequence[str]) -> None:
    for name in overrides:
        if name not in names:
            reader.fault(
                f"networks.{name}",
                f"the method has no network '{name}'{did_you_mean(name, names)} It has: {', '.join(names)}",
            )


def _shared_block(reader: RecipeReader, kind: str, overrides: Blocks) -> Mapping[str, Any] | None:
    """The block for all networks of a kind. It may be missing if each network has its own under `networks`."""
    value = reader.data.get(kind)
    if isinstance(value, Mapping):
        return value
    if value is not None:
        reader.fault(kind, reader.blocks.not_a_block(kind, value))
    elif not any("type" in block for block in overrides.values()):
        reader.missing(kind, kind)
    return None


@dataclass(frozen=True)
class _Value:
    """The block of one network, not yet validated.

    path: the block that describes the network. sources: for keys that come from the shared block, the path of that.
    """

    block: Mapping[str, Any]
    path: str
    sources: Mapping[str, str]

    def path_of(self, key: str) -> str:
        """The path of one of its keys."""
        return f"{self.sources.get(key, self.path)}.{key}"


def _value(role: Role, shared: Mapping[str, Any] | None, override: Mapping[str, Any] | None) -> _Value | None:
    """The block of a network: the shared one, its own, or its own merged into the shared one; None if it has none."""
    if override is None:
        return _Value(shared, role.kind, {}) if shared is not None else None
    path = f"networks.{role.name}"
    if "type" in override or shared is None:
        return _Value(override, path, {})
    return _Value({**shared, **override}, path, {key: role.kind for key in shared if key not in override})


def _network(reader: RecipeReader, role: Role, value: _Value) -> ResolvedNetwork | None:
    block = reader.block(role.kind, value.block, value.path, value.sources)
    init = _init(reader, value)
    init_from = value.block.get("init_from")
    if init_from is not None and not isinstance(init_from, str):
        reader.fault(value.path_of("init_from"), f"must be the path of a file of weights, not {show(init_from)}")
    return ResolvedNetwork(role, block, init, init_from, value.path) if block is not None else None


def _init(reader: RecipeReader, value: _Value) -> Block | None:
    path = value.path_of("init")
    if "init" in value.block:
        return reader.block("init", value.block["init"], path)
    default = reader.registry.default("init")
    return reader.block("init", {"type": default.name}, path) if default is not None else None


def _record(network: ResolvedNetwork) -> dict[str, Any]:
    record = dict(network.block.record)
    if network.init is not None:
        record["init"] = dict(network.init.record)
    if network.init_from is not None:
        record["init_from"] = network.init_from
    return record


def _record_of_unused(reader: RecipeReader, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a shared block that every network of its kind overrides: it is validated and kept."""
    block = reader.block(kind, value, kind)
    if block is None:
        return {}
    return {kind: {**block.record, **{key: value[key] for key in ("init", "init_from") if key in value}}}
