"""The registry: components by kind and name, each with the plugin that registered it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from translate_core.components.kinds import KIND_NAMES
from translate_core.components.signature import (
    Option,
    SignatureError,
    options_of,
    options_of_group,
    required_positional,
)
from translate_core.contracts.dataset import Dataset
from translate_core.contracts.loss import Loss
from translate_core.contracts.method import Method
from translate_core.contracts.metric import Metric
from translate_core.contracts.observer import Observer
from translate_core.contracts.pool import Pool
from translate_core.contracts.registrar import Component, Registrar
from translate_core.contracts.schedule import Schedule
from translate_core.contracts.tables import table_faults
from translate_core.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Kind:
    """A kind of component.

    contract: the base class of its components; None for kinds whose components are functions.
    given: arguments that the engine supplies; a component accepts all of them, a recipe may set none.
    network: whether its components are networks of a run, whose blocks take `init` and `init_from`.
    """

    name: str
    contract: type | None
    given: tuple[str, ...] = ()
    network: bool = False


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("method", Method),
        Kind("generator", nn.Module, ("in_channels", "out_channels"), network=True),
        Kind("discriminator", nn.Module, ("in_channels",), network=True),
        Kind("head", nn.Module, ("channels",), network=True),
        Kind("network", nn.Module, network=True),
        Kind("loss", Loss),
        Kind("dataset", Dataset),
        Kind("pool", Pool),
        Kind("metric", Metric),
        Kind("optimizer", None, ("params",)),
        Kind("schedule", Schedule, ("length", "epoch")),
        Kind("init", None, ("network",)),
        Kind("observer", Observer),
    )
}

assert tuple(KINDS) == KIND_NAMES

NETWORK_KINDS = tuple(kind.name for kind in KINDS.values() if kind.network)
"""The kinds of which a method has networks."""

RESERVED: Mapping[str, tuple[str, ...]] = {
    **{
        kind: ("type", "init", "init_from", "optimizer", "freeze") if KINDS[kind].network else ("type",)
        for kind in KINDS
    },
    "loss": ("type", "weight", "every"),
    "metric": ("type", "pairs", "images", "references"),
}
"""By kind, keys of a component's block that belong to the engine."""


_NESTED: Mapping[type, str] = {
    kind.contract: kind.name for kind in KINDS.values() if kind.contract is not None and kind.contract is not nn.Module
}


def kind_of_contract(contract: type) -> str:
    """The kind with this contract, for nested components: `pool` for `Factory[Pool]`."""
    return _NESTED[contract]


@dataclass(frozen=True)
class Owner:
    """The plugin that registered a component: its name and version in messages and records."""

    name: str
    version: str

    def __str__(self) -> str:
        # The version of a file is its hash, which does not help a reader.
        return f"{self.name} {self.version}" if self.version and not self.name.endswith(".py") else self.name


@dataclass(frozen=True)
class Registration:
    """A component with its name, its options and its plugin.

    supplied: the arguments that the engine or a method supplies. default: whether it is used without being named.
    """

    kind: str
    name: str
    component: Component
    owner: Owner
    options: Mapping[str, Option]
    supplied: tuple[str, ...]
    default: bool


class RegistrationError(UserError):
    """A plugin registers a component that cannot be used."""


class Registry:
    """Every component of one run. Each run builds its own registry."""

    def __init__(self) -> None:
        self._by_kind: dict[str, dict[str, Registration]] = {kind: {} for kind in KINDS}

    def for_owner(self, owner: Owner) -> Registrar:
        """The argument of a plugin's `register`."""
        return _OwnersRegistrar(self, owner)

    def add(self, kind: str, name: str, component: Component, owner: Owner, default: bool) -> None:
        """Registers a component. Raises RegistrationError with the plugin and what to change."""
        what = f"plugin {owner} registers {kind} '{name}'"
        existing = self._by_kind[kind].get(name)
        if existing is not None:
            raise RegistrationError(
                f"{what}, but plugin {existing.owner} has already registered a {kind} of that name; "
                f"one of the two must be renamed"
            )
        if default and kind not in ("metric", "observer"):
            rival = self.default(kind)
            if rival is not None:
                raise RegistrationError(
                    f"{what} as the default, but '{rival.name}' of plugin {rival.owner} is already the default"
                )
        _check_contract(what, KINDS[kind], component)
        try:
            # A network may need more than the engine supplies: its method then supplies what it takes by position.
            more = required_positional(component) if KINDS[kind].network else ()
            supplied = tuple(dict.fromkeys([*KINDS[kind].given, *more]))
            options = options_of(component, supplied)
        except SignatureError as error:
            raise RegistrationError(f"{what}: {error}") from None
        for key in RESERVED[kind]:
            if key in options:
                raise RegistrationError(f"{what}: its option '{key}' must be renamed, because the engine uses that key")
        _check_nested(what, options)
        self._by_kind[kind][name] = Registration(kind, name, component, owner, options, supplied, default)

    def names(self, kind: str) -> tuple[str, ...]:
        """The names of all components of that kind, sorted."""
        return tuple(sorted(self._by_kind[kind]))

    def get(self, kind: str, name: str) -> Registration:
        """The registration. Raises UserError with the nearest name and all names."""
        try:
            return self._by_kind[kind][name]
        except KeyError:
            raise UserError(self.unknown(kind, name)) from None

    def unknown(self, kind: str, name: str) -> str:
        """The message for a name that is not registered."""
        names = self.names(kind)
        listing = f"There are: {', '.join(names)}" if names else f"No plugin registers any {kind}"
        return f"there is no {kind} '{name}'{did_you_mean(name, names)} {listing}"

    def find(self, kind: str, name: str) -> Registration | None:
        """The registration, or None."""
        return self._by_kind[kind].get(name)

    def find_component(self, kind: str, component: object) -> Registration | None:
        """The registration of this very class or function, or None."""
        for registration in self._by_kind[kind].values():
            if registration.component is component:
                return registration
        return None

    def default(self, kind: str) -> Registration | None:
        """The component of that kind that a recipe uses without naming it, or None."""
        defaults = self.defaults(kind)
        return defaults[0] if defaults else None

    def defaults(self, kind: str) -> tuple[Registration, ...]:
        """All components of that kind that a recipe uses without naming them, in the order of registration."""
        return tuple(item for item in self._by_kind[kind].values() if item.default)


class _OwnersRegistrar(Registrar):
    def __init__(self, registry: Registry, owner: Owner) -> None:
        self._registry = registry
        self._owner = owner

    def _add(self, kind: str, name: str, component: Component, default: bool = False) -> None:
        self._registry.add(kind, name, component, self._owner, default)


def _check_nested(what: str, options: Mapping[str, Option]) -> None:
    for option in options.values():
        if option.nested is not None and option.nested not in _NESTED:
            raise RegistrationError(
                f"{what}: its option '{option.name}' is a Factory[{option.nested.__name__}], and no kind of component "
                f"has that contract. There are: {', '.join(contract.__name__ for contract in _NESTED)}"
            )
        if option.group is not None:
            _check_nested(what, options_of_group(option.group))


def _check_contract(what: str, kind: Kind, component: object) -> None:
    if not callable(component):
        raise RegistrationError(f"{what}: it must be a class or a function, not {component!r}")
    if kind.contract is None:
        return
    if not (isinstance(component, type) and issubclass(component, kind.contract)):
        raise RegistrationError(f"{what}: it must be a subclass of {kind.contract.__module__}.{kind.contract.__name__}")
    # torch modules have no ABCMeta, so instantiating an abstract one raises nothing.
    missing = [name for name in dir(component) if getattr(getattr(component, name), "__isabstractmethod__", False)]
    if missing:
        raise RegistrationError(f"{what}: it does not define {', '.join(missing)}")
    if issubclass(component, Method):
        faults = table_faults(component, NETWORK_KINDS)
        if faults:
            raise RegistrationError(f"{what}: {faults[0]}")
