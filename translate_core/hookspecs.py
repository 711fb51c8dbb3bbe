"""The whole extension surface: one hook.

A plugin is a module (or any object) with this one function, decorated:

    from translate_core import hookimpl

    @hookimpl
    def register(registry):
        registry.generator("tiny", Tiny)

It is found through an entry point in the group `translate_core`, or named in a recipe's `plugins:` list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from translate_core.registry import Registrar

GROUP = "translate_core"
"""The name of the pluggy project and of the entry-point group."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def register(registry: Registrar) -> None:
    """Register components: `registry.<kind>("name", component)`, once for each.

    Called once for every run, with a registry that remembers whose call this is. Nothing may happen besides.
    """
