"""The contract of metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor

from translate_core.errors import UserError, is_out_of_memory

Embedded = TypeVar("Embedded", bound=Tensor | tuple[Tensor, ...])
"""What an embedding returns: one tensor, or a tuple of several."""


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


class SetMetric(Metric, Generic[Embedded]):
    """Base class of metrics of two sets of images: a distance between the embeddings of their images.

    By default all translations of a direction are compared with all test images of the target domain, so that no image
    needs a target. The input is compared with the same images, for comparison. With `pairs`, as of any metric, the set
    of one tensor is compared with that of another.

    embedding: images (N, C, H, W) in [-1, 1] -> a tensor, or a tuple of tensors, whose first dimension counts rows. An
        image may have any number of rows. The rows of image after image, in order; they depend on that image only.
        A frozen dataclass with `__call__` is best: metrics whose embeddings are equal share them, so that each image is
        embedded once. Its `repr` names all that decides the result, because the embeddings of references are kept in
        the run folder by it.
    """

    embedding: Callable[[Tensor], Embedded]

    @abstractmethod
    def distance(self, outputs: Embedded, references: Embedded) -> float:
        """The value for two sets. It does not depend on the order of the images, and modifies nothing.

        outputs, references: as `embedding` returns them, with the rows of all images; on the device of the run.
        """

    def update(self, output: Tensor, reference: Tensor) -> None:
        """Adds an image to each set; their shapes may differ. The engine embeds images itself and does not call it."""
        for images, embedded in zip((output, reference), self._sets, strict=True):
            embedded.append(self.embedding(images))

    def compute(self) -> float:
        """The distance between the sets added so far."""
        outputs, references = map(concatenated, self._sets)
        return self.distance(outputs, references)

    @cached_property
    def _sets(self) -> tuple[list[Embedded], list[Embedded]]:
        return [], []


class EmbeddingError(UserError):
    """Embeddings that are not tensors with rows, or that do not fit each other."""


def concatenated(embedded: Sequence[Embedded]) -> Embedded:
    """The rows of several embeddings as one. Raises EmbeddingError."""
    first = embedded[0]
    try:
        if isinstance(first, Tensor):
            return cast("Embedded", _with_values(torch.cat(cast("list[Tensor]", list(embedded)))))
        return cast("Embedded", tuple(_with_values(torch.cat(parts)) for parts in zip(*embedded, strict=True)))
    except (RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        raise EmbeddingError(
            f"its embedding must return a tensor, or as many each time, with a row or more: {error}"
        ) from error


def _with_values(rows: Tensor) -> Tensor:
    if rows.is_meta:
        raise ValueError("a tensor on the meta device has no values")
    return rows
