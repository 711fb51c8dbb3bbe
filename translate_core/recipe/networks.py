"""The networks of a recipe: a block for each kind, and changes to single networks under `networks:`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from translate_core.components.blocks import Block
from translate_core.components.registry import NETWORK_KINDS, RESERVED
from translate_core.components.signature import Option
from translate_core.contracts.length import Length
from translate_core.contracts.role import Role
from translate_core.errors import did_you_mean
from translate_core.recipe.reader import RecipeReader
from translate_core.recipe.resolved import ResolvedNetwork
from translate_core.runtime.yaml12 import show

Blocks = Mapping[str, Mapping[str, Any]]

FREEZE = Option("freeze", Length | bool, False, required=False, nested=None, group=None)
"""The engine's key of a network that is not trained, or not at first."""


def resolve_networks(reader: RecipeReader, roles: Sequence[Role]) -> tuple[dict[str, ResolvedNetwork], dict[str, Any]]:
    """The networks by role, and their part of the record by key of the recipe."""
    overrides = reader.named_blocks("networks")
    _check_names(reader, overrides, [role.name for role in roles])
    kinds = dict.fromkeys(role.kind for role in roles)
    shared = {
        kind: _shared_block(reader, kind, [role for role in roles if role.kind == kind], overrides) for kind in kinds
    }
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
        if role.name in overrides or shared[role.kind] is None:
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


def _shared_block(
    reader: RecipeReader, kind: str, roles: Sequence[Role], overrides: Blocks
) -> Mapping[str, Any] | None:
    """The block for all networks of a kind. It may be missing if each has its own under `networks`, or a default."""
    value = reader.data.get(kind)
    if isinstance(value, Mapping):
        return value
    if value is not None:
        reader.fault(kind, reader.blocks.not_a_block(kind, value))
    elif not any("type" in overrides.get(role.name, {}) or role.default for role in roles):
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
    path = f"networks.{role.name}"
    if shared is None and role.default:
        return _Value({"type": role.default, **(override or {})}, path, {})
    if override is None:
        return _Value(shared, role.kind, {}) if shared is not None else None
    if "type" in override or shared is None:
        return _Value(override, path, {})
    return _Value({**shared, **override}, path, {key: role.kind for key in shared if key not in override})


def _network(reader: RecipeReader, role: Role, value: _Value) -> ResolvedNetwork | None:
    block = reader.block(role.kind, value.block, value.path, value.sources)
    init = _init(reader, value)
    init_from = value.block.get("init_from")
    if init_from is not None and not isinstance(init_from, str):
        reader.fault(value.path_of("init_from"), f"must be the path of a file of weights, not {show(init_from)}")
    freeze = reader.blocks.value(FREEZE, value.block.get("freeze", False), value.path_of("freeze"))
    if block is None or freeze is None:
        return None
    _check_supplied(reader, role, block, value)
    return ResolvedNetwork(role, block, init, init_from, value.path, freeze=freeze)


def _check_supplied(reader: RecipeReader, role: Role, block: Block, value: _Value) -> None:
    """Faults where a component does not take what the engine and the method supply, or needs more."""
    component, supplied = block.registration, role.supplied()
    for name in component.supplied:
        if name not in supplied:
            reader.fault(
                value.path_of("type"),
                f"{component.name} needs `{name}`, which the method does not supply for {role.name}: "
                f"it is for another method",
            )
    for name in supplied:
        if name not in component.supplied:
            reader.fault(
                value.path_of("type"),
                f"the method supplies `{name}` for {role.name}, which {component.name} does not take: "
                f"choose a {role.kind} that is for this method",
            )


def resolve_own_optimizers(
    reader: RecipeReader,
    networks: Mapping[str, ResolvedNetwork],
    optimizers: Mapping[str, Block],
    record: dict[str, Any],
) -> dict[str, ResolvedNetwork]:
    """The networks with the optimizers that differ from those of their sides; adds these to the record."""
    shared = {kind: value for kind in NETWORK_KINDS if isinstance(value := reader.data.get(kind), Mapping)}
    overrides = reader.named_blocks("networks")
    resolved = {}
    for name, network in networks.items():
        own, path = overrides.get(name, {}), f"networks.{name}"
        if "optimizer" not in own and "type" not in own:
            own, path = shared.get(network.role.kind, {}), network.role.kind
        options = own.get("optimizer")
        side = optimizers.get(network.role.side)
        block = _own_optimizer(reader, options, f"{path}.optimizer", side) if options is not None and side else None
        resolved[name] = replace(network, optimizer=block)
        if block is not None and options is not None:
            entry = record["networks"][name] if name in record.get("networks", {}) else record[network.role.kind]
            entry["optimizer"] = {key: block.record[key] for key in options}
    return resolved


def _own_optimizer(reader: RecipeReader, options: object, path: str, side: Block) -> Block | None:
    name = side.registration.name
    if not isinstance(options, Mapping):
        reader.fault(path, f"must be a mapping of options of {name}, not {show(options)}")
        return None
    if options.get("type", name) != name:
        reader.fault(
            f"{path}.type", f"must be {name}, that of its side: a side has one optimizer, whose options may differ"
        )
        return None
    return reader.block("optimizer", {**side.record, **options}, path)


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
    if network.freeze is not False:
        record["freeze"] = FREEZE.dump(network.freeze)
    return record


def _record_of_unused(reader: RecipeReader, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a shared block that every network of its kind overrides: it is validated and kept."""
    block = reader.block(kind, value, kind)
    if block is None:
        return {}
    kept = {key: value[key] for key in RESERVED[kind][1:] if key in value}
    return {kind: {**block.record, **kept}}
