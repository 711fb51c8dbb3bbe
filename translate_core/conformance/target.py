"""The arguments of `translate-plugins check`: the plugin to check, and the options to use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from translate_core.components.blocks import faults_of_options
from translate_core.components.plugins import installed_plugins, load_plugins
from translate_core.components.registry import KINDS, Registration, Registry
from translate_core.errors import FaultsError, UserError, did_you_mean
from translate_core.recipe.overrides import apply_override, parse_override


def registered_by(target: str) -> tuple[Registry, list[Registration]]:
    """Every component of an installed package (by its name or that of a module), of a module, or of a `.py` file.

    Raises UserError when there is no such plugin, it cannot be loaded, or it registers nothing.
    """
    owner = None if target.endswith(".py") else _installed(target)
    registry = load_plugins([] if owner else [target], Path()).registry
    wanted = owner or target
    found = [
        registry.get(kind, name)
        for kind in KINDS
        for name in registry.names(kind)
        if registry.get(kind, name).owner.name == wanted
    ]
    if not found:
        raise UserError(f"plugin {wanted} registers no component: call `registry.<kind>(name, component)` in its hook")
    return registry, found


def is_of(target: str, registration: Registration) -> bool:
    """Whether that plugin registers a component. A recipe names a `.py` file by its place relative to itself."""
    owner = registration.owner.name
    if target.endswith(".py"):
        return owner.endswith(".py") and Path(owner).name == Path(target).name
    return owner == (_installed(target) or target)


def _installed(target: str) -> str | None:
    """The name of the installed plugin whose name, module or package that is; None if there is none."""
    for point in installed_plugins():
        name = point.dist.name if point.dist is not None else point.name
        if target in (point.module, point.module.partition(".")[0]) or _canonical(target) == _canonical(name):
            return name
    return None


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def settings_of(texts: Sequence[str], registry: Registry) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """(kind, name) -> the options that `KIND.NAME.OPTION=VALUE` texts give a component.

    Raises UserError for a text that names no option of a component, FaultsError for options that do not fit.
    """
    settings: dict[tuple[str, str], dict[str, Any]] = {}
    for text in texts:
        key, value = parse_override(text)
        kind, name, option = _split(key, registry, text)
        apply_override(settings.setdefault((kind, name), {}), option, value)
    for (kind, name), options in settings.items():
        faults = faults_of_options(registry, registry.get(kind, name), options)
        if faults:
            raise FaultsError(f"--set {kind}.{name}", faults)
    return settings


def _split(key: str, registry: Registry, text: str) -> tuple[str, str, str]:
    """Kind, name and option of a key; names may contain dots. text: what the user wrote, for messages."""
    kind, _, rest = key.partition(".")
    if kind not in KINDS:
        raise UserError(
            f"--set {text}: it must be KIND.NAME.OPTION=VALUE, and there is no kind '{kind}'"
            f"{did_you_mean(kind, KINDS)} There are: {', '.join(KINDS)}"
        )
    names = [name for name in registry.names(kind) if f"{rest}.".startswith(f"{name}.")]
    if not names:
        raise UserError(f"--set {text}: {registry.unknown(kind, rest.partition('.')[0])}")
    name = max(names, key=len)
    option = rest.removeprefix(name).removeprefix(".")
    if not option:
        raise UserError(f"--set {text}: it must be KIND.NAME.OPTION=VALUE, and names no option")
    return kind, name, option
