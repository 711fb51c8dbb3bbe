"""Unpacks a zip or .tar.gz file that nobody vouches for."""

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
"""An archive that would become more than this many bytes, and this many times its own size, is refused."""
MOST_MEMBERS = 2_000_000
"""So is a .tar.gz file with more members, each of which takes memory."""
_AT_ONCE = 16 * 2**20
"""The longest piece that is read into memory; a tar file may declare any length for a name."""
_CHUNK = 1024 * 1024


class ArchiveError(Exception):
    """Why an archive was not unpacked, in words for people."""


@dataclass(frozen=True)
class _Member:
    """An entry of an archive.

    Args:
        name: as the archive has it.
        kind: only files are unpacked, and folders made for them.
        size: bytes that it would become.
        open: its content.
    """

    name: str
    kind: Literal["file", "folder", "link", "other"]
    size: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, target: Path, wanted: Collection[str] | None = None) -> dict[str, str]:
    """Unpack into the folder `target`, which must not exist. Returns the SHA-256 of each file by its relative name.

    A single folder at the top of the archive is left out of the names: `horse2zebra/trainA/1.jpg` becomes
    `trainA/1.jpg`. Hidden files and `__MACOSX` are not unpacked.

    Args:
        archive: the zip or .tar.gz file; its content tells which, not its name.
        target: the folder to create.
        wanted: relative names; what else the archive holds is not unpacked. None unpacks everything.

    Raises:
        ArchiveError: no such file, damaged, of an absurd size, or with a member that reaches outside of `target` or is
            no file; all but a damaged member of a zip file are found before anything is written.
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
    """The members, none of them unsafe, in the order in which the archive has them."""
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
        raise ArchiveError(f"is no {kind}, or a damaged one: {error}") from None
    except (NotImplementedError, RuntimeError) as error:
        raise ArchiveError(f"is a {kind} that Python cannot unpack: {error}") from None


@contextmanager
def _zip_members(archive: Path) -> Iterator[list[_Member]]:
    with zipfile.ZipFile(archive) as file:

        def member(entry: zipfile.ZipInfo) -> _Member:
            link = stat.S_ISLNK(entry.external_attr >> 16)
            kind: Literal["file", "folder", "link"] = "link" if link else "folder" if entry.is_dir() else "file"
            # zipfile yields no more bytes than declared and compares the CRC at the end.
            return _Member(entry.filename, kind, entry.file_size, lambda: file.open(entry))

        members = [member(entry) for entry in file.infolist()]
        for each in members:
            _refuse_unsafe(each)
        _refuse_absurd(sum(each.size for each in members), archive.stat().st_size)
        yield members


@contextmanager
def _tar_members(archive: Path) -> Iterator[list[_Member]]:
    """A tar file has no list of its members: the whole of it is read once before anything is believed."""
    size = archive.stat().st_size
    with open(archive, "rb") as compressed, gzip.GzipFile(fileobj=compressed, mode="rb") as inflating:
        content = _Inflated(inflating, size)
        with tarfile.open(fileobj=cast("IO[bytes]", content), mode="r:") as file:

            def member(entry: tarfile.TarInfo) -> _Member:
                kind: Literal["file", "folder", "link", "other"] = "other"
                if entry.isfile() and not entry.issparse():
                    kind = "file"
                elif entry.isdir():
                    kind = "folder"
                elif entry.issym() or entry.islnk():
                    kind = "link"
                return _Member(entry.name, kind, entry.size, lambda: cast("IO[bytes]", file.extractfile(entry)))

            members: list[_Member] = []
            declared = 0
            with progress(f"checking {archive}", size, "bytes") as advance:
                seen = 0
                for entry in file:
                    members.append(member(entry))
                    _refuse_unsafe(members[-1])
                    if entry.size < 0:  # tarfile would go back, and round for ever
                        raise ArchiveError(f"is a damaged .tar.gz file: {entry.name!r} has a size below zero")
                    declared += entry.size
                    _refuse_absurd(declared, size)
                    if len(members) > MOST_MEMBERS:
                        raise ArchiveError(f"has more than {MOST_MEMBERS:,} members, as no images do; not unpacked")
                    advance(compressed.tell() - seen)
                    seen = compressed.tell()
                rest = content.last  # what tarfile took for the end
                while rest:  # up to the end of the file, where gzip has its checksum
                    if rest.strip(b"\0"):
                        raise ArchiveError("is a damaged .tar.gz file: it goes on after a header that makes no sense")
                    rest = content.read(_CHUNK)
            yield members


class _Inflated:
    """What a gzip file holds, as tarfile reads it, within limits.

    Args:
        file: the inflated file.
        compressed: bytes of the gzip file.
    """

    def __init__(self, file: gzip.GzipFile, compressed: int) -> None:
        self._file = file
        self._compressed = compressed
        self.last = b""

    def read(self, size: int) -> bytes:
        """Raises ArchiveError for a piece that only a made-up header asks for, and after too many bytes in all."""
        if not 0 <= size <= _AT_ONCE:
            raise ArchiveError("has a header of an absurd size; not unpacked")
        self.last = self._file.read(size)
        _refuse_absurd(self._file.tell(), self._compressed)
        return self.last

    def seek(self, offset: int) -> int:
        """To a place counted from the start."""
        return self._file.seek(offset)

    def tell(self) -> int:
        """Bytes from the start."""
        return self._file.tell()


def _refuse_unsafe(member: _Member) -> None:
    name = member.name.replace("\\", "/")
    if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
        raise ArchiveError(f"has a member that reaches outside of its folder, {member.name!r}; not unpacked")
    if member.kind == "link":
        raise ArchiveError(f"has a member that is a link, {member.name!r}; not unpacked")
    if member.kind == "other":
        raise ArchiveError(f"has a member that is neither a file nor a folder, {member.name!r}; not unpacked")


def _refuse_absurd(declared: int, compressed: int) -> None:
    if declared > MOST_BYTES and declared > MOST_TIMES * compressed:
        raise ArchiveError(
            f"would become {declared / 1e9:.0f} GB from {compressed / 1e6:.0f} MB, as no images do; not unpacked"
        )


def _named(members: Collection[_Member]) -> dict[str, _Member]:
    """The files by their names below the single top folder, if there is one."""
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
    except Exception as error:  # each compression has its own exceptions for damaged data
        raise ArchiveError(f"is a damaged archive: {error}") from None
