"""Components that break one promise each, and how the kit must report them."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from tests.reduced import SMALL
from translate_core.components.plugins import load_plugins
from translate_core.components.registry import Owner, Registration
from translate_core.conformance.check import CHECKS, check_component
from translate_core.conformance.kit import Kit
from translate_core.conformance.promise import Status

REGISTRY = load_plugins().registry

C = TypeVar("C")

METHODS = {"loss": ("gan", "cyclegan"), "generator": ("gan", "munit"), "discriminator": ("gan",), "head": ("cut",)}
"""By kind, the methods beside which a component is tried; all for other kinds."""


def beside_the_built_ins(
    kind: str, component: Any, more: Mapping[str, Any] = MappingProxyType({})
) -> tuple[Kit, Registration]:
    """A kit in which the component is registered as `tried` beside the built-in ones.

    It is registered beside a few methods only, because it is checked with every method that has a role for it.

    more: other components of the same plugin, by kind.
    """
    registry = copy.copy(REGISTRY)
    registry._by_kind = {key: dict(items) for key, items in REGISTRY._by_kind.items()}
    if kind in METHODS:
        registry._by_kind["method"] = {name: registry.get("method", name) for name in METHODS[kind]}
    for kind_, other in ((kind, component), *more.items()):
        registry.add(kind_, "tried", other, Owner("mine", ""), default=False)
    made = {key: dict(value) for key, value in SMALL.items() if registry.find(*key)}
    return Kit(registry, made), registry.get(kind, "tried")


@dataclass
class Case:
    """A component that breaks a promise.

    promise: the beginning of the promise. finding: a pattern of the report. also: beginnings of other promises that a
    component must break to break this one. more: other components of the same plugin, by kind.
    """

    kind: str
    promise: str
    component: Any
    finding: str
    also: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """The promise is reported as broken, or to look at, with this finding; no promise besides those in `also`."""
        results = check_component(*beside_the_built_ins(self.kind, self.component, self.more))
        wrong = [outcome for outcome in results.outcomes if outcome.status in (Status.BROKEN, Status.ADVICE)]
        broken = [outcome for outcome in wrong if outcome.status is Status.BROKEN]
        found = [outcome.detail for outcome in wrong if outcome.promise.text.startswith(self.promise)]
        assert len(found) == 1, [(outcome.promise.text, outcome.detail) for outcome in wrong]
        assert re.search(self.finding, found[0]), found[0]
        others = [outcome.promise.text for outcome in broken if not outcome.promise.text.startswith(self.promise)]
        assert all(text.startswith(self.also) for text in others), others


class BrokenComponents:
    """The cases of one kind of component, or of several kinds with the same promises."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds
        self.cases: list[Case] = []

    def breaks(self, kind: str, promise: str, finding: str, *also: str, **more: Any) -> Callable[[C], C]:
        """Decorator: adds a component that breaks a promise. more: other components of the same plugin, by kind."""
        assert kind in self.kinds

        def add(component: C) -> C:
            self.cases.append(Case(kind, promise, component, finding, also, more))
            return component

        return add

    def check_complete(self) -> None:
        """Every promise has a case."""
        (promises,) = {CHECKS[kind][1] for kind in self.kinds}
        assert len(promises) >= 3
        for promise in promises:
            assert promise.why
            cases = [case for case in self.cases if promise.text.startswith(case.promise)]
            assert cases, f"no component breaks the promise that a {self.kinds[0]} {promise.text}"
