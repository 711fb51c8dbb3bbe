"""The contract of metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class Metric(ABC):
    """A number about test images that compares tensors pairwise: a translation with the truth, by default.

    A fresh object is built for every evaluation and every pair. Images come one at a time, each once.

    higher_is_better: which way is up, for tables.
    protocol: one line that says exactly what is computed, stamped on every result.
    """

    higher_is_better: bool
    protocol: str

    @abstractmethod
    def update(self, output: Tensor, reference: Tensor) -> None:
        """output, reference: (1, C, H, W) in [-1, 1], at least float32, of the same shape."""

    @abstractmethod
    def compute(self) -> float:
        """The value over all images so far."""
