"""kind -> name -> component, and the plugin that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from translate_core.components.kinds import KIND_NAMES
from translate_core.components.signature import Option, SignatureError, options_of, options_of_group
from translate_core.contracts.dataset import Dataset
from translate_core.contracts.loss import Loss
from translate_core.contracts.method import Method
from translate_core.contracts.metric import Metric
from translate_core.contracts.observer import Observer
from translate_core.contracts.pool import Pool
from translate_core.contracts.registrar import Component, Registrar
from translate_core.contracts.schedule import Schedule
from translate_core.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Kind:
    """A kind of component.

    contract: the class that a component must derive from; None for functions that are judged by what they return.
    given: arguments that the engine supplies; a component accepts them all, a recipe may use none.
    network: whether a run trains components of this kind, so that `init`, `init_from` belong to their block.
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

RESERVED: Mapping[str, tuple[str, ...]] = {
    **{kind: ("type", "init", "init_from") if KINDS[kind].network else ("type",) for kind in KINDS},
    "loss": ("type", "weight"),
    "metric": ("type", "pairs"),
}
"""By kind, keys of a component's block that belong to the engine."""


_NESTED: Mapping[type, str] = {
    kind.contract: kind.name for kind in KINDS.values() if kind.contract is not None and kind.contract is not nn.Module
}


def kind_of_contract(contract: type) -> str:
    """The kind whose contract this class is, for nested components: `Factory[Pool]` asks for a pool."""
    return _NESTED[contract]


@dataclass(frozen=True)
class Owner:
    """The plugin that registered something: its name and version as they stand in messages and records."""

    name: str
    version: str

    def __str__(self) -> str:
        # The version of a file is its hash, which tells a reader nothing.
        return f"{self.name} {self.version}" if self.version and not self.name.endswith(".py") else self.name


@dataclass(frozen=True)
class Registration:
    """One component under its name."""

    kind: str
    name: str
    component: Component
    owner: Owner
    options: Mapping[str, Option]
    default: bool


class RegistrationError(UserError):
    """A plugin registered something that cannot be used."""


class Registry:
    """Every component of one run. Never global: each run builds its own."""

    def __init__(self) -> None:
        self._by_kind: dict[str, dict[str, Registration]] = {kind: {} for kind in KINDS}

    def for_owner(self, owner: Owner) -> Registrar:
        """What a plugin's `register` is called with."""
        return _OwnersRegistrar(self, owner)

    def add(self, kind: str, name: str, component: Component, owner: Owner, default: bool) -> None:
        """Raises RegistrationError, naming the plugin and what it has to change."""
        what = f"plugin {owner} registers {kind} '{name}'"
        existing = self._by_kind[kind].get(name)
        if existing is not None:
            raise RegistrationError(
                f"{what}, but plugin {existing.owner} has already registered a {kind} of that name; "
                f"one of the two must take another name"
            )
        if default and kind not in ("metric", "observer"):
            rival = self.default(kind)
            if rival is not None:
                raise RegistrationError(
                    f"{what} as the default, which is '{rival.name}' of plugin {rival.owner} already"
                )
        _check_contract(what, KINDS[kind], component)
        try:
            options = options_of(component, KINDS[kind].given)
        except SignatureError as error:
            raise RegistrationError(f"{what}: {error}") from None
        for key in RESERVED[kind]:
            if key in options:
                raise RegistrationError(f"{what}: its option '{key}' must be renamed, that key belongs to the engine")
        _check_nested(what, options)
        self._by_kind[kind][name] = Registration(kind, name, component, owner, options, default)

    def names(self, kind: str) -> tuple[str, ...]:
        """Every name of that kind, sorted."""
        return tuple(sorted(self._by_kind[kind]))

    def get(self, kind: str, name: str) -> Registration:
        """Raises UserError with the nearest name and all that exist."""
        try:
            return self._by_kind[kind][name]
        except KeyError:
            raise UserError(self.unknown(kind, name)) from None

    def unknown(self, kind: str, name: str) -> str:
        """The wording for a name that nobody registered."""
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
        """The component of that kind that is taken where a recipe names none."""
        defaults = self.defaults(kind)
        return defaults[0] if defaults else None

    def defaults(self, kind: str) -> tuple[Registration, ...]:
        """Every component of that kind that is used unless a recipe says otherwise, in the order of registration."""
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
                f"{what}: its option '{option.name}' asks for a Factory[{option.nested.__name__}], and no kind of "
                f"component has that contract. There are: {', '.join(contract.__name__ for contract in _NESTED)}"
            )
        if option.group is not None:
            _check_nested(what, options_of_group(option.group))


def _check_method(what: str, method: type[Method]) -> None:
    """The tables of a method are static, so a name in them that leads nowhere is known before any run."""
    roles = {role.name: role for role in getattr(method, "roles", ())}
    if not roles:
        raise RegistrationError(f"{what}: it must name its networks in `roles`")
    if set(method.order) != {role.side for role in roles.values()}:
        raise RegistrationError(f"{what}: its `order` must name each side of its `roles` once, and no other")
    tensors = [name for pairs in method.pairs.values() for pair in pairs.items() for name in pair]
    tensors += [name for judged in method.adversarial_pairs.values() for name in judged]
    for item in method.directions.values():
        tensors += [item.given, item.output, *item.show, *item.always]
        tensors += [name for choice in item.choices for name in (choice.drawn, choice.taken)]
    for word, used, known in (
        ("network", list(method.adversarial_pairs), list(roles)),
        ("tensor", tensors, method.tensor_names()),
    ):
        for name in used:
            if name not in known:
                raise RegistrationError(
                    f"{what}: one of its tables names the {word} '{name}', which it does not have"
                    f"{did_you_mean(name, known)} It has: {', '.join(known)}"
                )


def _check_contract(what: str, kind: Kind, component: object) -> None:
    if not callable(component):
        raise RegistrationError(f"{what}: it must be a class or a function, not {component!r}")
    if kind.contract is None:
        return
    if not (isinstance(component, type) and issubclass(component, kind.contract)):
        raise RegistrationError(f"{what}: it must be a subclass of {kind.contract.__module__}.{kind.contract.__name__}")
    # Modules have no metaclass that would refuse to build an abstract one.
    missing = [name for name in dir(component) if getattr(getattr(component, name), "__isabstractmethod__", False)]
    if missing:
        raise RegistrationError(f"{what}: it does not define {', '.join(missing)}")
    if issubclass(component, Method):
        _check_method(what, component)
