"""Changes to single keys of a recipe: parsed from `KEY=VALUE` texts, applied to nested data.

Nothing here imports torch, so that a fault of `--set` is reported before torch is imported.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from translate_core.errors import Fault, RecipeError, UserError, shortened
from translate_core.runtime import yaml12
from translate_core.runtime.yaml12 import show


@dataclass(frozen=True)
class Override:
    """One key with its new value.

    key: dotted. value: plain data; a mapping replaces the block. place: where the user wrote it, for messages.
    """

    key: str
    value: Any
    place: str


@dataclass(frozen=True)
class Overrides:
    """The overrides of one command in the order in which they are applied.

    faults: one for each text that could not be parsed. They are kept, so that they are reported together with the
    overrides that do not fit the recipe.
    """

    items: tuple[Override, ...] = ()
    faults: tuple[Fault, ...] = ()

    def apply(self, data: Mapping[str, Any], subject: str) -> dict[str, Any]:
        """A copy of the data with all overrides applied.

        subject: what the data are called in messages. Raises RecipeError with every fault of the overrides.
        """
        changed = copy.deepcopy(dict(data))
        faults = list(self.faults)
        for item in self.items:
            try:
                apply_override(changed, item.key, copy.deepcopy(item.value))
            except UserError as error:
                faults.append(Fault(item.place, str(error)))
        if faults:
            raise RecipeError(subject, faults)
        return changed

    def flat(self) -> dict[str, Any]:
        """Dotted path -> value, blocks flattened; the last value of a path wins. Names the folder of a run."""
        flat: dict[str, Any] = {}
        for item in self.items:
            flat.update(flatten({item.key: item.value}))
        return flat


def parse_overrides(texts: Sequence[str], place: str = "--set") -> Overrides:
    """Parses `KEY=VALUE` texts: a dotted key and YAML data. place: where the user wrote them, for messages."""
    items: list[Override] = []
    faults: list[Fault] = []
    for text in texts:
        try:
            items.append(Override(*parse_override(text), place))
        except UserError as error:
            faults.append(Fault(place, str(error)))
    return Overrides(tuple(items), tuple(faults))


def parse_override(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` as a dotted key and YAML data. Raises UserError."""
    key, equals, value = text.partition("=")
    if not equals or not is_dotted_key(key.strip()):
        raise UserError(f"'{shortened(text, 200)}' must be KEY=VALUE, such as training.batch_size=4")
    return key.strip(), yaml12.parse(value, f"the value of {key.strip()}")


def is_dotted_key(key: str) -> bool:
    """Whether no part between the dots is empty."""
    return all(key.split("."))


def apply_override(data: dict[str, Any], key: str, value: Any) -> None:
    """Sets one dotted key in place. Missing blocks on its path are created; a mapping replaces a block.

    Raises UserError where the path leads through a value that is not a block.
    """
    *parents, last = key.split(".")
    block = data
    for depth, parent in enumerate(parents):
        if block.get(parent) is None:
            block[parent] = {}
        inner = block[parent]
        if isinstance(inner, list) and depth == len(parents) - 1 and last.isdigit() and int(last) < len(inner):
            inner[int(last)] = value
            return
        if not isinstance(inner, dict):
            raise UserError(f"'{key}' cannot be set: {'.'.join(parents[: depth + 1])} is {show(inner)}, not a block")
        block = inner
    block[last] = value


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted path -> value; an empty mapping stays a value."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{path}."))
        else:
            flat[path] = value
    return flat
