"""The hook of plugins: the only function that the engine calls in a plugin by name.

A plugin is a module (or any object) with this one function, decorated:

    from translate_core import hookimpl

    @hookimpl(contract=1)
    def register(registry):
        registry.generator("tiny", Tiny)

The engine finds it by an entry point in the group `translate_core`, or in a recipe's `plugins:` list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

import pluggy

from translate_core.contracts.registrar import Registrar

GROUP = "translate_core"
"""The name of the pluggy project and of the entry-point group."""

CONTRACT: int = 1
"""The version of the contract between plugins and this installation: the hook, the public names, the kinds.

It increases when something that a plugin uses changes or is removed, not when something is added.
"""

_FIRST = 1
_STATED = "translate_contract"

F = TypeVar("F", bound=Callable[..., object])

hookspec = pluggy.HookspecMarker(GROUP)
_mark = pluggy.HookimplMarker(GROUP)


@overload
def hookimpl(function: F, /) -> F: ...
@overload
def hookimpl(*, contract: int = ...) -> Callable[[F], F]: ...
def hookimpl(function: Callable[..., object] | None = None, /, *, contract: int = _FIRST) -> Any:
    """Decorator of a plugin's `register` that declares the version of the contract it was written for.

    `@hookimpl(contract=1)`; `@hookimpl` alone means version 1, the first. A plugin is loaded only if the installation
    has that version (`translate_core.CONTRACT`).

    Raises ValueError for a contract that is not a positive whole number.
    """
    if isinstance(contract, bool) or not isinstance(contract, int) or contract < 1:
        raise ValueError(f"contract must be a whole number of at least 1, such as {CONTRACT}, not {contract!r}")
    if function is not None and not callable(function):
        raise ValueError(f"write @hookimpl(contract={CONTRACT}), with the keyword; {function!r} is not a function")

    def mark(hook: F) -> F:
        setattr(hook, _STATED, contract)
        return _mark(hook)

    return mark if function is None else mark(function)


def contract_of(hook: object) -> int | None:
    """The version of the contract that a decorated hook was written for; None for other objects."""
    stated: int | None = getattr(hook, _STATED, None)
    return stated


@hookspec
def register(registry: Registrar) -> None:
    """Registers components: `registry.<kind>("name", component)` for each.

    Called once for every run, with a registry that records the plugin of each component. It must do nothing else.
    """
