"""Draws of two images of one of many domains, with its label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from translate_core import Item, TrainSplit

from .store import ImageStore
from .transforms import Transform


class LabelledTrain(TrainSplit):
    """A domain, two different images of it, and its number.

    Args:
        store: holds the images.
        places: of the images in the store, at least two of each domain, in the order of the labels.
        transform: crops and flips each image separately.
        balanced: the domain is drawn at random, then its images, whatever the index is; else the index enumerates the
            images of all domains, one domain after the other, and the second image is drawn at random.
    """

    def __init__(
        self, store: ImageStore, places: Sequence[Sequence[int]], transform: Transform, balanced: bool
    ) -> None:
        assert all(len(of_domain) > 1 for of_domain in places)
        self._store = store
        self._places = places
        self._ends = np.cumsum([len(of_domain) for of_domain in places])
        self._transform = transform
        self._balanced = balanced

    def __len__(self) -> int:
        return int(self._ends[-1])

    def draw(self, index: int, rng: np.random.Generator) -> Item:
        """`real` and `other`, of one domain, and `label`."""
        if self._balanced:
            label = int(rng.integers(len(self._places)))
            number = int(rng.integers(len(self._places[label])))
        else:
            label = int(np.searchsorted(self._ends, index, side="right"))
            number = index - (int(self._ends[label - 1]) if label else 0)
        places = self._places[label]
        other = (number + 1 + int(rng.integers(len(places) - 1))) % len(places)
        return {
            "real": self._transform.augment(self._store[places[number]], rng),
            "other": self._transform.augment(self._store[places[other]], rng),
            "label": torch.tensor(label),
        }
