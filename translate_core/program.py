"""Where the commands begin: Ctrl-C ends them in order from the first moment on, also while packages are imported."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType

_INTERRUPTED = 130


def translate_run() -> int:
    """The command `translate-run`."""
    return _command("run")


def translate_apply() -> int:
    """The command `translate-apply`."""
    return _command("apply")


def translate_plugins() -> int:
    """The command `translate-plugins`."""
    return _command("plugins")


def translate_recipes() -> int:
    """The command `translate-recipes`."""
    return _command("recipes")


def _command(name: str) -> int:
    quit_on_interrupt()
    status: int = importlib.import_module(f"translate_core.commands.{name}").main()
    return status


def quit_on_interrupt() -> None:
    """Ctrl-C ends this process at once, without a traceback: nothing has been written yet.

    A command replaces this while it is at work.
    """
    signal.signal(signal.SIGINT, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"interrupted\n")
    os._exit(_INTERRUPTED)
