"""Unpacks a zip file that nobody vouches for."""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

from .progress import progress

MOST_BYTES = 10 * 2**30
MOST_TIMES = 50
"""An archive that declares more than this many bytes, and this many times its own size, is refused."""
_CHUNK = 1024 * 1024


class ArchiveError(Exception):
    """Why an archive was not unpacked, in words for people."""


def unpack(archive: Path, target: Path, wanted: Collection[str] | None = None) -> dict[str, str]:
    """Unpack into the folder `target`, which must not exist. Returns the SHA-256 of each file by its relative name.

    A single folder at the top of the archive is left out of the names: `horse2zebra/trainA/1.jpg` becomes
    `trainA/1.jpg`. Hidden files and `__MACOSX` are not unpacked.

    Args:
        archive: the zip file.
        target: the folder to create.
        wanted: relative names; what else the archive holds is not unpacked. None unpacks everything.

    Raises:
        ArchiveError: no zip file, damaged, of an absurd size, or with a member that reaches outside of `target`;
            the latter two are found before anything is written.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            _refuse_unsafe(members)
            _refuse_absurd(members, archive.stat().st_size)
            target.mkdir()
            named = _named(members)
            if wanted is not None:
                named = {name: member for name, member in named.items() if name in wanted}
            digests: dict[str, str] = {}
            with progress(f"unpacking {archive}", len(named)) as advance:
                for name, member in named.items():
                    digests[name] = _extract(file, member, target / name)
                    advance(1)
            return digests
    except (zipfile.BadZipFile, ValueError) as error:
        raise ArchiveError(f"is no zip file, or a damaged one: {error}") from None
    except (NotImplementedError, RuntimeError) as error:
        raise ArchiveError(f"is a zip file that Python cannot unpack: {error}") from None


def _refuse_unsafe(members: Collection[zipfile.ZipInfo]) -> None:
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
            raise ArchiveError(f"has a member that reaches outside of its folder, {member.filename!r}; not unpacked")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ArchiveError(f"has a member that is a link, {member.filename!r}; not unpacked")


def _refuse_absurd(members: Collection[zipfile.ZipInfo], compressed: int) -> None:
    declared = sum(member.file_size for member in members)
    if declared > MOST_BYTES and declared > MOST_TIMES * compressed:
        raise ArchiveError(
            f"would become {declared / 1e9:.0f} GB from {compressed / 1e6:.0f} MB, as no images do; not unpacked"
        )


def _named(members: Collection[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The files by their names below the single top folder, if there is one."""
    named: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        parts = member.filename.replace("\\", "/").split("/")
        if not member.is_dir() and parts[0] != "__MACOSX" and not any(part.startswith(".") for part in parts):
            named["/".join(parts)] = member
    tops = {name.split("/", 1)[0] if "/" in name else None for name in named}
    if len(tops) == 1 and None not in tops:
        named = {name.split("/", 1)[1]: member for name, member in named.items()}
    return named


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> str:
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    # zipfile yields no more bytes than declared and compares the CRC at the end.
    with archive.open(member) as source, open(path, "wb") as file:
        while chunk := _read(source):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _read(source: IO[bytes]) -> bytes:
    try:
        return source.read(_CHUNK)
    except Exception as error:  # each compression has its own exceptions for damaged data
        raise ArchiveError(f"is a damaged zip file: {error}") from None
