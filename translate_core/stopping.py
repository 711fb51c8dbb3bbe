"""Ctrl-C and SIGTERM ask for an orderly stop: the step is finished and saved."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Self


class StopSignal:
    """Listens while it is entered. A second Ctrl-C stops at once, without saving.

    asked: whether a stop was asked for.
    """

    def __init__(self) -> None:
        self.asked = False
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

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
