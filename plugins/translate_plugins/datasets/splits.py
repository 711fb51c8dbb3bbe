"""Splits over images in a store, for the data sets that read files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from translate_core.contracts.dataset import Item, TestSplit, TrainSplit

from .store import ImageStore
from .transforms import Transform


class UnpairedTrain(TrainSplit):
    """Images of A by their index, wrapping, each with one of B, drawn at random, with replacement.

    Args:
        store: holds the images.
        a: places of A's images in the store.
        b: places of B's.
        transform: crops and flips each image by itself.
        shuffle: otherwise B goes by in file order too, wrapping.
    """

    def __init__(
        self, store: ImageStore, a: Sequence[int], b: Sequence[int], transform: Transform, shuffle: bool
    ) -> None:
        self._store = store
        self._a = a
        self._b = b
        self._transform = transform
        self.shuffled = shuffle

    def __len__(self) -> int:
        return max(len(self._a), len(self._b))

    def draw(self, index: int, rng: np.random.Generator) -> Item:
        """`real_A` and `real_B`, which have nothing to do with each other."""
        other = int(rng.integers(len(self._b))) if self.shuffled else index % len(self._b)
        return {
            "real_A": self._transform.augment(self._store[self._a[index % len(self._a)]], rng),
            "real_B": self._transform.augment(self._store[self._b[other]], rng),
        }


class PairedTrain(TrainSplit):
    """Twins by their index, cropped at one place and flipped together.

    Args:
        store: holds the images; twins have one height and width in it.
        a: places of A's images in the store.
        b: places of their twins.
        transform: crops and flips each pair.
        shuffle: whether the loader goes through the pairs in random order.
    """

    def __init__(
        self, store: ImageStore, a: Sequence[int], b: Sequence[int], transform: Transform, shuffle: bool
    ) -> None:
        self._store = store
        self._pairs = list(zip(a, b, strict=True))
        self._transform = transform
        self.shuffled = shuffle

    def __len__(self) -> int:
        return len(self._pairs)

    def draw(self, index: int, rng: np.random.Generator) -> Item:
        """`real_A` and `real_B`, a pair."""
        twins = [self._store[place] for place in self._pairs[index]]
        return dict(zip(("real_A", "real_B"), self._transform.augment_alike(twins, rng), strict=True))


class InStages(TrainSplit):
    """Another split from some epoch on.

    Args:
        stages: the first epoch of each, counted from 0, and the split as it is from then on; all of one length.
    """

    def __init__(self, stages: Sequence[tuple[int, TrainSplit]]) -> None:
        self._stages = list(stages)
        self.shuffled = self._stages[0][1].shuffled

    def __len__(self) -> int:
        return len(self._stages[0][1])

    def draw(self, index: int, rng: np.random.Generator) -> Item:
        """As in the first epoch."""
        return self.in_epoch(0).draw(index, rng)

    def in_epoch(self, epoch: int) -> TrainSplit:
        """The stage that the epoch falls into."""
        return [split for first, split in self._stages if first <= epoch][-1]


class Images(TestSplit):
    """The test images of a domain, with their twins where they have any.

    Args:
        store: holds the images.
        domain: A or B.
        names: of the files, for people.
        places: of the images in the store.
        truths: of their twins; None where they have none.
    """

    def __init__(
        self,
        store: ImageStore,
        domain: str,
        names: Sequence[str],
        places: Sequence[int],
        truths: Sequence[int] | None = None,
    ) -> None:
        self._store = store
        self._names = names
        self._places = {f"real_{domain}": places}
        if truths is not None:
            self._places[f"target_{'B' if domain == 'A' else 'A'}"] = truths

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Item:
        return {key: torch.from_numpy(np.array(self._store[places[index]])) for key, places in self._places.items()}

    def name(self, index: int) -> str:
        """The file's path below its folder."""
        return self._names[index]
