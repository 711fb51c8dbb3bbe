"""Components by name, from Python."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from translate_core.components.blocks import BlockReader
from translate_core.components.kinds import KIND_NAMES, check_kind
from translate_core.components.plain import plain_mapping
from translate_core.components.plugins import load_plugins
from translate_core.errors import Fault, FaultsError, in_order


def create(kind: str, name: str, /, *, plugins: Sequence[str] = (), **options: Any) -> Any:
    """Builds a component by its kind and name.

    `create("generator", "resnet", in_channels=3, out_channels=3, blocks=6)`. The weights of a network are those that
    its constructor draws; `create("init", "normal", network=net)` draws them as a recipe's `init` does.

    Args:
        kind: such as `generator`, `loss` or `optimizer`.
        name: as `translate-plugins list` and `list_components` have it.
        plugins: plugins that are not installed: importable modules, or `.py` files relative to the current folder.
        options: the arguments that the engine supplies in a run (`in_channels`, `params` …), all of them, and options
            as in a recipe: plain data, a nested component as a mapping with `type`.

    Raises:
        UserError: the options have faults, all of which are listed; there is no such kind or component; or a plugin
            cannot be loaded.
    """
    check_kind(kind)
    registry = load_plugins(plugins, Path()).registry
    registration = registry.get(kind, name)
    supplied = registration.supplied
    reader = BlockReader(registry)
    reader.faults += [
        Fault(key, f"is missing: {name} needs it; in a run the engine supplies it")
        for key in supplied
        if key not in options
    ]
    data = plain_mapping({key: value for key, value in options.items() if key not in supplied}, "", reader.faults)
    built, _ = reader.options(registration.options, data, "", name, also=supplied)
    if reader.faults:
        # A value that is not plain data has a second fault, about the null that stands for it.
        first = {fault.path: fault for fault in reversed(reader.faults)}
        raise FaultsError(f"{kind} {name}", in_order(first.values(), options))
    return registration.component(**built, **{key: options[key] for key in supplied})


@overload
def list_components(kind: None = None, pattern: str = "*", *, plugins: Sequence[str] = ()) -> dict[str, list[str]]: ...
@overload
def list_components(kind: str, pattern: str = "*", *, plugins: Sequence[str] = ()) -> list[str]: ...
def list_components(
    kind: str | None = None, pattern: str = "*", *, plugins: Sequence[str] = ()
) -> list[str] | dict[str, list[str]]:
    """The names of all components of a kind, sorted; without a kind, kind -> names for every kind that has any.

    Args:
        kind: such as `generator`.
        pattern: which names, with `*` and `?`: `list_components("generator", "resnet*")`.
        plugins: plugins that are not installed: importable modules, or `.py` files relative to the current folder.

    Raises:
        UserError: there is no such kind, or a plugin cannot be loaded.
    """
    if kind is not None:
        check_kind(kind)
    registry = load_plugins(plugins, Path()).registry
    kinds = KIND_NAMES if kind is None else (kind,)
    names = {item: fnmatch.filter(registry.names(item), pattern) for item in kinds}
    return {item: found for item, found in names.items() if found} if kind is None else names[kind]
