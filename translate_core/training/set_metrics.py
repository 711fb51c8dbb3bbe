"""Sets of embedded images, which metrics over sets compare.

Each image is embedded once by each embedding: the outputs of a direction for all metrics; the images of the dataset for
all directions and, where there is a run folder, for all evaluations.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from translate_core.contracts.dataset import to_unit_range
from translate_core.contracts.direction import Direction
from translate_core.contracts.metric import SetMetric, concatenated
from translate_core.runtime.randomness import numpy_generator
from translate_core.storage import embeddings
from translate_core.storage.record import fingerprint_of
from translate_core.storage.run_folder import folder_name
from translate_core.training.build import Assembly
from translate_core.training.checked_data import length_of, test_image
from translate_core.training.inference import CroppedTensors
from translate_core.training.shape_check import Comparison

Embedding: TypeAlias = Callable[[Tensor], Any]
Split: TypeAlias = Literal["test", "train"]
_BATCH = 16
"""Images of the dataset that are embedded at once, if they have one size."""


@dataclass(frozen=True)
class ImageSet:
    """Embedded images of a domain. rows: as the embedding returns them. description: which images, at what size."""

    rows: Any
    description: str

    def __str__(self) -> str:
        return self.description


class References:
    """The images of the dataset, embedded when first asked for.

    folder: where embeddings are kept. None keeps none on the disk.
    """

    def __init__(self, assembly: Assembly, folder: Path | None) -> None:
        self._assembly = assembly
        self._folder = folder
        self._sets: dict[tuple[Embedding, str, Split, int], ImageSet] = {}

    def of(self, embedding: Embedding, domain: str, split: Split, count: int | None = None) -> ImageSet:
        """The test images of a domain, or the images of one training epoch, cropped and flipped as in training.

        count: so many of the first; None for all.
        """
        dataset = self._assembly.dataset
        available = length_of(dataset.test[domain] if split == "test" else dataset.train)
        key = (embedding, domain, split, available if count is None else count)
        if key not in self._sets:
            self._sets[key] = self._kept(*key)
        return self._sets[key]

    def _kept(self, embedding: Embedding, domain: str, split: Split, count: int) -> ImageSet:
        """From its file; embedded, and written, where there is none that is whole."""
        if self._folder is None:
            return self._embedded(embedding, domain, split, count)
        path = (
            self._folder / f"{folder_name({}, domain, split, self._key(embedding, domain, split, count))}.safetensors"
        )
        found = embeddings.load(path)
        if found is not None:
            rows, description = found
            device = self._assembly.device
            on_device = rows.to(device) if isinstance(rows, Tensor) else tuple(part.to(device) for part in rows)
            return ImageSet(on_device, description)
        made = self._embedded(embedding, domain, split, count)
        embeddings.save(path, made.rows, made.description)
        return made

    def _key(self, *parts: object) -> str:
        """A hash of all that decides the embeddings: images, sizes, the embedding and its plugin."""
        recipe = self._assembly.recipe
        data = {key: value for key, value in recipe.results().items() if key.startswith("data.")}
        fingerprint = fingerprint_of(self._assembly.dataset)
        text = json.dumps([fingerprint, data, recipe.plugins.versions, *map(repr, parts)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _embedded(self, embedding: Embedding, domain: str, split: Split, count: int) -> ImageSet:
        rows, sizes = [], []
        for size, same in groupby(self._images(domain, split, count), key=lambda image: image.shape[-2:]):
            sizes.append(size)
            while batch := list(islice(same, _BATCH)):
                images = to_unit_range(torch.stack(batch).to(self._assembly.device), self._assembly.precision.dtype)
                rows.append(embedding(images))
        available = length_of(self._assembly.dataset.test[domain]) if split == "test" else count
        which = f"test images of {domain}" if split == "test" else f"training images of {domain} as drawn in an epoch"
        return ImageSet(concatenated(rows), counted(count, available, which) + at_size(sizes))

    def _images(self, domain: str, split: Split, count: int) -> Iterator[Tensor]:
        dataset = self._assembly.dataset
        for index in range(count):
            if split == "test":
                yield test_image(dataset.test[domain], index)[f"real_{domain}"]
            else:
                yield dataset.train.draw(index, numpy_generator(0, "references", index))[f"real_{domain}"]


class DirectionSets:
    """The embedded tensors of the test images of one direction, and their comparisons."""

    def __init__(self, assembly: Assembly, direction: Direction, references: References) -> None:
        self._metrics = assembly.recipe.metrics
        self._direction = direction
        self._references = references
        self._rows: dict[tuple[Embedding, str], list[Any]] = {}

    def update(self, metric: SetMetric[Any], comparison: Comparison, index: int, tensors: CroppedTensors) -> None:
        """Embeds what a metric compares of a test image, unless another metric did.

        index: of the image. The images come in order, from 0.
        """
        for name in self._to_embed(comparison):
            rows = self._rows.setdefault((metric.embedding, name), [])
            if index == len(rows):
                rows.append(metric.embedding(tensors[name]))

    def compare(
        self, metric: SetMetric[Any], comparison: Comparison, count: int, images: str, weights: str
    ) -> tuple[float, str]:
        """The value over the first `count` images, and what it was computed on. images, weights: in words."""
        if comparison.reference is not None:
            output, reference = (self._of(metric.embedding, name, count) for name in self._to_embed(comparison))
            on = f"{comparison.output} of {images}, {weights}, against {comparison.reference} of the same images"
            return metric.distance(output, reference), on
        split = self._metrics[comparison.metric].references
        references = self._references.of(metric.embedding, self._direction.target, split)
        if comparison.output == self._direction.given:
            inputs = self._references.of(metric.embedding, self._direction.source, "test", count)
            return metric.distance(
                inputs.rows, references.rows
            ), f"{comparison.output} of {images} against {references}"
        output = self._of(metric.embedding, comparison.output, count)
        on = f"{comparison.output} of {images}, {weights}, against {references}"
        return metric.distance(output, references.rows), on

    def _to_embed(self, comparison: Comparison) -> tuple[str, ...]:
        if comparison.reference is not None:
            return (comparison.output, comparison.reference)
        return () if comparison.output == self._direction.given else (comparison.output,)

    def _of(self, embedding: Embedding, name: str, count: int) -> Any:
        return concatenated(self._rows[embedding, name][:count])


def counted(count: int, available: int, images: str) -> str:
    """`all 8 test images of A`, or `the first 4 of 8 test images of A`."""
    return f"all {count} {images}" if count == available else f"the first {count} of {available} {images}"


def at_size(sizes: Iterable[Sequence[int]]) -> str:
    """` at 64×64`, or ` at 3 sizes`."""
    different = {tuple(size) for size in sizes}
    return f" at {len(different)} sizes" if len(different) > 1 else f" at {'×'.join(map(str, *different))}"
