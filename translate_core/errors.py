"""What a user is told: faults collected with their path, and the exceptions that carry them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


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
        self.faults = tuple(faults)
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
    """`, did you mean 'x'?` when something is near, else a full stop."""
    match = nearest(asked, existing)
    return f", did you mean '{match}'?" if match else "."
