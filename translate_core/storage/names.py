"""The names in a run folder, and whether a path lies in one.

Imports no torch: a command refuses what is wrong before it does so.
"""

from __future__ import annotations

from pathlib import Path

from translate_core.runtime.files import real_path

RECIPE = "recipe.yaml"
RECORD = "run.json"
RESULTS = "results.json"
LOCK = ".lock"
PLUGINS = "plugins"


def enclosing_run(path: Path) -> Path | None:
    """The run folder that a path is or lies in; None if there is none."""
    place = real_path(path)
    return next((folder for folder in (place, *place.parents) if (folder / RECORD).is_file()), None)
