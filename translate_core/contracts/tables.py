"""The tables of a method, checked: names that they use must exist."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from translate_core.contracts.adversarial import adversarial_pair
from translate_core.contracts.direction import Direction
from translate_core.contracts.given import KINDS_OF_DATA, Given, given_of
from translate_core.contracts.method import Method
from translate_core.contracts.role import Role
from translate_core.contracts.update import Update, updates_of
from translate_core.errors import did_you_mean

_KINDS: tuple[tuple[str, Any, str], ...] = (
    ("roles", tuple | list, "tuple"),
    ("order", tuple | list, "tuple"),
    ("given", tuple | list, "tuple"),
    ("pairs", Mapping, "mapping"),
    ("adversarial_pairs", Mapping, "mapping"),
    ("directions", Mapping, "mapping"),
)


_ITEMS: tuple[tuple[str, Any, str], ...] = (
    ("roles", Role, "roles"),
    ("order", str | Update, "sides and updates"),
    ("given", str | Given, "names and `Given`s"),
    ("directions", Direction, "directions"),
)


def _items(table: Any) -> list[object]:
    return list(table.values() if isinstance(table, Mapping) else table)


def table_faults(method: Method | type[Method], kinds: Collection[str]) -> list[str]:
    """What is wrong with the tables of a method, or with those of its class, in sentences that begin with "it".

    kinds: the kinds of which a method can have networks.
    """
    unlike = [
        f"its `{name}` must be a {words}, not {type(getattr(method, name)).__name__}"
        for name, kind, words in _KINDS
        if not isinstance(getattr(method, name, ()), kind)
    ]
    unlike = unlike or [
        f"its `{name}` must hold {words}, not {type(item).__name__}"
        for name, kind, words in _ITEMS
        for item in _items(getattr(method, name, ()))
        if not isinstance(item, kind)
    ]
    if unlike:
        return unlike
    roles = {role.name: role for role in getattr(method, "roles", ())}
    if not roles:
        return ["it must declare its networks in `roles`"]
    return [*_roles(roles, kinds), *_order(roles, updates_of(method.order)), *_given(method), *_names(method, roles)]


def _roles(roles: Mapping[str, Role], kinds: Collection[str]) -> Iterator[str]:
    for role in roles.values():
        if role.kind not in kinds:
            yield (
                f"its network {role.name} is of the unknown kind '{role.kind}'{did_you_mean(role.kind, kinds)} "
                f"There are: {', '.join(kinds)}"
            )


def _order(roles: Mapping[str, Role], updates: tuple[Update, ...]) -> Iterator[str]:
    if {update.side for update in updates} != {role.side for role in roles.values()}:
        yield "its `order` must have each side of its `roles` and no other side"
    names = [update.name for update in updates]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"its `order` has {names.count(name)} updates named '{name}': give each a name of its own"
    for update in updates:
        own = [role.name for role in roles.values() if role.side == update.side]
        for name in update.networks:
            if name not in own:
                yield (
                    f"its update '{update.name}' trains the network '{name}', which is not of the side "
                    f"'{update.side}'{did_you_mean(name, own)} It has: {', '.join(own)}"
                )


def _given(method: Method | type[Method]) -> Iterator[str]:
    for item in given_of(method.given):
        if item.kind not in KINDS_OF_DATA:
            yield (
                f"its given tensor '{item.name}' is of the unknown kind '{item.kind}'"
                f"{did_you_mean(item.kind, KINDS_OF_DATA)} There are: {', '.join(KINDS_OF_DATA)}"
            )


def _names(method: Method | type[Method], roles: Mapping[str, Role]) -> Iterator[str]:
    pairs = [adversarial_pair(pair) for pair in method.adversarial_pairs.values()]
    tensors = [name for each in method.pairs.values() for pair in each.items() for name in pair]
    tensors += [name for pair in pairs for which in (pair.names("real"), pair.names("fake")) for name in which]
    tensors += [name for update in updates_of(method.order) for pair in update.instead.items() for name in pair]
    tensors += [name for direction in method.directions.values() for name in _of_direction(direction)]
    known = (*(item.name for item in given_of(method.given)), *method.computed_names())
    for word, used, existing in (
        ("network", list(method.adversarial_pairs), tuple(roles)),
        ("tensor", tensors, known),
    ):
        for name in dict.fromkeys(used):
            if name not in existing:
                yield (
                    f"one of its tables has the {word} '{name}', which it does not define"
                    f"{did_you_mean(name, existing)} It has: {', '.join(existing)}"
                )


def _of_direction(direction: Direction) -> Iterator[str]:
    yield from (direction.given, direction.output, *direction.show, *direction.always, *direction.label)
    for choice in direction.choices:
        yield from (choice.drawn, choice.taken, choice.given)
