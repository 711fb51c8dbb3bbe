"""The contract of datasets: images and conditions by name, a pure function of an index and a generator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Item = dict[str, Tensor]
"""Tensors by name, such as `{"real_A": …, "real_B": …}` or `{"real": …, "label": …}`. `Dataset.kinds` states which are
not images:

image: uint8 (C, H, W) in 0 … 255, or floating point (C, H, W) in [-1, 1].
label: int64 without dimensions, such as the number of a domain or a class.
vector: floating point (K,), of any range.
map: a label map, uint8 or int64 (1, H, W); each pixel is the number of a class. It is never scaled.
"""


class TrainSplit(ABC):
    """The training images.

    Several loader processes use a split at once, so it must be picklable, and the result of `draw` may depend on its
    arguments only.
    """

    shuffled: bool = True
    """Whether each epoch visits the indices in a new random order, or in increasing order."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of draws in an epoch; for unpaired domains the size of the larger one."""

    @abstractmethod
    def draw(self, index: int, rng: np.random.Generator) -> Item:
        """One augmented training example, of the same names in every draw; images and maps have the declared size.

        index: 0 … len(self) - 1. rng: the only source of randomness.
        """

    def in_epoch(self, epoch: int) -> TrainSplit:
        """The split of an epoch, counted from 0, for augmentation that changes during training; itself by default.

        It has as many draws, of the same images in the same order, and the size that the dataset declares. The loader
        calls this for every draw.
        """
        return self


class TestSplit(ABC):
    """The test images of one domain, in a fixed order, without randomness."""

    __test__ = False  # else pytest collects the class because of its name

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def __getitem__(self, index: int) -> Item:
        """One image or map as `real_<domain>`; its translations, if known, as `target_<other domain>`.

        It may hold more, such as labels: `Dataset.kinds` states what is not an image.
        """

    @abstractmethod
    def name(self, index: int) -> str:
        """A name to display: the file name, or a number."""


class Dataset(ABC):
    """Base class of datasets. The constructor only takes options; `open` reads the disk.

    After the constructor, because the networks of a run may depend on them, and a recipe is validated before its data
    are opened:

    domains: the domains, in an order that never changes for the same options: the number of a domain is its label.
    classes: the classes of labels or label maps, in the order of their numbers; empty if there are none.

    After `open`:

    kinds: "label", "vector" or "map", by the name in an item; what is not listed is an image.
    channels: number of channels by domain, `{"A": 3, "B": 3}`; 1 where the domain's images are label maps.
    size: (height, width) of every training image, or None when images differ in size.
    train: the training images.
    test: the test images by domain, possibly empty.
    folders: the folders in which `open` looks for images, with their sub-folders; empty by default. A run is not
    written into them: its sample pictures would be found as images.
    """

    domains: tuple[str, ...] = ("A", "B")
    classes: tuple[str, ...] = ()
    kinds: Mapping[str, str] = MappingProxyType({})
    channels: Mapping[str, int]
    size: tuple[int, int] | None
    train: TrainSplit
    test: Mapping[str, TestSplit]
    folders: Sequence[Path] = ()

    operation_keys: frozenset[str] = frozenset()
    """Options that state where the images are, not which they are (`root`); they may differ when a run is resumed."""

    @abstractmethod
    def open(self) -> None:
        """Finds, checks and loads the images.

        Raises DataError with all faults, each with its file or folder and what to do.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A short hash that changes with the images; computed without reading every byte twice."""

    def parts(self, image: Image.Image) -> Mapping[str, Image.Image]:
        """The images in one file, by domain, for datasets whose files hold several; empty where a file is one image.

        Works on a dataset that is not open, and cuts a file exactly as training does, so that a trained run can be
        applied to files of the kind that it was trained on. Empty by default.

        image: as Pillow opens the file. Raises UserError for a file that training would refuse.
        """
        return {}

    def close(self) -> None:
        """Releases what `open` acquired; the splits are not used afterwards. Does nothing by default."""
        return


def to_unit_range(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Images in the range of the networks: uint8 0 … 255 becomes x / 127.5 - 1; floating point is only cast."""
    if images.dtype == torch.uint8:
        return images.to(dtype).div_(127.5).sub_(1.0)
    return images.to(dtype)


def to_uint8(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8 0 … 255, detached; clamped and truncated, as CycleGAN writes PNG files."""
    return images.detach().float().add(1.0).mul(127.5).clamp_(0.0, 255.0).to(torch.uint8)
