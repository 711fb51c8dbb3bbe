"""A constant learning rate."""

from __future__ import annotations

from translate_core import Schedule


class Constant(Schedule):
    """A constant learning rate.

    Args:
        length: steps of the whole run; not used.
        epoch: steps in an epoch; not used.
    """

    def __init__(self, length: int, epoch: int) -> None:
        pass

    def factor(self, step: int) -> float:
        """Returns 1 for every step."""
        return 1.0
