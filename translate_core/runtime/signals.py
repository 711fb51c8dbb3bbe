"""Ctrl-C and SIGTERM request an orderly stop: the current step is finished and saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from translate_core.errors import Interrupted


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C inside raises Interrupted. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _interrupted
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _interrupted = False


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interrupted
    _interrupted = True
    raise Interrupted


_interrupted = False
"""Whether `_interrupt` has raised: code that catches everything, as some does during imports, may hide that."""


class StopSignal:
    """Handles SIGINT and SIGTERM while it is entered; does nothing outside the main thread.

    Inside `at_work` a signal only sets `requested`, so that the current step is finished and saved. At any other time,
    such as during a download, and at a second Ctrl-C it raises Interrupted. Entering it raises Interrupted when Ctrl-C
    was pressed before, in `interruptible`.

    requested: whether a stop was requested.
    """

    def __init__(self) -> None:
        self.requested = False
        self._at_work = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if _interrupted:
            raise Interrupted
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The code inside checks `requested` after every step."""
        self._at_work = True
        try:
            yield
        finally:
            self._at_work = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.requested = self.requested, True
        if not self._at_work or (again and number == signal.SIGINT):
            raise Interrupted
