"""A recipe loaded from Python: a file or data, with overrides, to a resolved recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from translate_core.components.plain import plain, plain_mapping
from translate_core.errors import Fault, RecipeError, UserError
from translate_core.recipe.file import is_ablation, read_recipe, subject_of
from translate_core.recipe.overrides import Override, Overrides, is_dotted_key, parse_overrides
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.recipe.resolver import resolve
from translate_core.recipe.shipped import find_recipe

_PLACE = "overrides"


def load_recipe(
    source: str | os.PathLike[str] | Mapping[str, Any], overrides: Sequence[str] | Mapping[str, Any] = ()
) -> ResolvedRecipe:
    """Loads the plugins of a recipe and validates every block of it. Opens no data and allocates nothing.

    Args:
        source: the path of a YAML file, the name of a shipped recipe, or the data of a recipe as Python values (tuples
            serve as lists, paths and lengths as text). A `.py` file in its `plugins` is relative to the YAML file; for
            data, to the current folder.
        overrides: `KEY=VALUE` texts as `--set` takes them, or dotted keys with Python values. Applied in their order;
            a mapping as a value replaces a block.

    Raises:
        UserError: there is no such file or shipped recipe, it cannot be read, or it is an ablation.
        RecipeError: every fault of the overrides, or else every fault of the recipe.
    """
    path: Path | None = None
    if isinstance(source, Mapping):
        data = _plain_recipe(source)
    else:
        path = find_recipe(Path(source))
        data = read_recipe(path)
    if is_ablation(data):
        raise UserError(f"{subject_of(path)} is an ablation: it has `base` and `vary`. Load the recipe that it varies")
    return resolve(path, _parsed(overrides).apply(data, subject_of(path)))


def _plain_recipe(source: Mapping[str, Any]) -> dict[str, Any]:
    faults: list[Fault] = []
    data = plain_mapping(source, "", faults)
    if faults:
        raise RecipeError(subject_of(None), faults)
    return data


def _parsed(overrides: Sequence[str] | Mapping[str, Any]) -> Overrides:
    if isinstance(overrides, str):
        raise UserError(f"overrides must be a list of KEY=VALUE texts or a mapping, not the text '{overrides}'")
    if not isinstance(overrides, Mapping):
        return parse_overrides(overrides, _PLACE)
    items: list[Override] = []
    faults: list[Fault] = []
    for key, value in overrides.items():
        if isinstance(key, str) and is_dotted_key(key):
            items.append(Override(key, plain(value, key, faults), _PLACE))
        else:
            faults.append(Fault(_PLACE, f"the key {key!r} must be dotted text, such as 'training.batch_size'"))
    return Overrides(tuple(items), tuple(faults))
