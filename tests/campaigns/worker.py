"""Attempts in a process of their own, so that a hang, a crash of the interpreter and a lack of memory are outcomes."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from tests.campaigns.registered import CAMPAIGNS
from tests.campaigns.rule import Outcome

_MEMORY = 16 * 2**30
"""Bytes of address space: an attempt that needs more is refused by the system, and this machine goes on."""
_START = 300.0
"""Seconds that a campaign may take to prepare."""


def attempts(name: str, seed: int, first: int, until: int | None, deadline: float) -> Iterator[tuple[int, Outcome]]:
    """The outcomes of the attempts `first` … `until` - 1 (None: without end), as long as there is time."""
    index = first
    while until is None or index < until:
        if time.monotonic() > deadline:
            return
        for tried, outcome in _of_one_worker(name, seed, index, until, deadline):
            yield tried, outcome
            index = tried + 1


def _of_one_worker(
    name: str, seed: int, first: int, until: int | None, deadline: float
) -> Iterator[tuple[int, Outcome]]:
    """As `attempts`, to the first attempt that does not end, which is the last to be yielded."""
    context = multiprocessing.get_context("spawn")
    mine, other = context.Pipe(duplex=False)
    folder = Path(tempfile.mkdtemp(prefix="campaign-"))
    process = context.Process(target=_work, args=(name, seed, first, until, deadline, folder, other))
    process.start()
    other.close()
    index, limit = first, _START
    try:
        while True:
            if not mine.poll(limit):
                os.kill(process.pid or 0, signal.SIGABRT)  # faulthandler prints where it is
                process.join(10)
                yield index, Outcome("(see the traceback above)", (), (f"no end within {limit:.0f} s",))
                return
            received = mine.recv()
            if received is None:
                index, limit = first, CAMPAIGNS[name].limit
                continue
            index, outcome = received
            yield index, outcome
            index += 1
    except EOFError:
        process.join()
        if process.exitcode != 0:
            yield index, Outcome("(see above)", (), (f"the process ended with {process.exitcode}",))
    finally:
        mine.close()
        with suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        shutil.rmtree(folder, ignore_errors=True)


def _work(name: str, seed: int, first: int, until: int | None, deadline: float, folder: Path, out: Connection) -> None:
    os.setsid()
    multiprocessing.set_start_method("fork", force=True)  # this process was spawned, and its children would be
    faulthandler.enable(all_threads=False)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    import torch

    torch.set_num_threads(1)
    shared = folder / "shared"
    shared.mkdir()
    campaign = CAMPAIGNS[name](shared)
    out.send(None)
    index = first
    while (until is None or index < until) and time.monotonic() < deadline:
        own = folder / "attempt"
        own.mkdir()
        out.send((index, campaign.tried(seed, index, own)))
        shutil.rmtree(own, ignore_errors=True)
        index += 1
    sys.stdout.flush()
