"""Files that are written whole or not at all, and their digests."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from translate_core.errors import UserError, reason_of

PART = ".part"
"""Suffix of a file that is not whole yet."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which takes its place when the block ends.

    The content is flushed to the disk before the file is renamed, so `path` is either the old file or the whole new
    one, also after a power cut. When the block raises, the temporary file is removed and `path` stays as it was.

    Raises UserError when the system refuses to write.
    """
    part = path.with_name(path.name + PART)
    try:
        yield part
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException as error:
        written = part.stat().st_size if part.exists() else 0
        part.unlink(missing_ok=True)
        number = _errno(error)
        if number in _FULL:
            raise UserError(_no_space(path, number, written)) from error
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(part)):
            raise UserError(f"{path} cannot be written: {reason_of(error)}") from error
        raise
    sync_folder(path.parent)


def _errno(error: BaseException) -> int | None:
    """The number of the system's error behind an exception, which a library may replace, or name in its text only."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError):
            return chain.errno
        chain = chain.__cause__ or chain.__context__
    named = re.search(r"os error (\d+)", str(error))
    return int(named[1]) if named else None


def _no_space(path: Path, number: int, written: int) -> str:
    free = shutil.disk_usage(path.parent).free
    return (
        f"{path} cannot be written: {os.strerror(number)}, after {written:,} bytes; {free:,} bytes are free there now. "
        f"Make room, and run the same command again"
    )


def write_text(path: Path, text: str) -> None:
    """Writes a text file (UTF-8) as `atomic_write` does."""
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def copy_file(source: Path, target: Path) -> None:
    """Copies the content of a file as `atomic_write` writes it."""
    with atomic_write(target) as part:
        shutil.copyfile(source, part)


def real_path(path: Path) -> Path:
    """The absolute path without links. Unlike `Path.resolve` it accepts a link to itself, which then does not exist."""
    return Path(os.path.realpath(path))


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it that are missing. They last through a power cut."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        sync_folder(place.parent)


def sync_folder(folder: Path) -> None:
    """Makes what was made, renamed and removed in a folder last through a power cut, where the file system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise OSError(error.errno, error.strerror, str(folder)) from None
    finally:
        os.close(descriptor)


_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)
"""What file systems answer that cannot flush a folder, such as some of the network."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk, a quota or the largest size of a file is exhausted."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_file(path: Path) -> bytes:
    """The content of a file, or of the file that a link leads to.

    A pipe or a device is not opened: reading it may take forever, or all memory. Raises UserError for those, OSError
    for a file that cannot be read.
    """
    _check_regular(path)
    return path.read_bytes()


def check_no_pipes(folder: Path) -> None:
    """Raises UserError for a pipe, a socket or a device in a folder, on which reading or writing may wait forever."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            kind = stat.S_IFMT(path.stat().st_mode)
        except OSError:  # a link that leads nowhere, or a file that another process has just renamed
            continue
        if kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise UserError(f"{path} is {_KINDS.get(kind, 'something else')}, not a file: remove it")


def _check_regular(path: Path) -> None:
    kind = stat.S_IFMT(path.stat().st_mode)
    if kind != stat.S_IFREG:
        raise UserError(f"is {_KINDS.get(kind, 'something else')}, not a file")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises as `read_file`."""
    _check_regular(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
