"""A disk that loses power: the operations on a folder are recorded, and what may be left of them is made.

The pessimistic model: the content of a file lasts once the file was flushed (`fsync`), and until it is opened to be
written again. Names that were made, renamed or removed in a folder last once the folder was flushed. Of everything
else, each part may have reached the disk, or not; unflushed content may also be empty, cut off, or garbage.
"""

from __future__ import annotations

import builtins
import io
import os
import random
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Operation:
    """One operation below the recorded folder.

    what: `make` (a file), `folder`, `write` (the file is opened to be written), `flush` (of a file), `flush folder`,
    `rename`, `remove`, or `announce`, by which a test marks what must last from here on. file: its number. content:
    what was flushed. step: what was announced.
    """

    what: str
    path: Path
    file: int = 0
    target: Path = Path()
    content: bytes = b""
    step: int = 0


@dataclass
class Journal:
    """The operations below a folder, in order."""

    root: Path
    operations: list[Operation] = field(default_factory=list)
    _files: dict[Path, int] = field(default_factory=dict)
    _count: int = 0

    def announce(self, step: int) -> None:
        """Marks that what was saved after a step must last."""
        self.operations.append(Operation("announce", Path(), step=step))

    def opened(self, path: Path, mode: str) -> None:
        """A file is opened."""
        if self._is_below(path) and set(mode) & set("wax+"):
            self.operations.append(Operation("write", path, self._number(path)))

    def flushed(self, path: Path, is_folder: bool) -> None:
        """A file or a folder was flushed."""
        if is_folder and self._is_below(path / "any"):
            self.operations.append(Operation("flush folder", path))
        elif self._is_below(path):
            self.operations.append(Operation("flush", path, self._number(path), content=path.read_bytes()))

    def renamed(self, path: Path, target: Path) -> None:
        """A file has another name."""
        if self._is_below(path):
            number = self._number(path)
            del self._files[path]
            self._files[target] = number
            self.operations.append(Operation("rename", path, number, target))

    def removed(self, path: Path) -> None:
        """A file was removed."""
        if self._is_below(path):
            self._files.pop(path, None)
            self.operations.append(Operation("remove", path))

    def made_folder(self, path: Path) -> None:
        """A folder was made."""
        if self._is_below(path):
            self.operations.append(Operation("folder", path))

    def _is_below(self, path: Path) -> bool:
        return self.root in path.parents

    def _number(self, path: Path) -> int:
        """The number of the file at a path; of one that native code made, from now on."""
        if path not in self._files:
            self._count += 1
            self._files[path] = self._count
            self.operations.append(Operation("make", path, self._count))
        return self._files[path]


@contextmanager
def recorded(root: Path) -> Iterator[Journal]:
    """Records what this process does to files below a folder, by the functions of Python that do it."""
    journal = Journal(root)
    with pytest.MonkeyPatch.context() as patch:

        def replace(module: Any, name: str, after: Callable[..., None], before: bool = False) -> None:
            real = getattr(module, name)

            def call(*arguments: Any, **options: Any) -> Any:
                if before:
                    after(*arguments, **options)
                result = real(*arguments, **options)
                if not before:
                    after(*arguments, **options)
                return result

            patch.setattr(module, name, call)

        def opened(file: Any, mode: str = "r", *_: Any, **__: Any) -> None:
            if isinstance(file, str | os.PathLike):
                journal.opened(Path(os.path.abspath(file)), mode)

        def flushed(descriptor: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            journal.flushed(path, stat.S_ISDIR(os.fstat(descriptor).st_mode))

        def renamed(path: Any, target: Any, **_: Any) -> None:
            journal.renamed(Path(os.path.abspath(path)), Path(os.path.abspath(target)))

        for module in (builtins, io):
            replace(module, "open", opened)
        replace(os, "fsync", flushed)
        for name in ("rename", "replace"):
            replace(os, name, renamed)
        for name in ("unlink", "remove"):
            replace(os, name, lambda path, **_: journal.removed(Path(os.path.abspath(path))))
        replace(os, "mkdir", lambda path, *_, **__: journal.made_folder(Path(os.path.abspath(path))))
        yield journal


def leave(operations: Sequence[Operation], root: Path, place: Path, rng: random.Random) -> None:
    """Makes below `place` what a power cut after these operations may leave of `root`. rng: decides what is lost."""
    last = {item.file: item.content for item in operations if item.what == "flush"}
    flushed: dict[int, bytes] = {}
    changed: set[int] = set()
    kept: list[Operation] = []
    pending: list[Operation] = []
    for item in operations:
        if item.what == "write":
            changed.add(item.file)
        elif item.what == "flush":
            changed.discard(item.file)
            flushed[item.file] = item.content
        elif item.what == "flush folder":
            kept += [other for other in pending if _folder(other) == item.path]
            pending = [other for other in pending if _folder(other) != item.path]
        elif item.what != "announce":
            pending.append(item)
    share = rng.choice((0.0, 0.5, 1.0))
    happened = {id(item) for item in [*kept, *(item for item in pending if rng.random() < share)]}
    names: dict[Path, int] = {}
    folders = {root}
    for item in operations:
        if id(item) not in happened:
            continue
        if item.what == "folder":
            folders.add(item.path)
        elif item.what == "make":
            names[item.path] = item.file
        elif item.what == "rename":
            names.pop(item.path, None)
            names[item.target] = item.file
        elif item.what == "remove":
            names.pop(item.path, None)
    reachable = {path for path in folders if all(up in folders for up in path.parents if root in (up, *up.parents))}
    for path in sorted(reachable):
        (place / path.relative_to(root)).mkdir(parents=True, exist_ok=True)
    for path, number in names.items():
        if path.parent in reachable:
            content = flushed.get(number, b"")
            if number in changed or number not in flushed:
                content = _unflushed(content, last.get(number, b"unflushed text\n"), rng)
            (place / path.relative_to(root)).write_bytes(content)


def _folder(item: Operation) -> Path:
    """The folder whose flush makes an operation last."""
    return item.path.parent


def _unflushed(before: bytes, after: bytes, rng: random.Random) -> bytes:
    """What may be left of content that was not flushed."""
    garbage = rng.randbytes(len(after))
    return rng.choice((before, b"", after[: len(after) // 2], bytes(len(after)), garbage, after))
