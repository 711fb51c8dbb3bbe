"""The data of a recipe, and how its parts are looked up and validated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from translate_core.components.blocks import Block, BlockReader
from translate_core.components.registry import Registry
from translate_core.errors import Fault, explain, nearest
from translate_core.runtime.yaml12 import show


@dataclass(frozen=True)
class RecipeReader:
    """Reads the parts of a recipe. Everything that is wrong becomes a fault of `blocks`.

    data: the recipe, not yet validated. blocks: validates single blocks.
    """

    data: Mapping[str, Any]
    blocks: BlockReader

    @property
    def registry(self) -> Registry:
        """The components that a recipe can name."""
        return self.blocks.registry

    @property
    def faults(self) -> list[Fault]:
        """The faults so far."""
        return self.blocks.faults

    def fault(self, path: str, message: str) -> None:
        """Adds one fault."""
        self.blocks.fault(path, message)

    def block(self, kind: str, value: object, path: str, sources: Mapping[str, str] | None = None) -> Block | None:
        """The block of a component; None where it has faults.

        path: its dotted path. sources: for keys that another block supplies, the path of that block.
        """
        return self.blocks.block(kind, value, path, sources=sources, hint=self._sibling(path))

    def required_block(self, key: str, kind: str) -> Block | None:
        """The block of a component at the top of the recipe; None where it is missing or has faults."""
        value = self.data.get(key)
        if value is None:
            self.missing(key, kind)
            return None
        return self.block(kind, value, key)

    def missing(self, key: str, kind: str) -> None:
        """Adds the fault of a missing block."""
        self.fault(key, f"is missing: the recipe names no {kind}. {self.blocks.choices(kind)}")

    def named_blocks(self, key: str) -> dict[str, Mapping[str, Any]]:
        """The blocks below a key, by name, not yet validated. Those that are null are left out."""
        value = self.data.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.fault(key, f"must be a mapping of named blocks, not {show(value)}")
            return {}
        blocks = {}
        for name, block in value.items():
            if isinstance(block, Mapping):
                blocks[name] = block
            elif block is not None:
                self.fault(f"{key}.{name}", f"must be a block, not {show(block)}")
        return blocks

    def names_in(self, key: str) -> Sequence[str]:
        """The names below a key, those that are null included."""
        value = self.data.get(key)
        return tuple(value) if isinstance(value, Mapping) else ()

    def construct(self, path: str, block: Block) -> Any:
        """The component of a block that needs no more arguments; None, and a fault, if its constructor raises."""
        try:
            return block()
        except Exception as error:  # a component may raise anything
            self.fault(path, explain(error))
            return None

    def _sibling(self, path: str) -> str:
        """A hint for a block without `type`: a misspelt `--set` creates such a block beside the intended one."""
        key, _, name = path.partition(".")
        siblings = [other for other in self.names_in(key) if other != name]
        similar = nearest(name, siblings) if name and "." not in name else None
        return f". Or did you mean {key}.{similar}?" if similar else ""
