"""Messages on stderr, results on stdout, and the exit status of a command."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence

from rich.console import Console

from translate_core.errors import (
    NoMemoryError,
    UserError,
    described,
    ended_by_component,
    memory_error_behind,
    reason_of,
    shortened,
    text_of,
)
from translate_core.runtime.memory import limit_reached
from translate_core.runtime.signals import interruptible

OK, DEFECT, USER_FAULT, INTERRUPTED = 0, 1, 2, 130
_LONGEST = 2000
"""Characters in a line of a message."""


class _QuietOnceClosed(Console):
    """A console that stops printing when the reader of its output goes away, as `| head -1` does.

    The program continues: training still saves, and a command still returns its own exit status.
    """

    def on_broken_pipe(self) -> None:
        """Called by rich in place of raising BrokenPipeError."""
        self.quiet = True
        # The stream still holds the text that it could not write; flushing that when Python exits must not fail.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


stderr = _QuietOnceClosed(stderr=True, highlight=False, soft_wrap=True, emoji=False)
stdout = _QuietOnceClosed(highlight=False, soft_wrap=True, emoji=False)


def text_width(most: int) -> int:
    """The width for paragraphs, in columns: that of the terminal, at most `most`; without a terminal, `most`."""
    return min(os.get_terminal_size(sys.stdout.fileno()).columns, most) if sys.stdout.isatty() else most


def inform(text: str) -> None:
    """Prints one plain line on stderr."""
    stderr.print(text, markup=False)


def warn(text: str) -> None:
    """Prints a warning on stderr."""
    stderr.print(f"warning: {text}", style="yellow", markup=False)


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of aligned columns on stdout.

    On a terminal there is a header, and the last column wraps. Elsewhere a row is always one line, for other programs.
    """
    if stdout.is_terminal:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        for column in header:
            table.add_column(column, no_wrap=column != header[-1], overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        stdout.print(table, soft_wrap=False)
        return
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(len(header) - 1)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        stdout.print("  ".join([*cells, row[-1]]).rstrip(), markup=False)


TRAINING_MEMORY = (
    "Lower training.batch_size (and raise training.accumulate), training.workers, the size of the images, or the width "
    "of the networks; training.precision=bf16 halves what activations take"
)
"""What to make smaller where training lacks memory."""


def user_fault(error: BaseException, memory: str = TRAINING_MEMORY) -> str | None:
    """The message for an error that the user or a component caused; None for a defect of the engine.

    memory: what to make smaller where memory is exhausted.
    """
    exhausted = memory_error_behind(error)
    if exhausted is not None and not isinstance(exhausted, NoMemoryError):
        return _no_memory((text_of(exhausted) or "an allocation failed").splitlines()[0], memory)
    reached = limit_reached()
    if isinstance(error, UserError):
        short = reached is not None and not isinstance(error, NoMemoryError)
        return f"{error}\nBut {reached}: it may lack memory. {memory}" if short else str(error)
    if reached is not None and isinstance(error, RuntimeError | SystemError | ImportError):
        # Libraries raise anything when an allocation fails.
        return _no_memory(f"{reached}, and failed with {described(error).splitlines()[0]}", memory)
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, BrokenPipeError):
        return f"{error.filename or 'a file'} cannot be used: {reason_of(error)}"
    return ended_by_component(error)


def _let_go(error: BaseException) -> None:
    """Drops what the frames of a reported error hold; what half-built objects raise then is not printed."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        chain: BaseException | None = error
        while chain is not None:
            traceback.clear_frames(chain.__traceback__)
            chain = chain.__cause__ or chain.__context__
    finally:
        sys.unraisablehook = before


def _no_memory(what: str, memory: str) -> str:
    return (
        f"there is too little memory: {what}\n"
        f"{memory}. Or close other programs, and raise the limit of this process if it has one (ulimit -v)"
    )


def guarded(command: str, body: Callable[[], int], memory: str = TRAINING_MEMORY) -> int:
    """Runs a command and turns what it raises into an exit status. memory: what the user can make smaller.

    2 for what the user or a component did wrong (the message alone), 130 interrupted, 1 a defect of the engine (with
    its traceback). An exception that usually ends a program in silence, such as SystemExit, is a component's fault.
    """
    try:
        with interruptible():
            return body()
    except BaseException as error:
        message = user_fault(error, memory)
        if message is None and isinstance(error, KeyboardInterrupt):
            stderr.print(f"{command}: interrupted", markup=False)
            return INTERRUPTED
        if message is not None:
            shown = "\n".join(shortened(line, _LONGEST) for line in message.split("\n"))
            stderr.print(f"{command}: {shown}", style="red" if stderr.is_terminal else None, markup=False)
            _let_go(error)
            return USER_FAULT
        stderr.print(traceback.format_exc().rstrip(), markup=False)
        stderr.print(
            f"{command}: this is a defect in the software, not in what you asked for; please report it", markup=False
        )
        return DEFECT
