"""The splits of datasets of files: draws from the images in a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from translate_core import Item, TestSplit, TrainSplit

from .decoding import Places
from .labelled import LabelledTrain
from .listing import Part
from .store import ImageStore
from .transforms import Transform


def train_split(store: ImageStore, places: Places, paired: bool, transform: Transform, shuffle: bool) -> TrainSplit:
    """The training split, which may change from some epoch on.

    Args:
        store: holds the images.
        places: where the training images are in it.
        paired: whether A and B are pairs, at the same place of both lists.
        transform: crops and flips.
        shuffle: whether they are visited in random order.
    """
    kind = PairedTrain if paired else UnpairedTrain
    return _in_stages(
        (stage.first, kind(store, places["A"][number], places["B"][number], stage.transform, shuffle))
        for number, stage in enumerate(transform.stages)
    )


def labelled_train_split(
    store: ImageStore, places: Places, domains: Sequence[str], transform: Transform, balanced: bool
) -> TrainSplit:
    """The training split of many domains, which may change from some epoch on.

    Args:
        store: holds the images.
        places: where the training images are in it.
        domains: in the order of their labels.
        transform: crops and flips.
        balanced: whether each domain is drawn with the same probability.
    """
    return _in_stages(
        (
            stage.first,
            LabelledTrain(store, [places[domain][number] for domain in domains], stage.transform, balanced),
        )
        for number, stage in enumerate(transform.stages)
    )


def _in_stages(stages: Iterable[tuple[int, TrainSplit]]) -> TrainSplit:
    """Several splits, each from its first epoch on, as one."""
    each = list(stages)
    return each[0][1] if len(each) == 1 else InStages(each)


def test_splits(store: ImageStore, places: Places, part: Part) -> dict[str, TestSplit]:
    """The test images by domain, of those that have any.

    Args:
        store: holds the images.
        places: where the test images are in it.
        part: their files.
    """
    names = {domain: folder.files for folder in part.folders for domain in folder.domains}
    targets = {"A": places["B"][0], "B": places["A"][0]} if part.paired and places else {}
    return {
        domain: Images(store, domain, files, places[domain][0], targets.get(domain))
        for domain, files in names.items()
        if files
    }


def common_size(store: ImageStore, places: Places) -> tuple[int, int] | None:
    """(height, width) of the images at these places, None where they differ; of the first stage."""
    sizes = {store.shape(place)[1:] for stages in places.values() for place in stages[0]}
    return sizes.pop() if len(sizes) == 1 else None


class UnpairedTrain(TrainSplit):
    """Images of A by index, wrapping, each with an image of B drawn at random, with replacement.

    Args:
        store: holds the images.
        a: places of A's images in the store.
        b: places of B's.
        transform: crops and flips each image separately.
        shuffle: whether B is drawn at random; else it is visited in file order, wrapping.
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
        """`real_A` and `real_B`, unrelated."""
        other = int(rng.integers(len(self._b))) if self.shuffled else index % len(self._b)
        return {
            "real_A": self._transform.augment(self._store[self._a[index % len(self._a)]], rng),
            "real_B": self._transform.augment(self._store[self._b[other]], rng),
        }


class PairedTrain(TrainSplit):
    """Pairs by index, cropped at one place and flipped together.

    Args:
        store: holds the images; those of a pair have one height and width in it.
        a: places of A's images in the store.
        b: places of their counterparts.
        transform: crops and flips both images of a pair alike.
        shuffle: whether the loader visits the pairs in random order.
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
        pair = [self._store[place] for place in self._pairs[index]]
        return dict(zip(("real_A", "real_B"), self._transform.augment_alike(pair, rng), strict=True))


class InStages(TrainSplit):
    """Several splits, each from its first epoch on.

    Args:
        stages: the first epoch of each, counted from 0, and the split from then on; all of one length.
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
        """The split of the stage that the epoch belongs to."""
        return [split for first, split in self._stages if first <= epoch][-1]


class Images(TestSplit):
    """The test images of a domain, with their counterparts where they have any.

    Args:
        store: holds the images.
        domain: whose images they are.
        names: of the files, for display.
        places: of the images in the store.
        targets: of their counterparts in the other of A and B; None where they have none.
    """

    def __init__(
        self,
        store: ImageStore,
        domain: str,
        names: Sequence[str],
        places: Sequence[int],
        targets: Sequence[int] | None = None,
    ) -> None:
        self._store = store
        self._names = names
        self._places = {f"real_{domain}": places}
        if targets is not None:
            self._places[f"target_{'B' if domain == 'A' else 'A'}"] = targets

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Item:
        return {key: torch.from_numpy(np.array(self._store[places[index]])) for key, places in self._places.items()}

    def name(self, index: int) -> str:
        """The file's path below its folder."""
        return self._names[index]
