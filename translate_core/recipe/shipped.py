"""The recipes that come with the package, found by name.

The name of a shipped recipe is its path in that folder without the suffix: `quickstart`, `ablations/cycle_loss`.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import translate_core
from translate_core.errors import UserError, nearest, no_file
from translate_core.runtime import yaml12
from translate_core.runtime.files import real_path, write_text

SUFFIX = ".yaml"


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of every shipped recipe, sorted by name; ablations come last."""
    folder = _folder()
    names = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob(f"*{SUFFIX}")}
    return dict(sorted(names.items(), key=lambda item: ("/" in item[0], item[0])))


def _folder() -> Path:
    """The folder `translate_recipes` of an installation, or `recipes` of a checkout; both lie beside the engine."""
    beside = Path(translate_core.__file__).parents[1]
    installed = beside / "translate_recipes"
    return installed if installed.is_dir() else beside / "recipes"


def find_recipe(name_or_path: str | Path) -> Path:
    """The file of a recipe. name_or_path: a path, or the name of a shipped recipe; a file that exists wins.

    Raises UserError, with the nearest name and all that exist, where there is neither.
    """
    path = Path(name_or_path)
    shipped = shipped_recipes()
    name = path.as_posix()
    if path.exists() and not (path.is_dir() and name in shipped):
        return path  # a folder is reported by the function that reads the file
    if name in shipped:
        return shipped[name]
    if path.suffix in (SUFFIX, ".yml"):
        raise UserError(_no_such_file(path, shipped))
    raise UserError(_no_such_name(name, shipped))


def _no_such_file(path: Path, shipped: dict[str, Path]) -> str:
    """The wording for the path of a file; a shipped recipe of this name is mentioned."""
    places = {name: Path("recipes", name).with_suffix(SUFFIX) for name in shipped}
    for name, place in places.items():
        if path.name == place.name or path.as_posix().endswith(place.as_posix()):
            return f"{no_file(path)}. The recipe '{name}' comes with the package: give its name instead of a path"
    return no_file(path)


def _no_such_name(name: str, shipped: dict[str, Path]) -> str:
    names = {shipped_name.rpartition("/")[2]: shipped_name for shipped_name in shipped} | {key: key for key in shipped}
    match = nearest(name, names)
    guess = f", did you mean '{names[match]}'?" if match else "."
    return f"there is neither a file nor a shipped recipe '{name}'{guess} The shipped recipes: {', '.join(shipped)}"


def summary_of(path: Path) -> str:
    """What a recipe is for: the lines of its first comment before the indented commands, as one line."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("#")
        if text == line or text.startswith("  ") or not text.strip():
            break
        lines.append(text.strip())
    return " ".join(lines)


@dataclass(frozen=True)
class Copied:
    """A copied recipe. written: the new files, the recipe first. kept: a base that was there already, unchanged."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]


def copy_recipe(name: str, destination: Path) -> Copied:
    """Copies a shipped recipe; an ablation together with the recipe that it varies, into the same folder.

    The commands in the first comment and the `base:` of an ablation are changed to the new paths.

    destination: a file, or a folder that exists. Raises UserError for an unknown name, and for a file that exists; a
    base that exists and is the shipped one is kept.
    """
    shipped = shipped_recipes()
    if name not in shipped:
        raise UserError(_no_such_name(name, shipped))
    source = shipped[name]
    target = destination / source.name if destination.is_dir() else destination
    text = source.read_text(encoding="utf-8")
    files = {target: _with_new_path(text, name, target)}
    kept = []
    base = _base_of(source)
    if base is not None:
        base_name = base.relative_to(_folder().resolve()).with_suffix("").as_posix()
        base_target = target.with_name(base.name)
        base_text = _with_new_path(base.read_text(encoding="utf-8"), base_name, base_target)
        files[target] = re.sub(r"(?m)^base:.*$", f"base: {base.name}", files[target], count=1)
        if base_target == target:
            raise UserError(f"{target} is the name of the recipe that '{name}' varies: choose another name")
        if base_target.is_file() and base_target.read_text(encoding="utf-8") == base_text:
            kept.append(base_target)
        else:
            files[base_target] = base_text
    _refuse_existing(files)
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, content)
    return Copied(tuple(files), tuple(kept))


def _base_of(path: Path) -> Path | None:
    data = yaml12.read(path)
    return real_path(path.parent / data["base"]) if "base" in data else None


def _with_new_path(text: str, name: str, target: Path) -> str:
    """The text of a recipe whose first comment launches the copy."""
    return text.replace(f"translate-run recipes/{name}{SUFFIX}", f"translate-run {shlex.quote(str(target))}")


def _refuse_existing(files: dict[Path, str]) -> None:
    for path in files:
        if path.exists():
            raise UserError(f"{path} exists already: choose another file or folder, nothing was copied")
