"""The limit of the memory of this process (RLIMIT_AS, `ulimit -v`), which batch systems set."""

from __future__ import annotations

import mmap
import os
import re
import sys
from pathlib import Path

from translate_core.errors import NoMemoryError

_GIB = 2**30
_AMPLE = 16 * _GIB
"""Of a limit: torch can be loaded with that much in any build."""
_ROOM = 320 * 2**20
"""What must be left beside torch. With less, a small run ends by a signal, or its threads never start and it waits."""


def check_room_for_torch() -> None:
    """Raises NoMemoryError where the limit of this process is too low for torch and a small run.

    With too little room torch ends the process while it is loaded. So a child process tries it first, where there is a
    low limit.
    """
    limit = _limit()
    if limit is None or limit >= _AMPLE:
        return
    child = os.fork()
    if not child:
        _load_torch()
    if os.waitpid(child, 0)[1]:
        raise NoMemoryError(
            f"there is too little memory: torch and a small run do not fit into the {limit / _GIB:.2f} GiB that this "
            f"process may use. Raise the limit (ulimit -v; in a batch system, the memory of the job), or install a "
            f"build of torch for the CPU, which takes less"
        )


def _load_torch() -> None:
    """Ends this process with status 0 if torch can be loaded, with room to spare."""
    status = 1
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        with mmap.mmap(-1, _ROOM):
            import torch

            status = int(not torch.ones(1).item())
    finally:
        os._exit(status)


def limit_reached() -> str | None:
    """What this process has used of its limit, in words; None where it has none, or was not near it."""
    limit = _limit()
    peak = re.search(r"VmPeak:\s*(\d+) kB", Path("/proc/self/status").read_text()) if limit is not None else None
    if limit is None or peak is None or int(peak[1]) * 1024 < 0.9 * limit:
        return None
    return f"this process has used {int(peak[1]) / 2**20:.2f} of the {limit / _GIB:.2f} GiB of memory that it may use"


def _limit() -> int | None:
    """In bytes. None where there is none, or the system does not apply it."""
    if sys.platform != "linux":
        return None
    import resource

    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if soft == resource.RLIM_INFINITY else soft
