"""Loads plugins into a new registry: installed ones by entry points, and those that a recipe lists."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pluggy

from translate_core.components.registry import Owner, RegistrationError, Registry
from translate_core.contracts import hook as hookspecs
from translate_core.contracts.hook import CONTRACT, contract_of
from translate_core.errors import Fault, UserError, described, no_file, raised_at
from translate_core.runtime.files import real_path, sha256_of
from translate_core.runtime.installation import DISTRIBUTION, installation


class PluginError(UserError):
    """A plugin that cannot be loaded."""


def installed_plugins() -> list[importlib.metadata.EntryPoint]:
    """The entry points of installed plugins.

    Packages in the current folder do not count: `python -m` searches it, and it may be that of somebody else's run.
    """
    points = importlib.metadata.entry_points(group=hookspecs.GROUP)
    here = Path.cwd()
    return [point for point in points if point.dist is None or Path(str(point.dist.locate_file(""))).resolve() != here]


@dataclass(frozen=True)
class LoadedPlugins:
    """The plugins of one run.

    versions: plugin -> version. files: entry of the recipe -> path, for each `.py` plugin.
    """

    registry: Registry
    versions: dict[str, str]
    files: dict[str, Path]


def load_plugins(
    listed: Sequence[str] = (), folder: Path | None = None, faults: list[Fault] | None = None
) -> LoadedPlugins:
    """Loads every plugin of the entry-point group, then those of a recipe.

    listed: importable modules, or `.py` files relative to `folder`.
    faults: receives the faults of listed plugins; without it the first one is raised.

    Raises PluginError or RegistrationError for an installed plugin that cannot be loaded, because no recipe can
    correct it.
    """
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    loaded = LoadedPlugins(Registry(), {}, {})
    # The built-ins first, so that a clash is reported as the fault of the other plugin; the others in a fixed order.
    for point in sorted(installed_plugins(), key=lambda point: (point.name != "builtin", point.name)):
        distribution = point.dist
        name = distribution.name if distribution is not None else point.name
        version = distribution.version if distribution is not None else ""
        owner = Owner(name, version)
        try:
            plugin = point.load()
        except _BROKEN as error:
            failed = _import_failed(f"installed plugin {owner} cannot be imported from {point.value}", error)
            raise PluginError(f"{failed}. Repair the package, or uninstall it") from error
        _register(manager, plugin, owner, point.value, loaded)
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
        path = real_path(folder / entry)
        if not path.is_file():
            raise PluginError(no_file(folder / entry))
        if path.name in {other.name for other in loaded.files.values() if other != path}:
            raise PluginError(
                f"two plugin files have the name {path.name}, and a run copies both into one folder: rename one"
            )
        if path in loaded.files.values():
            raise PluginError(_loaded_already(entry))
        owner = Owner(entry, sha256_of(path)[:12])
        plugin = _import_file(path, owner)
        loaded.files[entry] = path
    else:
        try:
            plugin = importlib.import_module(entry)
        except _BROKEN as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name == entry.split(".")[0]
            if missing:
                raise PluginError(
                    f"there is no module '{entry}'; install its package, or name a .py file beside the recipe"
                ) from None
            raise PluginError(_import_failed(f"plugin {entry} cannot be imported", error)) from error
        owner = Owner(entry, _version_of(entry))
    if manager.is_registered(plugin):
        raise PluginError(_loaded_already(entry))
    _register(manager, plugin, owner, entry, loaded)


def _loaded_already(entry: str) -> str:
    return f"plugin '{entry}' is already loaded; list each plugin once, and installed plugins not at all"


class _FromSource(importlib.machinery.SourceFileLoader):
    """Compiles the source, whose hash was checked, and never loads bytecode from a folder that may be a stranger's."""

    def get_code(self, fullname: str) -> CodeType:
        """The code of the source file."""
        return self.source_to_code(self.get_data(self.path), self.path)


_FILE_MODULE = "translate_recipe_plugin_"


def imported_files() -> list[str]:
    """The `.py` plugins that this process has imported."""
    return [str(module.__file__) for name, module in sys.modules.items() if name.startswith(_FILE_MODULE)]


def import_files(paths: Sequence[str]) -> None:
    """Imports `.py` plugins under the names that they have in another process, so that their objects can be unpickled.

    Raises PluginError for a file that cannot be imported.
    """
    for path in map(Path, paths):
        _import_file(path, Owner(path.name, sha256_of(path)[:12]))


def _import_file(path: Path, owner: Owner) -> ModuleType:
    # With the hash in its name a changed file is a new module, and objects of an unchanged file can be unpickled.
    name = f"{_FILE_MODULE}{path.stem}_{owner.version}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except _BROKEN as error:
        del sys.modules[name]
        raise PluginError(_import_failed(f"plugin {owner.name} cannot be imported", error)) from error
    return module


# A script that calls sys.exit() on import must not end the command without a message.
_BROKEN = (Exception, SystemExit)


def _failed(what: str, error: BaseException) -> str:
    return f"{what}: {described(error)}{raised_at(error)}"


def _import_failed(what: str, error: BaseException) -> str:
    failed = _failed(what, error)
    if not _misses_public_name(error):
        return failed
    return (
        f"{failed}. The plugin may have been written for another version of the contract; this installation, "
        f"{installation()}, has version {CONTRACT}"
    )


def _misses_public_name(error: BaseException) -> bool:
    """Whether an import failed because the engine has no such name."""
    if isinstance(error, AttributeError):
        module = getattr(error.obj, "__name__", "") if isinstance(error.obj, ModuleType) else ""
    else:
        module = (error.name or "") if isinstance(error, ImportError) else ""
    return module.partition(".")[0] == "translate_core"


def _check_contract(plugin: Any, owner: Owner) -> None:
    """Raises PluginError for a plugin that was written for another version of the contract."""
    written_for = contract_of(getattr(plugin, "register", None))
    if written_for is None or written_for == CONTRACT:
        return
    if written_for > CONTRACT:
        remedy = f"upgrade {DISTRIBUTION}"
    elif owner.name.endswith(".py"):
        remedy = f"update {owner.name} (docs/contract.md) and declare @hookimpl(contract={CONTRACT})"
    else:
        remedy = f"upgrade the plugin (pip install --upgrade {owner.name})"
    raise PluginError(
        f"plugin {owner} was written for version {written_for} of the contract between plugins and {DISTRIBUTION}, but "
        f"this installation, {installation()}, has version {CONTRACT}: {remedy}"
    )


def _register(manager: pluggy.PluginManager, plugin: Any, owner: Owner, where: str, loaded: LoadedPlugins) -> None:
    """Calls the plugin's hook with the registry. where: the entry point or the entry of the recipe."""
    # Before all other checks: in another version the hook may have other arguments.
    _check_contract(plugin, owner)
    _check_hook(manager, plugin, owner, where)
    loaded.versions[owner.name] = owner.version
    others = [other for other in manager.get_plugins() if other is not plugin]
    try:
        manager.subset_hook_caller("register", others)(registry=loaded.registry.for_owner(owner))
    except RegistrationError:
        raise
    except _BROKEN as error:
        raise PluginError(_failed(f"plugin {owner} failed in its `register`", error)) from error


def _check_hook(manager: pluggy.PluginManager, plugin: Any, owner: Owner, where: str) -> None:
    """Registers the plugin with pluggy. Raises PluginError for a hook that is missing or has wrong parameters."""
    wrong_signature = f"plugin {owner}: its `register` must have one parameter, named `registry`"
    try:
        # One package may have several entry points.
        manager.register(plugin, name=f"{owner.name}:{where}")
    except pluggy.PluginValidationError as error:
        raise PluginError(wrong_signature) from error
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
    if not implementations[0].argnames:
        raise PluginError(wrong_signature)


@cache
def _distributions() -> Mapping[str, list[str]]:
    """The distributions of each package: found by reading the records of all that is installed, in some 0.1 s."""
    return importlib.metadata.packages_distributions()


def _version_of(module: str) -> str:
    names = _distributions().get(module.split(".")[0], [])
    return importlib.metadata.version(names[0]) if names else ""
