"""Event files of TensorBoard: those of many short sessions are merged, and put in the order of the sessions."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from translate_core import atomic_write

_FILE = re.compile(r"(events\.out\.tfevents\.)(\d{10})(\..*)")
"""The second group is the time at which a file was begun, in seconds."""

_MOST_FILES = 16
_SMALL = 2**20
"""Bytes; larger files are left as they are, so that merging never takes long."""

_HEAD, _TAIL = 12, 4
"""A record is its length (8 bytes) and a checksum of that, an event, and a checksum of the event."""


def event_files(folder: Path) -> list[Path]:
    """The event files in a folder, in the order in which TensorBoard reads them."""
    return sorted(path for path in folder.glob("events.*") if _FILE.fullmatch(path.name))


def merge_event_files(folder: Path) -> None:
    """Merges the small event files at the end of a folder where there are more than 16.

    The events that TensorBoard hides, of steps that a later session repeated, are left out. The first of the files is
    replaced by all of them, then the others are removed. After a kill in between TensorBoard reads the others twice
    and shows the same, since each session begins by hiding the events of its steps.
    """
    small: list[Path] = []
    for path in reversed(event_files(folder)):
        if path.stat().st_size > _SMALL:
            break
        small.insert(0, path)
    if len(small) <= _MOST_FILES:
        return
    merged = folder / "merged"  # TensorBoard reads no file of this name
    with atomic_write(merged) as part:
        part.write_bytes(b"".join(_shown([record for path in small for record in _records(path.read_bytes())])))
    merged.replace(small[0])
    for path in small[1:]:
        path.unlink()


def _records(content: bytes) -> Iterator[bytes]:
    """The whole records of a file; a killed process may leave a part of one behind them."""
    start = 0
    while start + _HEAD <= len(content):
        end = start + _HEAD + struct.unpack_from("<Q", content, start)[0] + _TAIL
        if end > len(content):
            return
        yield content[start:end]
        start = end


def _shown(records: list[bytes]) -> list[bytes]:
    """The first, which states the version of the format, and those that no later session hides, undamaged.

    A session hides the events from the step at which it started.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]

    shown = []
    hidden_from = math.inf
    for record in reversed(records[1:]):
        try:
            event = Event.FromString(record[_HEAD:-_TAIL])
        except DecodeError:
            continue
        if event.step < hidden_from and not event.file_version:
            shown.append(record)
        if event.session_log.status == SessionLog.START:
            hidden_from = min(hidden_from, event.step)
    return [*records[:1], *reversed(shown)]


def move_before(earlier: Sequence[Path], all_files: Sequence[Path]) -> None:
    """Renames the files of earlier sessions, where it is needed, so that they come before that of this session.

    TensorBoard reads files in the order of their names, which begin with the time. Where the clock was set back, it
    would take the events of this session for the older ones, and leave them out.
    """
    own = [path for path in all_files if path not in earlier]
    if not own:
        return
    latest = _begun(own[0]) - 1
    names: list[tuple[Path, Path]] = []
    for path in reversed(earlier):
        begun = max(min(_begun(path), latest), 0)
        names.append((path, path.with_name(_FILE.sub(rf"\g<1>{begun:010}\g<3>", path.name))))
        latest = begun - 1
    for path, name in reversed(names):  # the earliest first, so that their order holds at any moment
        path.rename(name)


def _begun(path: Path) -> int:
    match = _FILE.fullmatch(path.name)
    assert match is not None
    return int(match[2])
