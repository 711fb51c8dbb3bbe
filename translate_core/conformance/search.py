"""Network components that fit the roles of a method."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit
from translate_core.conformance.plain import PLAIN, Build
from translate_core.conformance.promise import NotTested
from translate_core.conformance.stated import StatedMethod
from translate_core.contracts.role import Role
from translate_core.runtime.meta import meta_device


class Search:
    """Searches networks for the roles of a method. Roles that need the same get the same component."""

    def __init__(self, kit: Kit, stated: StatedMethod, name: str, subject: Block | None) -> None:
        self.kit = kit
        self.stated = stated
        self.name = name
        self.subject = subject
        self.missing = ""
        self.groups: dict[tuple[Any, ...], list[Role]] = {}
        for role in stated.method.roles:
            self.groups.setdefault(self._needs(role), []).append(role)

    def combinations(self) -> Iterator[dict[str, Build]]:
        """What builds the network of each role, in the order of preference. Raises NotTested if there is none."""
        found = False
        for roles in self._filled(list(self.groups.values()), {}, {}):
            found = True
            yield roles
        if not found:
            raise NotTested(f"method {self.name} needs {self.missing}, and no such component is registered")

    def _needs(self, role: Role) -> tuple[Any, ...]:
        tapped = next((other.kind for other in self.stated.method.roles if other.name == role.tapped), "")
        return (role.kind, role.methods, role.conditions, role.supplied(), role.default, self._taps(role), tapped)

    def _taps(self, role: Role) -> tuple[str, ...]:
        return tuple(tap for other in self.stated.method.roles if other.tapped == role.name for tap in other.taps)

    def _filled(
        self, groups: Sequence[list[Role]], chosen: dict[str, Build], modules: dict[str, nn.Module]
    ) -> Iterator[dict[str, Build]]:
        if not groups:
            yield chosen
            return
        roles = groups[0]
        tried = False
        for build in self._candidates(roles[0]):
            built = self._built(roles, build, modules)
            if built is None:
                continue
            tried = True
            yield from self._filled(
                groups[1:], {**chosen, **dict.fromkeys((role.name for role in roles), build)}, {**modules, **built}
            )
            if build is self.subject:
                return
        if not tried:
            self.missing = self.missing or self._wanted(roles[0])

    def _candidates(self, role: Role) -> Iterator[Build]:
        """Components for a role, the preferred first, without a check of what they build."""
        if self.subject is not None and self.subject.registration.kind == role.kind:
            yield self.subject
        if role.kind in PLAIN and not role.methods and not self._taps(role):
            yield PLAIN[role.kind]
        registered = [block for block in self.kit.blocks(role.kind) if _takes(block, role)]
        sizes: dict[str, int] = {}
        for block in registered:
            built = self._built([role], block, {}) if not role.tapped else None
            sizes[block.registration.name] = _size(built[role.name]) if built else 0
        yield from sorted(
            registered, key=lambda block: (block.registration.name != role.default, sizes[block.registration.name])
        )

    def _built(
        self, roles: Sequence[Role], build: Build, modules: Mapping[str, nn.Module]
    ) -> dict[str, nn.Module] | None:
        """The networks on the meta device, if they can be built and have what their roles need."""
        if isinstance(build, Block) and not _takes(build, roles[0]):
            return None
        built: dict[str, nn.Module] = {}
        for role in roles:
            try:
                with meta_device():
                    module = build(**role.given(self.stated.channels, {**modules, **built}))
            except Exception:  # whatever a component's constructor raises; the component's own check reports it
                return None
            declared = getattr(module, "taps", {})
            has_methods = all(callable(getattr(module, name, None)) for name in role.methods)
            if not has_methods or not all(tap in declared for tap in self._taps(role)):
                return None
            built[role.name] = module
        return built

    def _wanted(self, role: Role) -> str:
        wanted = [*(f"a method '{name}'" for name in role.methods), *(f"a tap '{tap}'" for tap in self._taps(role))]
        wanted += [f"the condition '{name}'" for name in role.conditions]
        wanted += [f"the argument '{name}'" for name in role.extra]
        return f"a {role.kind}{' with ' if wanted else ''}{', '.join(wanted)}"


def _takes(block: Block, role: Role) -> bool:
    """Whether a component takes what its role supplies to its constructor, and what the method passes to `forward`."""
    if set(block.registration.supplied) != set(role.supplied()):
        return False
    if role.kind == "head":
        return True
    return accepts(block, len(role.conditions) + (1 if role.inputs else 0))


def accepts(block: Block, count: int) -> bool:
    """Whether the `forward` of a network component accepts that number of positional arguments."""
    forward = getattr(block.registration.component, "forward", None)
    if forward is None:
        return False
    try:
        inspect.signature(forward).bind(None, *[None] * count)
    except TypeError:
        return False
    return True


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
