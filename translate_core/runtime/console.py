"""What people see on the terminal: messages on stderr, results on stdout."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable

from rich.console import Console

from translate_core.errors import UserError

OK, DEFECT, USER_FAULT, INTERRUPTED = 0, 1, 2, 130
_REFUSED_BY_SYSTEM = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EISDIR)

stderr = Console(stderr=True, highlight=False, soft_wrap=True)
"""The rich console on standard error, where the engine prints its messages. While a live display of it is shown, what
is printed with it appears above the display."""

stdout = Console(highlight=False, soft_wrap=True)


def text_width(most: int) -> int:
    """Columns that paragraphs are wrapped at: those of the terminal, but at most, and without one, `most`."""
    return min(os.get_terminal_size(sys.stdout.fileno()).columns, most) if sys.stdout.isatty() else most


def tell(text: str) -> None:
    """One plain line about what is going on."""
    stderr.print(text, markup=False)


def warn(text: str) -> None:
    """Something that the user should know, and that stops nothing."""
    stderr.print(f"warning: {text}", style="yellow", markup=False)


def user_fault(error: Exception) -> str | None:
    """What to tell the user about an error that comes of what was asked for; None for a defect of ours."""
    import torch

    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _REFUSED_BY_SYSTEM:
        return f"{error.filename or 'a file'} cannot be used: {error.strerror}"
    if isinstance(error, torch.OutOfMemoryError):
        return (
            f"the device has too little memory: {str(error).splitlines()[0]}\n"
            f"Lower training.batch_size (and raise training.accumulate), the size of the images, or the width of the "
            f"networks; training.precision=bf16 halves what activations take"
        )
    return None


def guarded(command: str, body: Callable[[], int]) -> int:
    """Runs a command and turns what it raises into an exit status.

    0 done, 2 the user's fault (the message alone), 130 interrupted, 1 a defect of ours (with its traceback).
    """
    try:
        return body()
    except KeyboardInterrupt:
        stderr.print(f"{command}: interrupted", markup=False)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return OK
    except Exception as error:
        message = user_fault(error)
        if message is not None:
            stderr.print(f"{command}: {message}", style="red" if stderr.is_terminal else None, markup=False)
            return USER_FAULT
        traceback.print_exc()
        stderr.print(
            f"{command}: this is a defect in the software, not in what you asked for; please report it", markup=False
        )
        return DEFECT
