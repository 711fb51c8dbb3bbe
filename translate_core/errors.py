"""What a user is told: faults collected with their path, and the exceptions that carry them."""

from __future__ import annotations

import difflib
import os
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STDLIB = sysconfig.get_path("stdlib") + os.sep


class UserError(ValueError):
    """Something the user asked for cannot be done. The message is complete: it is shown without a traceback."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and where.

    path: dotted path of the key in the recipe (`losses.cycle.weight`), or the file.
    message: what was asked, what exists, what to do.
    """

    path: str
    message: str


class FaultsError(UserError):
    """Every fault that was found, shown at once."""

    def __init__(self, subject: str, faults: Sequence[Fault]) -> None:
        assert faults
        self.subject = subject
        # Roles that share a block share its faults; each is told once.
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__(self._render())

    def _render(self) -> str:
        count = len(self.faults)
        width = min(max(len(fault.path) for fault in self.faults), 40)
        indent = "\n" + " " * (width + 4)
        lines = [
            f"  {fault.path:<{width}}  {fault.message.replace(chr(10), indent)}"
            if len(fault.path) <= width
            else f"  {fault.path}{indent}{fault.message.replace(chr(10), indent)}"
            for fault in self.faults
        ]
        return "\n".join([f"{self.subject} has {count} fault{'s' if count > 1 else ''}", *lines])


class RecipeError(FaultsError):
    """Faults of a recipe."""


class DataError(FaultsError):
    """Faults of a data set on disk: folders that are missing or empty, files that do not decode."""


def nearest(asked: str, existing: Iterable[str]) -> str | None:
    """The existing name that `asked` was most likely meant to be; case is compared last."""
    names = list(existing)
    for name in names:
        if name.lower() == asked.lower():
            return name
    by_lower = {name.lower(): name for name in names}
    matches = difflib.get_close_matches(asked.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def did_you_mean(asked: str, existing: Iterable[str]) -> str:
    """The end of a message about a name that does not exist.

    `, did you mean 'x'?` when one of the `existing` names is near to `asked`, else a full stop.
    """
    match = nearest(asked, existing)
    return f", did you mean '{match}'?" if match else "."


def no_file(path: Path) -> str:
    """The wording for a file that does not exist, with one beside it of the same suffix that was most likely meant."""
    if path.is_dir():
        return f"{path} is a folder, not a file"
    beside = {item.stem: item.name for item in path.parent.glob(f"*{path.suffix}") if item.is_file()}
    match = nearest(path.stem, beside)
    return f"there is no file {path}" + (f", did you mean '{beside[match]}'?" if match else "")


def in_order(faults: Iterable[Fault], data: Mapping[str, Any]) -> list[Fault]:
    """Faults in the order in which a recipe has their keys; those about keys that it lacks come after."""

    def place(fault: Fault) -> list[int]:
        places = []
        inside: Any = data
        for key in fault.path.split("."):
            keys = [str(item) for item in (inside if isinstance(inside, Mapping) else ())]
            places.append(keys.index(key) if key in keys else len(keys))
            inside = inside.get(key) if isinstance(inside, Mapping) else None
        return places

    return sorted(faults, key=place)


def raised_at(error: BaseException) -> str:
    """` (toy.py, line 3)`: the innermost place in a file that is not Python's own, torch's or the engine's."""
    if isinstance(error, SyntaxError):
        return ""  # its text has the place
    found = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not _is_library(file):
            found = f" ({Path(file).name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return found


def _is_library(file: str) -> bool:
    """Whether a file belongs to Python, to the engine, or to a library that calls plugins for it."""
    return (
        (file.startswith(_STDLIB) and "-packages" not in file)
        or file.startswith("<")
        or any(f"{os.sep}{library}{os.sep}" in file for library in ("torch", "lazy_loader"))
        or Path(__file__).parent in Path(file).parents
    )


def explain(error: Exception) -> str:
    """What a component's constructor raised: its own words where they are meant for the user, else what and where."""
    if isinstance(error, ValueError):
        return str(error)
    return f"{type(error).__name__}: {error}{raised_at(error)}"


def ended_by_component(error: BaseException) -> str | None:
    """The message for an exception that would end the program in silence, such as SystemExit.

    None for any other exception, and where no component raised it.
    """
    place = raised_at(error) if isinstance(error, BrokenPipeError) or not isinstance(error, Exception) else ""
    return f"a component ended the program with {error!r}{place}: it must not" if place else None
