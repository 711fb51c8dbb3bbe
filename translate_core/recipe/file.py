"""The YAML file of a recipe or of an ablation, read as plain data.

Nothing here imports torch, so that a fault of the YAML is reported before torch is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from translate_core.errors import UserError
from translate_core.runtime import yaml12
from translate_core.runtime.yaml12 import show


def read_recipe(path: Path) -> dict[str, Any]:
    """The data of a recipe or an ablation, not yet validated.

    Raises UserError for a file that cannot be read or does not hold a mapping.
    """
    data = yaml12.read(path)
    if not isinstance(data, dict):
        found = "is empty" if data is None else f"holds {show(data)}"
        raise UserError(f"recipe {path} {found}: a recipe is a mapping of blocks such as `method:`, `data:`, `losses:`")
    return data


def subject_of(path: Path | None) -> str:
    """What messages call a recipe. path: its file, None for data from Python."""
    return f"recipe {path}" if path is not None else "the recipe"


def is_ablation(data: Mapping[str, Any]) -> bool:
    """Whether the data are those of an ablation, which varies another recipe."""
    return "base" in data or "vary" in data
