"""Blocks validated: a component and its options, from plain data, by the component's signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from translate_core.components.registry import RESERVED, Registration, Registry, kind_of_contract
from translate_core.components.signature import Option, describe, options_of_group
from translate_core.errors import Fault, FaultsError, did_you_mean
from translate_core.runtime.yaml12 import show


@dataclass(frozen=True)
class Block:
    """A validated block: a component and its options.

    options: as the constructor takes them. record: as a recipe has them, `type` first, every default filled in.
    """

    registration: Registration
    options: Mapping[str, Any]
    record: Mapping[str, Any]

    def __call__(self, **given: Any) -> Any:
        """Builds the component. given: the arguments that the engine supplies."""
        return self.registration.component(**given, **self.options)


def resolve_block(registry: Registry, kind: str, value: Mapping[str, Any]) -> Block:
    """One component's block by itself, outside any recipe. Raises FaultsError with every fault."""
    reader = BlockReader(registry)
    block = reader.block(kind, value, kind)
    if block is None:
        raise FaultsError(f"{kind} {show(value)}", reader.faults)
    return block


def faults_of_options(registry: Registry, registration: Registration, options: Mapping[str, Any]) -> list[Fault]:
    """The faults of some of a component's options; required options may be missing. Paths begin with the option."""
    reader = BlockReader(registry, partial=True)
    reader.options(registration.options, options, "", registration.name)
    return reader.faults


@dataclass
class BlockReader:
    """Validates plain data by signatures and collects the faults.

    partial: whether required options may be missing; then nothing is built from what lacks one.
    absent: the end of a message about an unknown component, such as why it may be missing.
    """

    registry: Registry
    faults: list[Fault] = field(default_factory=list)
    partial: bool = False
    absent: str = ""

    def fault(self, path: str, message: str) -> None:
        """Adds one fault."""
        self.faults.append(Fault(path, message))

    def block(
        self, kind: str, value: object, path: str, *, sources: Mapping[str, str] | None = None, hint: str = ""
    ) -> Block | None:
        """The block of a component of that kind; None where it has faults.

        path: the dotted path of the block. sources: for keys that another block supplies, the path of that block.
        hint: the end of the message about a block without `type`.
        """
        if not isinstance(value, Mapping):
            self.fault(path, self.not_a_block(kind, value))
            return None
        name = value.get("type")
        if name is None:
            self.fault(path, f"has no `type`: which {kind}? {self.choices(kind)}{hint}")
            return None
        at = _join((sources or {}).get("type", path), "type")
        if not isinstance(name, str):
            self.fault(at, f"must be the name of a {kind}, not {show(name)}. {self.choices(kind)}")
            return None
        registration = self.registry.find(kind, name)
        if registration is None:
            self.fault(at, self.registry.unknown(kind, name) + self.absent)
            return None
        engine_keys = RESERVED[kind]
        rest = {key: item for key, item in value.items() if key not in engine_keys}
        before = len(self.faults)
        options, record = self.options(
            registration.options, rest, path, name, also=engine_keys[1:], sources=sources or {}
        )
        complete = len(self.faults) == before and options.keys() == registration.options.keys()
        return Block(registration, options, {"type": name, **record}) if complete else None

    def not_a_block(self, kind: str, value: object) -> str:
        """The message for a value where a block of that kind must stand."""
        if isinstance(value, str) and self.registry.find(kind, value) is not None:
            return f"must be a block: write {{type: {value}}}"
        return f"must be a block with a `type`, not {show(value)}. {self.choices(kind)}"

    def choices(self, kind: str) -> str:
        """A sentence with every component of that kind."""
        return f"There are: {', '.join(self.registry.names(kind)) or 'none'}"

    def options(
        self,
        options: Mapping[str, Option],
        value: Mapping[str, Any],
        path: str,
        owner: str,
        *,
        also: Sequence[str] = (),
        sources: Mapping[str, str] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arguments for a constructor, and the record of them with every default.

        owner: what has these options, for messages. also: keys that the message about an unknown option lists besides.
        """
        known = [*options, *also]
        at = {key: _join((sources or {}).get(key, path), key) for key in (*value, *options)}
        for key in value:
            if key not in options:
                takes = f"It takes: {', '.join(known)}" if known else "It takes none"
                self.fault(at[key], f"{owner} has no option '{key}'{did_you_mean(key, known)} {takes}")
        built: dict[str, Any] = {}
        record: dict[str, Any] = {}
        for key, option in options.items():
            if key in value:
                self._given_option(option, value[key], at[key], built, record)
            elif not option.required:
                built[key], recorded = self._default(option, at[key])
                record.update(recorded)
            elif not self.partial:
                self.fault(at[key], f"is missing: {owner} needs it ({describe(option.annotation)})")
        return built, record

    def group(self, group: type, value: object, path: str) -> tuple[Any, dict[str, Any]] | None:
        """A dataclass of options and its record; None where it has faults."""
        options = options_of_group(group)
        if not isinstance(value, Mapping):
            self.fault(path, f"must be a block, not {show(value)}. It takes: {', '.join(options)}")
            return None
        before = len(self.faults)
        built, record = self.options(options, value, path, path.rpartition(".")[2])
        if len(self.faults) > before or built.keys() != options.keys():
            return None
        try:
            return group(**built), record
        except ValueError as error:
            self.fault(path, str(error))
            return None

    def value(self, option: Option, value: object, path: str) -> Any:
        """The value as the annotation of the option has it; None where it has a fault."""
        try:
            return option.validate(value)
        except ValueError as error:
            self.fault(path, str(error))
            return None

    def _given_option(
        self, option: Option, value: object, path: str, built: dict[str, Any], record: dict[str, Any]
    ) -> None:
        if value is None and option.optional:
            built[option.name] = record[option.name] = None
        elif option.nested is not None:
            block = self.block(kind_of_contract(option.nested), value, path)
            if block is not None:
                built[option.name], record[option.name] = block, block.record
        elif option.group is not None:
            group = self.group(option.group, value, path)
            if group is not None:
                built[option.name], record[option.name] = group
        else:
            before = len(self.faults)
            checked = self.value(option, value, path)
            if len(self.faults) == before:
                built[option.name], record[option.name] = checked, option.dump(checked)

    def _default(self, option: Option, path: str) -> tuple[Any, dict[str, Any]]:
        """A default as the constructor takes it, and its entry in the record, if a recipe can express it."""
        default = option.default
        if default is None:
            return None, {option.name: None}
        if option.nested is not None:
            registration = self.registry.find_component(kind_of_contract(option.nested), default)
            block = self.block(registration.kind, {"type": registration.name}, path) if registration else None
            return (block, {option.name: block.record}) if block else (default, {})
        if option.group is not None:
            record: dict[str, Any] = {}
            for item in options_of_group(option.group).values():
                held = replace(item, default=getattr(default, item.name))
                record.update(self._default(held, f"{path}.{item.name}")[1])
            return default, {option.name: record}
        return default, {option.name: option.dump(default)}


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
