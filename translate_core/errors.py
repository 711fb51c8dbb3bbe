"""Errors for users: faults with their paths, the exceptions that carry them, and wordings that messages share."""

from __future__ import annotations

import difflib
import errno
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STDLIB = sysconfig.get_path("stdlib") + os.sep


_MOST = 100
"""Faults that one message lists."""
_LONGEST = 12_000
"""Characters after which a message lists no further fault."""


def shortened(text: str, most: int) -> str:
    """A text of at most that many characters; a longer one ends in `…`."""
    return text if len(text) <= most else text[: most - 1] + "…"


def text_of(error: BaseException) -> str:
    """The text of an exception, at most 20 lines of 1000 characters; a note in its place where it cannot be printed."""
    try:
        lines = str(error).split("\n", 20)
    except Exception as failure:
        return f"(its text fails: {type(failure).__name__})"
    return "\n".join([*(shortened(line, 1000) for line in lines[:20]), *(["…"] if len(lines) > 20 else [])])


def described(error: BaseException) -> str:
    """The type and the text of an exception: `KeyError: 'a'`."""
    return f"{type(error).__name__}: {text_of(error)}".removesuffix(": ")


class UserError(ValueError):
    """An error of the user's. The message is complete: it is shown without a traceback."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or SIGTERM. A KeyboardInterrupt that is not one of these was raised by a component."""


@dataclass(frozen=True)
class Fault:
    """One error and its place.

    path: dotted path of a key of the recipe (`losses.cycle.weight`), or a file.
    message: what is wrong, what is possible instead, what to do.
    """

    path: str
    message: str


class FaultsError(UserError):
    """All faults that were found, in one message."""

    def __init__(self, subject: str, faults: Sequence[Fault]) -> None:
        assert faults
        self.subject = subject
        # Roles that share a block repeat its faults; each is reported once.
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__(self._render())

    def _render(self) -> str:
        count = len(self.faults)
        width = min(max(len(fault.path) for fault in self.faults), 40)
        indent = "\n" + " " * (width + 4)
        texts = [
            f"  {fault.path:<{width}}  {fault.message.replace(chr(10), indent)}"
            if len(fault.path) <= width
            else f"  {shortened(fault.path, 200)}{indent}{fault.message.replace(chr(10), indent)}"
            for fault in self.faults[:_MOST]
        ]
        shown: list[str] = []
        for text in texts:
            shown.append(shortened("\n".join(shortened(line, 2000) for line in text.split("\n")), 6000))
            if sum(map(len, shown)) > _LONGEST:
                break
        if count > len(shown):
            shown.append(f"  … and {count - len(shown):,} more")
        return "\n".join([f"{self.subject} has {count:,} fault{'s' if count > 1 else ''}", *shown])


class RecipeError(FaultsError):
    """Faults of a recipe."""


class DataError(FaultsError):
    """Faults of a dataset on disk: folders that are missing or empty, files that do not decode."""


def nearest(name: str, existing: Iterable[str]) -> str | None:
    """The existing name that is most similar to `name`, None if none is; one that differs only in case wins."""
    others = list(existing)
    for other in others:
        if other.lower() == name.lower():
            return other
    by_lower = {other.lower(): other for other in others}
    matches = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def reason_of(error: OSError) -> str:
    """Why the system refuses a file or a folder, and what to do about a missing right to it."""
    reason = error.strerror or described(error)
    advice = _ADVICE.get(error.errno or 0)
    return f"{reason}. {advice}" if advice else reason


_RIGHTS = "Give this user the right to use it (chmod, chown), or choose another place"
_ADVICE = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "It can only be read there: choose another place, or mount it to be written to",
}


def did_you_mean(name: str, existing: Iterable[str]) -> str:
    """The end of a message about a name that does not exist.

    `, did you mean 'x'?` if one of the `existing` names is similar to `name`, else a full stop.
    """
    match = nearest(name, existing)
    return f", did you mean '{match}'?" if match else "."


def no_file(path: Path) -> str:
    """The message for a file that does not exist, with the most similar name beside it of the same suffix."""
    if path.is_dir():
        return f"{path} is a folder, not a file"
    beside = {item.stem: item.name for item in path.parent.glob(f"*{path.suffix}") if item.is_file()}
    match = nearest(path.stem, beside)
    return f"there is no file {path}" + (f", did you mean '{beside[match]}'?" if match else "")


def in_order(faults: Iterable[Fault], data: Mapping[str, Any]) -> list[Fault]:
    """Faults in the order of their keys in the recipe; faults of missing keys come last in their block."""

    positions: dict[int, dict[str, int]] = {}  # of the keys of each mapping

    def place(fault: Fault) -> list[int]:
        places = []
        inside: Any = data
        for key in fault.path.split("."):
            keys = inside if isinstance(inside, Mapping) else {}
            found = positions.setdefault(id(inside), {})
            if len(found) != len(keys):
                found.update({str(item): index for index, item in enumerate(keys)})
            places.append(found.get(key, len(keys)))
            inside = keys.get(key)
        return places

    return sorted(faults, key=place)


def raised_at(error: BaseException, package: str = "") -> str:
    """` (toy.py, line 3)`: the innermost place of a traceback outside Python, torch and the engine, empty if none.

    package: of the component, top level; its innermost place comes before those of the libraries that it uses.
    """
    if isinstance(error, SyntaxError):
        return ""  # its message has the place
    found = own = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not _is_library(file):
            found = f" ({Path(file).name}, line {trace.tb_lineno})"
            own = found if trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == package else own
        trace = trace.tb_next
    return own or found


def _is_library(file: str) -> bool:
    """Whether a file belongs to Python, to the engine, or to a library through which the engine calls plugins."""
    return (
        (file.startswith(_STDLIB) and "-packages" not in file)
        or file.startswith("<")
        or any(f"{os.sep}{library}{os.sep}" in file for library in ("torch", "lazy_loader", "pluggy"))
        or Path(__file__).parent in Path(file).parents
    )


class NoMemoryError(UserError):
    """Too little memory for something that the message names."""


_NO_MEMORY = re.compile(
    r"out of memory|not enough memory|can(?:'t|not) allocate memory|can't start new thread|failed to map segment",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be allocated.

    torch raises a RuntimeError of its own, or a bare one on the CPU, Python a RuntimeError for a thread, the loader of
    shared libraries an ImportError or an OSError.
    """
    if isinstance(error, MemoryError | NoMemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError | ImportError | OSError) and bool(_NO_MEMORY.search(text_of(error)))


def memory_error_behind(error: BaseException) -> BaseException | None:
    """The exception for want of memory that an exception is or was raised for; None if there is none.

    Code that handles any exception of a library or a component may take this one for damage or a defect.
    """
    chain: BaseException | None = error
    while chain is not None:
        if is_out_of_memory(chain):
            return chain
        chain = chain.__cause__ or chain.__context__
    return None


def explain(error: Exception) -> str:
    """The message for an exception of a component: of a ValueError its text, else its type, text and place.

    A library that the component calls raises kinds of ValueError, such as UnicodeDecodeError, not this one itself.
    """
    if isinstance(error, UserError):
        return str(error)
    if type(error) is ValueError:
        return text_of(error)
    return described(error).partition("\n")[0] + raised_at(error)  # torch adds its own frames


def written_in(component: object) -> str:
    """`Decay (mine.py)`: the class of a component and its file, for messages about what one of its methods returns."""
    module = sys.modules.get(type(component).__module__)
    file = getattr(module, "__file__", None)
    return type(component).__name__ + (f" ({Path(file).name})" if file else "")


def ended_by_component(error: BaseException, which: str = "a component") -> str | None:
    """The message for an exception that would end the program in silence, such as SystemExit.

    None for any other exception, and where no component raised it. which: the subject of the message.
    """
    if isinstance(error, Interrupted):
        return None
    place = raised_at(error) if isinstance(error, BrokenPipeError) or not isinstance(error, Exception) else ""
    if not place:
        return None
    try:
        shown = shortened(repr(error), 1000)
    except Exception:
        shown = type(error).__name__
    return f"{which} tried to end the program with {shown}{place}: it must raise an error instead"
