"""No schedule."""

from __future__ import annotations

from translate_core import Schedule


class Constant(Schedule):
    """The learning rate stays as it is.

    Args:
        length: steps of the whole run; nothing depends on it.
        epoch: steps in an epoch; nothing depends on it.
    """

    def __init__(self, length: int, epoch: int) -> None:
        pass

    def factor(self, step: int) -> float:
        """Returns 1, whatever the step."""
        return 1.0
