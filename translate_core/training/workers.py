"""Loader processes: what they need of the system, and how their death is reported."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from torch._C import _error_if_any_worker_fails

from translate_core.errors import UserError

_FILES_EACH = 64
"""File handles for each loader process: its pipes, and one for each tensor of the steps that it has prepared."""
_FILES_BESIDE = 64
"""File handles for everything else in the training process."""


class WorkerError(UserError):
    """A loader process has ended, or cannot work."""


def raise_file_limit(workers: int) -> None:
    """Raises this process's limit of open files to what loader processes need, as far as the system permits.

    With fewer, tensors do not reach the training process, and both wait forever. Raises WorkerError where the system
    permits too few.
    """
    if sys.platform == "win32":
        return
    import resource

    need = _FILES_BESIDE + _FILES_EACH * workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= need:
        return
    if hard != resource.RLIM_INFINITY and hard < need:
        raise WorkerError(
            f"{workers} loader processes need {need} open files, and this system permits {hard}: lower "
            f"training.workers (0 loads in the training process), or raise the limit (ulimit -n)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


class WorkerWatch:
    """Reports the death of a loader process while the training process waits for it, and at no other moment.

    torch's own handler raises wherever the training process happens to be, in the middle of an update as well.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._waiting = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Replaces the handler of SIGCHLD, which torch sets with the first loader process; in the main thread only."""
        if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGCHLD, self._handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGCHLD, before)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The code inside waits for loader processes. Raises WorkerError when one has ended."""
        self._waiting = True
        try:
            _error_if_any_worker_fails()
            yield
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            raise WorkerError(self._message(str(error))) from None
        except (ConnectionError, EOFError):
            # It ended while it sent a tensor. Nothing else is seen of SIGTERM, which torch takes as an orderly end.
            raise WorkerError(self._message("")) from None
        finally:
            self._waiting = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._waiting:
            _error_if_any_worker_fails()

    def _message(self, text: str) -> str:
        killed = re.search(r"killed by signal: ([\w ]+)", text)
        how = f"was killed by the system ({killed[1].strip()})" if killed else "has ended unexpectedly"
        return (
            f"a loader process {how}, most often for lack of memory: lower training.workers (now {self._workers}; "
            f"0 loads in the training process), or close other programs"
        )
