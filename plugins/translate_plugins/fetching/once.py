"""Work that one of several processes does while the others wait for its result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout


def make_once(target: Path, make: Callable[[], None]) -> None:
    """Calls `make` unless `target` exists; of several processes that do this at once, one calls it and the others wait.

    The lock is the file `<target>.lock`, locked by the operating system (filelock), which releases it when the process
    ends, however it ends. The file is removed once the target exists; after a failure it stays and the next process
    locks it again. On a network file system the lock works between machines only if the client passes `flock` on to
    the server; NFS mounts with `nolock` or `local_lock` do not, and two machines may then do the work at the same time.

    Args:
        target: the file or folder to make. It must appear whole, by a rename.
        make: makes it; what it raises is raised here.
    """
    if target.exists():
        return
    path = target.with_name(target.name + ".lock")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process to finish (it holds {path})", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        if not target.exists():
            make()
    finally:
        lock.release()
    # The lock has no use now: a process that gets it finds the target. Windows keeps a file that is open elsewhere.
    with suppress(OSError):
        path.unlink(missing_ok=True)
