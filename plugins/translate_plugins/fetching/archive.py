"""Unpacks zip and .tar.gz files from untrusted sources.

Not done by pooch, whose processors unpack everything without a limit on the size, links included, and verify the
archive as a whole: a mirror that packed the same images again would be refused.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

from translate_core import progress

MOST_BYTES = 10 * 2**30
MOST_TIMES = 50
"""An archive is refused if its content is more than MOST_BYTES and more than MOST_TIMES its own size."""
MOST_MEMBERS = 2_000_000
"""A .tar.gz file with more members is refused: each of them takes memory."""
_AT_ONCE = 16 * 2**20
"""Most bytes that are read into memory at once; a tar file may declare any length for a name."""
_CHUNK = 1024 * 1024

_Kind = Literal["file", "folder", "link", "other"]


class ArchiveError(Exception):
    """Why an archive was not unpacked, for the user."""


@dataclass(frozen=True)
class _Member:
    """An entry of an archive.

    Args:
        name: its path in the archive.
        kind: only files are unpacked; their folders are created.
        size: bytes of its content.
        open: opens its content.
    """

    name: str
    kind: _Kind
    size: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, target: Path, wanted: Collection[str] | None = None) -> dict[str, str]:
    """Unpacks into the folder `target`, which must not exist. Returns the SHA-256 of each file by its relative name.

    A single folder at the top of the archive is removed from the names: `horse2zebra/trainA/1.jpg` becomes
    `trainA/1.jpg`. Hidden files and `__MACOSX` are not unpacked.

    Args:
        archive: a zip or .tar.gz file, recognised by its content; the file name does not matter.
        target: the folder to create.
        wanted: relative names of the files to unpack; None for all.

    Raises:
        ArchiveError: the file is neither, is damaged, has too large a content, or has a member that is a link or lies
            outside of `target`. All but a damaged member of a zip file are found before anything is written.
    """
    with _members_of(archive) as members:
        named = _named(members)
        if wanted is not None:
            named = {name: member for name, member in named.items() if name in wanted}
        target.mkdir()
        digests: dict[str, str] = {}
        with progress(f"unpacking {archive}", len(named)) as advance:
            for name, member in named.items():
                digests[name] = _extract(member, target / name)
                advance(1)
        return digests


@contextmanager
def _members_of(archive: Path) -> Iterator[list[_Member]]:
    """Yields the members, all of them safe, in the order of the archive."""
    with open(archive, "rb") as file:
        start = file.read(2)
    if start == b"\x1f\x8b":
        opened, kind = _tar_members, ".tar.gz file"
    elif start == b"PK" or zipfile.is_zipfile(archive):
        opened, kind = _zip_members, "zip file"
    else:
        raise ArchiveError("is neither a zip file nor a .tar.gz file")
    try:
        with opened(archive) as members:
            yield members
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise ArchiveError(f"is not a {kind}, or is damaged: {error}") from None
    except (NotImplementedError, RuntimeError) as error:
        raise ArchiveError(f"is a {kind} that Python cannot unpack: {error}") from None


@contextmanager
def _zip_members(archive: Path) -> Iterator[list[_Member]]:
    with zipfile.ZipFile(archive) as file:

        def member(entry: zipfile.ZipInfo) -> _Member:
            link = stat.S_ISLNK(entry.external_attr >> 16)
            kind: _Kind = "link" if link else "folder" if entry.is_dir() else "file"
            # zipfile reads no more bytes than declared and compares the CRC at the end.
            return _Member(entry.filename, kind, entry.file_size, lambda: file.open(entry))

        members = [member(entry) for entry in file.infolist()]
        for each in members:
            _refuse_unsafe(each)
        _refuse_too_large(sum(each.size for each in members), archive.stat().st_size)
        yield members


@contextmanager
def _tar_members(archive: Path) -> Iterator[list[_Member]]:
    """The members of a .tar.gz file. It has no list of them, so the whole file is read once."""
    size = archive.stat().st_size
    with open(archive, "rb") as compressed, gzip.GzipFile(fileobj=compressed, mode="rb") as inflating:
        content = _Inflated(inflating, size)
        with tarfile.open(fileobj=cast("IO[bytes]", content), mode="r:") as file:

            def member(entry: tarfile.TarInfo) -> _Member:
                return _Member(
                    entry.name, _kind_of(entry), entry.size, lambda: cast("IO[bytes]", file.extractfile(entry))
                )

            members: list[_Member] = []
            declared = 0
            with progress(f"checking {archive}", size, "bytes") as advance:
                seen = 0
                for entry in file:
                    members.append(member(entry))
                    _refuse_unsafe(members[-1])
                    if entry.size < 0:  # tarfile would seek back and read in an endless loop
                        raise ArchiveError(f"is a damaged .tar.gz file: {entry.name!r} has a size below zero")
                    declared += entry.size
                    _refuse_too_large(declared, size)
                    if len(members) > MOST_MEMBERS:
                        raise ArchiveError(f"has more than {MOST_MEMBERS:,} members, too many for images; not unpacked")
                    advance(compressed.tell() - seen)
                    seen = compressed.tell()
                _read_to_the_end(content)
            yield members


def _kind_of(entry: tarfile.TarInfo) -> _Kind:
    if entry.isfile() and not entry.issparse():
        return "file"
    if entry.isdir():
        return "folder"
    return "link" if entry.issym() or entry.islnk() else "other"


def _read_to_the_end(content: _Inflated) -> None:
    """Reads what follows the last member up to the end of the file, where gzip compares its checksum: only zeros."""
    rest = content.last  # the block that tarfile took for the end
    while rest:
        if rest.strip(b"\0"):
            raise ArchiveError("is a damaged .tar.gz file: there is content after an invalid header")
        rest = content.read(_CHUNK)


class _Inflated:
    """The content of a gzip file as a file for tarfile, with limits on what is read.

    Args:
        file: the gzip file.
        compressed: its size in bytes.
    """

    def __init__(self, file: gzip.GzipFile, compressed: int) -> None:
        self._file = file
        self._compressed = compressed
        self.last = b""

    def read(self, size: int) -> bytes:
        """Raises ArchiveError for more bytes at once than a valid header needs, and after too many bytes in all."""
        if not 0 <= size <= _AT_ONCE:
            raise ArchiveError("has a header with an invalid size; not unpacked")
        self.last = self._file.read(size)
        _refuse_too_large(self._file.tell(), self._compressed)
        return self.last

    def seek(self, offset: int) -> int:
        """Sets the position, in bytes from the start."""
        return self._file.seek(offset)

    def tell(self) -> int:
        """The position, in bytes from the start."""
        return self._file.tell()


def _refuse_unsafe(member: _Member) -> None:
    name = member.name.replace("\\", "/")
    if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
        raise ArchiveError(f"has a member that lies outside of its folder, {member.name!r}; not unpacked")
    if member.kind == "link":
        raise ArchiveError(f"has a member that is a link, {member.name!r}; not unpacked")
    if member.kind == "other":
        raise ArchiveError(f"has a member that is neither a file nor a folder, {member.name!r}; not unpacked")


def _refuse_too_large(declared: int, compressed: int) -> None:
    if declared > MOST_BYTES and declared > MOST_TIMES * compressed:
        raise ArchiveError(
            f"has {declared / 1e9:.0f} GB of content in {compressed / 1e6:.0f} MB, too much for images; not unpacked"
        )


def _named(members: Collection[_Member]) -> dict[str, _Member]:
    """The files by name, relative to the single top folder if there is one."""
    named: dict[str, _Member] = {}
    for member in members:
        parts = [part for part in member.name.replace("\\", "/").split("/") if part not in ("", ".")]
        hidden = parts[:1] == ["__MACOSX"] or any(part.startswith(".") for part in parts)
        if member.kind == "file" and parts and not hidden:
            named["/".join(parts)] = member
    tops = {name.split("/", 1)[0] if "/" in name else None for name in named}
    if len(tops) == 1 and None not in tops:
        named = {name.split("/", 1)[1]: member for name, member in named.items()}
    for name in named:
        parts = name.split("/")
        for length in range(1, len(parts)):
            if (folder := "/".join(parts[:length])) in named:
                raise ArchiveError(f"is damaged: {folder!r} is both a file and a folder; not unpacked")
    return named


def _extract(member: _Member, path: Path) -> str:
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, open(path, "wb") as file:
        while chunk := _read(source):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _read(source: IO[bytes]) -> bytes:
    try:
        return source.read(_CHUNK)
    except Exception as error:  # each compression method has its own exceptions for damaged data
        raise ArchiveError(f"is a damaged archive: {error}") from None
