"""The file of an ablation: the base recipe, the varied keys, the seeds, and the changes to all variants."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translate_core.errors import Fault, RecipeError, UserError
from translate_core.recipe.file import is_ablation, read_recipe
from translate_core.recipe.overrides import Override, Overrides, apply_override, flatten, is_dotted_key
from translate_core.runtime.yaml12 import show
from translate_core.storage.run_folder import folder_name

_OWN = ("base", "vary", "seeds")
_SEED = "training.seed"


@dataclass(frozen=True)
class Variant:
    """One combination of the varied values.

    name: the name of its folder. values: varied key -> value. recipe: the whole recipe, not yet validated.
    """

    name: str
    values: Mapping[str, Any]
    recipe: Mapping[str, Any]


@dataclass(frozen=True)
class Ablation:
    """An ablation as its file describes it.

    base: the recipe that is varied. vary: the varied keys. seeds: empty if the recipe's own seed is used.
    variants: every combination of the values; the last key varies fastest.
    """

    path: Path
    base: Path
    vary: tuple[str, ...]
    seeds: tuple[int, ...]
    variants: tuple[Variant, ...]


def parse_ablation(path: Path, data: Mapping[str, Any], overrides: Overrides | None = None) -> Ablation:
    """The ablation in the data of a file; its base is read.

    path: the file, which the path of the base is relative to. overrides: set in all variants, after the file's own.
    Raises RecipeError with every fault of the ablation itself; its variants are not validated.
    """
    faults: list[Fault] = []
    base = _base(path, data.get("base"), faults)
    vary = _vary(data.get("vary"), faults)
    seeds = _seeds(data["seeds"], faults) if "seeds" in data else ()
    changes = _from_file(data, base[1] if base is not None else {}) + _from_command_line(
        overrides or Overrides(), faults
    )
    faults += _clashes(changes, tuple(vary), seeded="seeds" in data)
    variants = [] if faults or base is None else _variants(base[1], changes, vary, faults)
    if faults:
        raise RecipeError(f"ablation {path}", list(dict.fromkeys(faults)))
    assert base is not None
    return Ablation(path, base[0], tuple(vary), seeds, tuple(variants))


def _base(path: Path, value: object, faults: list[Fault]) -> tuple[Path, dict[str, Any]] | None:
    if not isinstance(value, str):
        problem = "is missing" if value is None else f"must be a path, not {show(value)}"
        faults.append(
            Fault("base", f"{problem}: give the path of the recipe to vary, relative to this file: ../recipe.yaml")
        )
        return None
    base = path.parent / value
    try:
        data = read_recipe(base)
    except UserError as error:
        faults.append(Fault("base", str(error)))
        return None
    if is_ablation(data):
        faults.append(Fault("base", f"{base} is an ablation itself; give the recipe that it varies"))
        return None
    return base, data


def _vary(value: object, faults: list[Fault]) -> dict[str, list[Any]]:
    if not isinstance(value, Mapping) or not value:
        problem = "is missing" if value is None else f"must not be {show(value)}"
        faults.append(
            Fault("vary", f"{problem}: give keys with lists of values, such as {{optimizer.lr: [1e-4, 2e-4]}}")
        )
        return {}
    vary = {}
    for key, values in value.items():
        place = f"vary.{key}"
        if not is_dotted_key(key):
            faults.append(Fault(place, "must be a dotted key, such as optimizer.lr"))
        elif not isinstance(values, list) or not values:
            faults.append(Fault(place, f"must be a list of values to try, not {show(values)}; keys are dotted"))
        else:
            vary[key] = values
            faults += [
                Fault(place, f"has {show(values[index])} twice")
                for index in range(len(values))
                if any(_same(values[index], before) for before in values[:index])
            ]
    return vary


def _seeds(value: object, faults: list[Fault]) -> tuple[int, ...]:
    if isinstance(value, list) and value and all(type(item) is int and item >= 0 for item in value):
        if len(set(value)) == len(value):
            return tuple(value)
        faults.append(Fault("seeds", f"has a seed twice: {show(value)}"))
    else:
        faults.append(Fault("seeds", f"must be a list of whole numbers of at least 0, not {show(value)}"))
    return ()


def _leaves(block: Mapping[str, Any], base: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The changes that a block makes to the base's: dotted keys and their values.

    A block without a `type` changes single keys of the base's block; one with a `type` replaces it. Where the base has
    a value that is not a block, the block replaces it too: a changing weight in place of a number.
    """
    for key, value in block.items():
        inner = base.get(key)
        if isinstance(value, Mapping) and value and "type" not in value and isinstance(inner, Mapping):
            yield from _leaves(value, inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _from_file(data: Mapping[str, Any], base: Mapping[str, Any]) -> list[Override]:
    others = {key: value for key, value in data.items() if key not in _OWN}
    return [Override(key, value, place=key) for key, value in _leaves(others, base)]


def _from_command_line(overrides: Overrides, faults: list[Fault]) -> list[Override]:
    faults += overrides.faults
    changes = []
    for item in overrides.items:
        if item.key.split(".")[0] in _OWN:
            faults.append(Fault(item.place, f"'{item.key}' belongs to the ablation: write it in the file"))
        else:
            changes.append(item)
    return changes


def _clashes(changes: Sequence[Override], vary: Sequence[str], *, seeded: bool) -> Iterator[Fault]:
    """Faults of keys that are set in two places; a key and a key inside it count as the same."""
    seeds = [(_SEED, "seeds")] if seeded else []
    varied = [(key, "vary") for key in vary]
    settings = [(change.place, change.key, [*varied, *seeds]) for change in changes]
    settings += [(f"vary.{key}", key, [*varied[:index], *seeds]) for index, key in enumerate(vary)]
    for place, key, others in settings:
        for other, setter in others:
            if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
                yield Fault(
                    place, f"'{key}' cannot be set here: `{setter}` gives the values of {other}. Keep one of the two"
                )


def _variants(
    base: Mapping[str, Any], changes: Sequence[Override], vary: Mapping[str, list[Any]], faults: list[Fault]
) -> list[Variant]:
    variants: dict[str, Variant] = {}
    for combination in itertools.product(*vary.values()):
        values = dict(zip(vary, combination, strict=True))
        recipe = copy.deepcopy(dict(base))
        for change in [*changes, *(Override(key, value, place=f"vary.{key}") for key, value in values.items())]:
            try:
                apply_override(recipe, change.key, copy.deepcopy(change.value))
            except UserError as error:
                faults.append(Fault(change.place, str(error)))
        name = folder_name(flatten(values))
        if name in variants:
            first = variants[name].values
            key = next(key for key in vary if not _same(first[key], values[key]))
            one, other = show(first[key]), show(values[key])
            faults.append(
                Fault(f"vary.{key}", f"{one} and {other} would share the folder {name}; write one of them differently")
            )
        variants.setdefault(name, Variant(name, values, recipe))
    return list(variants.values())


def _same(one: object, other: object) -> bool:
    """Whether two values mean the same in a recipe: 1 and 1.0 do, 1 and true do not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)
