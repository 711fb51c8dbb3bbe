"""The contract of metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class Metric(ABC):
    """Base class of metrics of test images, which compare pairs of tensors: a translation with its target by default.

    A new object is built for each evaluation and each pair of tensors. `update` gets the images one at a time.

    higher_is_better: the direction of improvement.
    protocol: one line that states exactly what is computed; it is part of every result.
    """

    higher_is_better: bool
    protocol: str

    @abstractmethod
    def update(self, output: Tensor, reference: Tensor) -> None:
        """Adds one image. output, reference: (1, C, H, W) in [-1, 1], at least float32, of the same shape."""

    @abstractmethod
    def compute(self) -> float:
        """The value over all images added so far."""
