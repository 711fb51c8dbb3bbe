"""One process at a time, by a file beside what it works on."""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BEAT = 2.0
"""Seconds between two signs of life of the process that holds a lock."""
STALE = 20.0
"""Seconds without a sign of life after which a lock's holder counts as dead."""
SETTLE = 1.0
"""Seconds after which it is certain who took over the lock of a dead process."""
_POLL = 0.2


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, waiting for whoever holds it now.

    The holder renews the file's time every few seconds, so a lock that a killed process left behind is taken over,
    whatever machine it ran on; clocks are not compared. Needs nothing but an exclusive create and an atomic rename.
    """
    token = uuid.uuid4().hex
    _acquire(path, token)
    released = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, released), name="lock", daemon=True)
    beat.start()
    try:
        yield
    finally:
        released.set()
        beat.join()
        if _holder(path) == token:
            path.unlink(missing_ok=True)


def _acquire(path: Path, token: str) -> None:
    seen: int | None = None
    since = 0.0
    announced = False
    while True:
        try:
            with open(path, "x") as file:
                file.write(token)
            return
        except FileExistsError:
            pass
        try:
            beat = path.stat().st_mtime_ns
        except FileNotFoundError:
            continue
        now = time.monotonic()
        if beat != seen:
            seen, since = beat, now
        elif now - since > STALE:
            if _take_over(path, token):
                return
            seen = None
        if not announced:
            announced = True
            print(f"waiting for another process to finish (it holds {path})", file=sys.stderr, flush=True)
        time.sleep(_POLL)


def _take_over(path: Path, token: str) -> bool:
    """Several that find a lock stale at once all replace it; the last to do so has it."""
    own = path.with_name(f"{path.name}.{token}")
    own.write_text(token)
    os.replace(own, path)
    time.sleep(SETTLE)
    return _holder(path) == token


def _holder(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _beat(path: Path, released: threading.Event) -> None:
    while not released.wait(BEAT):
        try:
            os.utime(path)
        except FileNotFoundError:
            return
