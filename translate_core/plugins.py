"""Entry points and a recipe's own list -> one registry. No global manager: each run loads its own."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from translate_core import hookspecs
from translate_core.errors import Fault, UserError, did_you_mean
from translate_core.registry import Owner, RegistrationError, Registry


class PluginError(UserError):
    """A plugin that cannot be loaded."""


@dataclass(frozen=True)
class LoadedPlugins:
    """What was loaded for a run.

    versions: plugin -> version. files: the `.py` plugins of the recipe, by the name they stand under there.
    """

    registry: Registry
    versions: dict[str, str]
    files: dict[str, Path]


def load_plugins(
    listed: Sequence[str] = (), folder: Path | None = None, faults: list[Fault] | None = None
) -> LoadedPlugins:
    """Loads every plugin of the entry-point group, then those of a recipe.

    listed: importable modules, or `.py` files relative to `folder`.
    faults: where to put what is wrong with the listed ones; without it the first is raised as PluginError.
    Installed plugins that cannot be loaded always raise: a recipe cannot mend them.
    """
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    loaded = LoadedPlugins(Registry(), {}, {})
    # Ours first, so that a clash names the newcomer; the others in a fixed order.
    points = sorted(
        importlib.metadata.entry_points(group=hookspecs.GROUP), key=lambda point: (point.name != "builtin", point.name)
    )
    for point in points:
        distribution = point.dist
        name = distribution.name if distribution is not None else point.name
        version = distribution.version if distribution is not None else ""
        owner = Owner(name, version)
        try:
            plugin = point.load()
        except Exception as error:
            raise PluginError(_import_failed(f"installed plugin {owner}", point.value, error)) from error
        _register(manager, plugin, owner, loaded)
    for index, entry in enumerate(listed):
        try:
            _load_listed(manager, entry, folder or Path(), loaded)
        except UserError as error:
            if faults is None:
                raise
            faults.append(Fault(f"plugins.{index}", str(error)))
    return loaded


def _load_listed(manager: pluggy.PluginManager, entry: str, folder: Path, loaded: LoadedPlugins) -> None:
    if entry.endswith(".py"):
        path = (folder / entry).resolve()
        if not path.is_file():
            beside = sorted(file.name for file in path.parent.glob("*.py")) if path.parent.is_dir() else []
            raise PluginError(f"there is no file {folder / entry}{did_you_mean(path.name, beside)}")
        if path.name in {other.name for other in loaded.files.values() if other != path}:
            raise PluginError(f"two plugin files are called {path.name}; a run keeps copies of both: rename one")
        owner = Owner(entry, hash_of(path)[:12])
        plugin = _import_file(path, owner)
        loaded.files[entry] = path
    else:
        try:
            plugin = importlib.import_module(entry)
        except Exception as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name == entry.split(".")[0]
            if missing:
                raise PluginError(
                    f"there is no module '{entry}' to import; install the package that holds it, "
                    f"or name a .py file beside the recipe"
                ) from None
            raise PluginError(_import_failed(f"plugin {entry}", entry, error)) from error
        owner = Owner(entry, _version_of(entry))
    if manager.is_registered(plugin):
        raise PluginError(f"plugin '{entry}' is loaded already; every plugin is listed once, an installed one never")
    _register(manager, plugin, owner, loaded)


def _import_file(path: Path, owner: Owner) -> ModuleType:
    # The hash is part of the name, so that a changed file is a new module, and one that has not changed still pickles.
    name = f"translate_recipe_plugin_{path.stem}_{owner.version}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise PluginError(_import_failed(f"plugin {owner.name}", str(path), error)) from error
    return module


def _import_failed(who: str, what: str, error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" ({Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno})" if trace is not None else ""
    return f"{who} cannot be imported from {what}: {type(error).__name__}: {error}{where}"


def _register(manager: pluggy.PluginManager, plugin: Any, owner: Owner, loaded: LoadedPlugins) -> None:
    try:
        manager.register(plugin, name=owner.name)
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(f"plugin {owner}: {error}") from error
    implementations = [item for item in manager.hook.register.get_hookimpls() if item.plugin is plugin]
    if not implementations:
        undecorated = callable(getattr(plugin, "register", None))
        raise PluginError(
            f"plugin {owner} "
            + (
                "has a function `register` that lacks the decorator: put `@translate_core.hookimpl` above it"
                if undecorated
                else "registers nothing: define `register(registry)` in it, decorated with `@translate_core.hookimpl`"
            )
        )
    loaded.versions[owner.name] = owner.version
    try:
        registrar = loaded.registry.for_owner(owner)
        implementations[0].function(*(registrar for _ in implementations[0].argnames))
    except RegistrationError:
        raise
    except Exception as error:
        raise PluginError(
            _import_failed(f"plugin {owner} failed in its `register`, so it", owner.name, error)
        ) from error


def _version_of(module: str) -> str:
    package = module.split(".")[0]
    names = importlib.metadata.packages_distributions().get(package, [])
    return importlib.metadata.version(names[0]) if names else ""


def hash_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
