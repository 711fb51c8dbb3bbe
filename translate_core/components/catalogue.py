"""Descriptions of registered components in words, for listings, pages and schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from translate_core.components.docstrings import documentation_of
from translate_core.components.registry import RESERVED, Registration, Registry, kind_of_contract
from translate_core.components.signature import Option, describe, options_of_group
from translate_core.components.weight import WEIGHT_TEXT
from translate_core.runtime import yaml12


@dataclass(frozen=True)
class OptionText:
    """One key of a component's block.

    path: dotted, below the block (`transform.crop`). words: type and range. default: as a recipe has it, None for a
    required option. meaning: its entry in the docstring, empty if it has none.
    """

    path: str
    words: str
    default: str | None
    meaning: str


@dataclass(frozen=True)
class EngineKey:
    """A key of a component's block that the engine reads itself. words: type and range."""

    words: str
    default: str
    meaning: str


ENGINE_KEYS: Mapping[str, EngineKey] = {
    "weight": EngineKey(
        WEIGHT_TEXT,
        "1",
        "factor of the loss; 0 switches the loss off; {from: 0, to: 10, steps: 5000} changes linearly over "
        "the first 5000 steps and then stays",
    ),
    "every": EngineKey(
        "a whole number greater than 0",
        "1",
        "the loss is evaluated in every n-th run of its update, and multiplied by n (lazy regularisation)",
    ),
    "pairs": EngineKey(
        "a mapping from text to text",
        "null",
        "tensor -> its reference; by default each direction's output -> its target or, for a metric over sets, the "
        "images of the target domain",
    ),
    "images": EngineKey(
        "a whole number greater than 0, or null",
        "null",
        "evaluate only so many test images of each source, the first ones; null for all",
    ),
    "references": EngineKey(
        "one of test, train",
        "test",
        "which images of the target domain a metric over sets compares with: the test images, or those of one "
        "training epoch, cropped and flipped as in training",
    ),
    "init": EngineKey(
        "a block with a `type`: an init",
        "null",
        "initialisation of the weights of a new network",
    ),
    "init_from": EngineKey(
        "the path of a file of weights",
        "null",
        "initial weights: safetensors, or a .pth file of the reference implementation",
    ),
    "optimizer": EngineKey(
        "a mapping of options",
        "null",
        "options of the optimizer that differ from those of its side: {lr: 1.0e-3}",
    ),
    "freeze": EngineKey(
        "true or false, or a length",
        "false",
        "whether the network is not trained; a length: how long not",
    ),
}
"""The engine's keys, by name: all that `RESERVED` lists but `type`."""


def summary_of(registration: Registration) -> str:
    """A component's one line: the first sentence of its docstring."""
    return documentation_of(registration.component).summary


def engine_keys_of(kind: str, registry: Registry) -> dict[str, EngineKey]:
    """The engine's keys in a block of that kind, without `type`."""
    keys = {key: ENGINE_KEYS[key] for key in RESERVED[kind] if key != "type"}
    default = registry.default("init")
    if "init" in keys and default is not None:
        keys["init"] = replace(keys["init"], default=yaml12.inline({"type": default.name}))
    return keys


def option_texts(registration: Registration, registry: Registry) -> list[OptionText]:
    """Every option of a component in the order of its signature, each followed by the options of its group."""
    arguments = documentation_of(registration.component).arguments
    return list(_texts(registration.options, arguments, registry, ""))


def _texts(
    options: Mapping[str, Option], arguments: Mapping[str, str], registry: Registry, prefix: str
) -> Iterator[OptionText]:
    for option in options.values():
        path = f"{prefix}{option.name}"
        default = None if option.required else default_text(option, registry)
        yield OptionText(path, words_of(option, registry), default, arguments.get(option.name, ""))
        if option.group is not None:
            inner = documentation_of(option.group).arguments
            yield from _texts(options_of_group(option.group), inner, registry, f"{path}.")


def words_of(option: Option, registry: Registry) -> str:
    """The type and range of an option in words; for a nested component, the names to choose from."""
    if option.nested is None:
        return describe(option.annotation)
    kind = kind_of_contract(option.nested)
    words = f"a block with a `type`: a {kind} ({', '.join(registry.names(kind))})"
    return f"{words}, or null" if option.optional else words


def default_text(option: Option, registry: Registry) -> str:
    """A default as a recipe would have it."""
    return yaml12.inline(default_data(option, registry))


def default_data(option: Option, registry: Registry) -> Any:
    """A default as plain data: `{type: name}` for a component, "its own" for one that is not registered."""
    default = option.default
    if default is None:
        return None
    if option.nested is not None:
        registration = registry.find_component(kind_of_contract(option.nested), default)
        return {"type": registration.name} if registration is not None else "its own"
    if option.group is not None:
        held = [replace(item, default=getattr(default, item.name)) for item in options_of_group(option.group).values()]
        usual = {item.name: item.default for item in options_of_group(option.group).values() if not item.required}
        changed = [item for item in held if item.name not in usual or item.default != usual[item.name]]
        return {item.name: default_data(item, registry) for item in changed}
    return option.dump(default)


def given_of(registration: Registration) -> dict[str, str]:
    """The arguments that the engine supplies: name -> its entry in the docstring, empty if it has none."""
    arguments = documentation_of(registration.component).arguments
    return {name: arguments.get(name, "") for name in registration.supplied}
