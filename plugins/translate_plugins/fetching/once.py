"""Work that one of several processes does while the others wait for its result."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


def make_once(target: Path, make: Callable[[], None]) -> None:
    """Calls `make` unless `target` exists; of several processes that do this at once, one calls it and the others wait.

    The lock is the file `<target>.lock`, locked by the operating system (filelock), which releases it when the process
    ends, however it ends. The file is removed once the target exists; after a failure it stays and the next process
    locks it again. On a network file system the lock works between machines only if the client passes `flock` on to
    the server; NFS mounts with `nolock` or `local_lock` do not, and two machines may then do the work at the same time.
    On a file system without locks nothing is locked, with a warning.

    Args:
        target: the file or folder to make. It must appear whole, by a rename.
        make: makes it; what it raises is raised here.
    """
    if target.exists():
        return
    path = target.with_name(target.name + ".lock")
    with _locked(path):
        if not target.exists():
            make()
    # The lock has no use now: a process that gets it finds the target. Windows keeps a file that is open elsewhere.
    with suppress(OSError):
        path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    if not _has_locks(path):
        _print(f"warning: {path} cannot be locked: make sure that no second process makes this at the same time")
        yield
        return
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _print(f"waiting for another process to finish (it holds {path})")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _has_locks(path: Path) -> bool:
    """Whether the file system has locks. Where it has none, some versions of filelock wait forever."""
    if sys.platform == "win32":
        return True
    import fcntl

    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno == errno.EWOULDBLOCK
    return True


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
