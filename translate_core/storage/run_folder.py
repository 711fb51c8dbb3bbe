"""The folder of a run: its recipe, its record, its checkpoints, and the lock that one process at a time holds."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TextIO

from translate_core.contracts.observer import Result
from translate_core.errors import UserError, reason_of
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.runtime import yaml12
from translate_core.runtime.console import warn
from translate_core.runtime.files import PART, copy_file, make_folder, real_path, sync_folder, write_text
from translate_core.storage.checkpoints import Checkpoints
from translate_core.storage.models import EarlyEnd, RecordModel, ResultsModel, read_json
from translate_core.storage.names import LOCK, PLUGINS, RECIPE, RECORD, RESULTS
from translate_core.storage.record import early_end


def default_folder(recipe: Path, overrides: Mapping[str, Any], operation: frozenset[str]) -> Path:
    """`runs/<recipe>,<result keys of the overrides>`: the same command finds the same folder."""
    deciding = {
        key: value
        for key, value in overrides.items()
        if not any(key == item or key.startswith(item + ".") for item in operation)
    }
    return Path("runs") / folder_name(deciding, recipe.stem)


def folder_name(values: Mapping[str, Any], *words: str) -> str:
    """A name for a folder: the words, then `key=value` of a flat mapping in the order of its keys.

    Characters that a file system or a shell may not accept become `-`; a long name ends in a hash of the whole.
    """
    settings = [
        f"{key}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"
        for key, value in sorted(values.items())
    ]
    name = re.sub(r"[^A-Za-z0-9._=,+-]+", "-", ",".join([*words, *settings])).strip("-.")
    if len(name) > 120:
        return f"{name[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return name


@dataclass(frozen=True)
class RunFolder:
    """A run folder, whether it exists or not."""

    path: Path

    @property
    def checkpoints(self) -> Checkpoints:
        """Its checkpoints."""
        return Checkpoints(self.path / "checkpoints")

    @property
    def weights(self) -> Path:
        """The folder of the weights that a finished run shares."""
        return self.path / "weights"

    @property
    def embeddings(self) -> Path:
        """The folder of the embeddings of reference images, which metrics over sets compare with."""
        return self.path / "embeddings"

    def exists(self) -> bool:
        """Whether a run has been started here."""
        return (self.path / RECORD).is_file()

    def record(self) -> dict[str, Any]:
        """What the run recorded about itself. Raises UserError when this is not a run folder."""
        try:
            return read_json(self.path / RECORD, RecordModel)
        except FileNotFoundError:
            raise UserError(f"{self.path} is not a run folder: it has no {RECORD}") from None

    def begin(self, record: Mapping[str, Any], recipe: ResolvedRecipe) -> None:
        """Writes the resolved recipe, copies of the recipe's plugin files and, last, the record.

        Raises UserError where this user may not write: now, not when the first checkpoint is saved.
        """
        make_folder(self.path)
        for folder in (self.path, self.checkpoints.folder, self.weights):
            if folder.exists() and not _is_writable(folder):
                raise _not_writable(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        data = dict(recipe.record)
        files = recipe.plugins.files
        if files:
            folder = self.path / PLUGINS
            make_folder(folder)
            for source in files.values():
                if real_path(source) != real_path(folder / source.name):
                    copy_file(source, folder / source.name)
            data["plugins"] = [
                f"{PLUGINS}/{files[entry].name}" if entry in files else entry for entry in data["plugins"]
            ]
        comment = f"# The recipe as resolved, every default filled in.\n#   translate-run {self.path / RECIPE}\n"
        write_text(self.path / RECIPE, comment + yaml12.dump(data))
        self.write_record(record)

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Writes what the run records about itself."""
        write_text(self.path / RECORD, json.dumps(record, indent=2, ensure_ascii=False) + "\n")

    def saved_nothing(self) -> bool:
        """Whether the run has not saved anything that training computed: checkpoints, weights or results."""
        return self.checkpoints.none_written() and not self.weights.exists() and not (self.path / RESULTS).exists()

    def unknown_files(self) -> list[str]:
        """Names in the folder that no run leaves behind before its record is written."""
        if not self.path.exists():
            return []
        own = (RECIPE, RECIPE + PART, RECORD + PART, LOCK, PLUGINS)
        return sorted(item.name for item in self.path.iterdir() if item.name not in own)

    def write_results(self, step: int, results: Sequence[Result], ended: EarlyEnd | None = None) -> None:
        """Records the final test metrics. step: the last of the run. ended: why it is less than the length."""
        content: dict[str, Any] = {"step": step, "results": [asdict(result) for result in results]}
        if ended is not None:
            content["ended"] = ended.model_dump()
        write_text(self.path / RESULTS, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def final_results(self, steps: int) -> list[Result] | None:
        """The final test metrics; None while the run is not finished. steps: its length.

        The results are written before the last checkpoint, without which a run is not finished.
        """
        try:
            content = read_json(self.path / RESULTS, ResultsModel)
        except FileNotFoundError:
            return None
        except UserError as error:
            raise UserError(f"{error}; remove {self.path} to train this run again") from None
        done = content["step"]
        finished = done >= steps or early_end(content, steps) is not None
        if not finished or not self.checkpoints.path(done).exists():
            return None
        names = [field.name for field in fields(Result)]
        return [Result(**{name: result[name] for name in names}) for result in content["results"]]

    def set_aside(self) -> Path | None:
        """Renames an existing folder to `<name>.1`, `.2`, …; returns its new path."""
        if not self.path.exists():
            return None
        here = Path.cwd()
        if real_path(self.path) in (here, *here.parents):
            raise UserError(f"{self.path} holds the current folder, so it cannot be moved aside: choose another --out")
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        self.path.rename(aside)
        sync_folder(aside.parent)
        return aside

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the folder for this process. Raises UserError when another process holds the lock.

        A record lock (`lockf`), not a lock of the library filelock, which uses `flock`: loader processes inherit that
        one, and may outlive a training process that was killed. The file names the process that holds it. On a file
        system without locks, such as some of the network, nothing is locked, with a warning.
        """
        try:
            make_folder(self.path)
            opened = (self.path / LOCK).open("a+", encoding="utf-8", errors="replace")
        except OSError as error:
            if error.errno in _DENIED:
                raise _not_writable(self.path, error) from None
            raise
        if os.name != "posix":
            opened.close()
            yield
            return
        import fcntl

        with opened as stream:
            try:
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in _HELD:
                    raise UserError(_at_work(self.path, stream)) from None
                if error.errno not in _NO_LOCKS:
                    raise UserError(f"{self.path / LOCK} cannot be locked: {reason_of(error)}") from error
                warn(
                    f"{self.path} cannot be locked, since its file system has no locks ({error.strerror}): make sure "
                    f"that no second process trains there at the same time"
                )
            with suppress(OSError):  # a full disk does not concern the lock
                os.ftruncate(stream.fileno(), 0)
                os.write(stream.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            yield


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _not_writable(folder: Path, error: OSError) -> UserError:
    return UserError(f"{folder} cannot be written: {reason_of(error)}")


_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_HELD = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What file systems answer that have no locks, or whose server for locks does not answer."""


def _at_work(folder: Path, stream: TextIO) -> str:
    """The message about a folder that is locked. stream: its lock, which names the process that holds it."""
    stream.seek(0)
    holder = re.fullmatch(r"process \d+ on [\w.-]+\n", stream.read(300))
    who = f" ({holder[0].strip()})" if holder else ""
    return f"another process is at work in {folder}{who}; wait for it, or choose another --out"
