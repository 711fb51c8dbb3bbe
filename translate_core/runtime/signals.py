"""Ctrl-C and SIGTERM ask for an orderly stop: the step is finished and saved."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self


class StopSignal:
    """Listens while it is entered.

    While something is at work that is worth finishing, a signal only asks; at any other time (during a download, say),
    and at a second Ctrl-C, it interrupts at once.

    asked: whether a stop was asked for.
    """

    def __init__(self) -> None:
        self.asked = False
        self._at_work = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """What runs inside looks at `asked` after every step."""
        self._at_work = True
        try:
            yield
        finally:
            self._at_work = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self._at_work or (self.asked and number == signal.SIGINT):
            raise KeyboardInterrupt
        self.asked = True
