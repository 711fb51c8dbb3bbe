"""The rule that every attempt is held to: the status, one message, nothing half-written."""

from __future__ import annotations

import contextlib
import io
import random
import re
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

DONE, DEFECT, FAULT, INTERRUPTED = 0, 1, 2, 130
LONGEST = 20_000
"""Characters that a command may print on stderr."""

_WARNING = re.compile(r"^\S+\.py:\d+: \w*Warning: .*", re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    """How a command ended. command: its name. printed: on stderr."""

    command: str
    status: int
    printed: str

    def broken(self, names: Sequence[str] = (), allowed: Sequence[int] = (DONE, FAULT)) -> Iterator[str]:
        """What it broke of the rule. names: texts of which the message of a fault contains at least one."""
        if self.status not in allowed:
            yield f"status {self.status}"
        if "Traceback (most recent call last)" in self.printed:
            yield "a traceback"
        if len(self.printed) > LONGEST:
            yield f"a message of {len(self.printed):,} characters"
        if warning := _WARNING.search(self.printed):
            yield f"a raw warning: {warning[0]}"
        if self.status == FAULT:
            messages = re.findall(rf"^{self.command}: |^\d+ of \d+ runs failed", self.printed, re.MULTILINE)
            if len(messages) != 1:
                yield f"{len(messages)} messages"
            elif names and not any(name in self.printed for name in names):
                yield f"the message names none of {', '.join(names)[:200]}"


@dataclass(frozen=True)
class Outcome:
    """One attempt. what: what was done, in a line. statuses: of its commands. broken: what they broke of the rule.

    printed: all that they printed.
    """

    what: str
    statuses: tuple[int, ...]
    broken: tuple[str, ...] = ()
    printed: str = ""


def outcome(what: str, ended: Sequence[Ended], broken: Sequence[str] = ()) -> Outcome:
    """The outcome of commands that have ended. broken: what was found beside their own."""
    return Outcome(what, tuple(item.status for item in ended), tuple(broken), "\n".join(item.printed for item in ended))


def half_written(folder: Path) -> list[str]:
    """A text for each file below a folder that is not whole."""
    return [f"half-written: {path.relative_to(folder)}" for path in sorted(folder.rglob("*.part"))]


class Campaign(ABC):
    """Attempts of one sort, each decided by its generator alone.

    name: on the command line. limit: seconds for one attempt; more counts as a hang.
    """

    name: ClassVar[str]
    limit: ClassVar[float] = 60.0

    def __init__(self, shared: Path) -> None:
        """shared: a folder for what all attempts use."""
        self.shared = shared

    @abstractmethod
    def attempt(self, rng: random.Random, folder: Path) -> Outcome:
        """One attempt. folder: an empty one of its own."""

    def tried(self, seed: int, index: int, folder: Path) -> Outcome:
        """The attempt of a seed and an index: always the same."""
        return self.attempt(random.Random(f"{self.name} {seed} {index}"), folder)


def called(command: str, main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> Ended:
    """Runs a command in this process. What leaves `main`, except SystemExit, counts as a defect."""
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(arguments)
        except SystemExit as ended:  # argparse
            status = ended.code if isinstance(ended.code, int) else DEFECT
        except BaseException:
            printed.write(traceback.format_exc())
            status = DEFECT
    return Ended(command, status, printed.getvalue())
