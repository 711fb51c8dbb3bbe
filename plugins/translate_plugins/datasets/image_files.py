"""What the data sets that read image files have in common: fetching, loading, the fingerprint."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from translate_core.contracts.dataset import Dataset, TrainSplit
from translate_core.runtime.images import Channels
from translate_plugins.fetching.download import Download

from .loading import Source, load
from .splits import InStages
from .store import ImageStore
from .transforms import Stage, Transform


@dataclass(frozen=True)
class Group:
    """Files that are loaded alike.

    Args:
        folder: below the root.
        names: of the images, below the folder.
        training: whether they are trained on; else they are test images.
    """

    folder: str
    names: Sequence[str]
    training: bool


@dataclass(frozen=True)
class Stored:
    """Where the images of a group are in the store.

    Args:
        views: of each file the places of all that is stored of it: every stage of its first part, then of the next.
        stages: how many there are.
    """

    views: Sequence[range]
    stages: int

    def of(self, part: int = 0, stage: int = 0) -> list[int]:
        """The places of one image of each file."""
        return [views[part * self.stages + stage] for views in self.views]


class ImageFiles(Dataset):
    """A data set of files below a root.

    A kind of set says in `_read` which files there are, and in `_parts` which images a file holds.
    """

    channels: Mapping[str, Channels]
    operation_keys = frozenset({"root", "download"})

    def __init__(
        self,
        root: str,
        transform: Transform = Transform(),  # noqa: B008 - frozen
        channels_A: Channels = 3,
        channels_B: Channels = 3,
        shuffle: bool = True,
        download: Download | None = None,
    ) -> None:
        self._root = Path(root)
        self._transform = transform
        self._shuffle = shuffle
        self._download = download
        self.channels = {"A": channels_A, "B": channels_B}
        self._store: ImageStore | None = None
        self._fingerprint = ""

    def open(self) -> None:
        """Fetch the set if it is missing and may be downloaded, then decode and resize every image, once.

        Raises:
            DataError: folders that are missing or empty, or twins that are missing; then files that do not decode, are
                too small, or are unlike their twins.
            UserError: the download failed, or the temporary folder is full.
        """
        self.close()
        if self._download is not None and not self._root.exists():
            self._download.fetch(self._root)
        self._read()

    def fingerprint(self) -> str:
        """16 hexadecimal digits of the names, lengths and both ends of all files; the same wherever the set lies."""
        assert self._fingerprint, "open the dataset first"
        return self._fingerprint

    def close(self) -> None:
        """Remove the temporary file that `open` wrote."""
        if self._store is not None:
            self._store.close()
            self._store = None

    @abstractmethod
    def _read(self) -> None:
        """Find the files, `_load` them, set `train`, `test` and `size`. Raises DataError."""

    @abstractmethod
    def _parts(self, folder: str, image: Image.Image) -> list[Image.Image]:
        """The images in a file of that folder, in a fixed order, with their channels. Raises UserError."""

    def _load(self, groups: Sequence[Group], twins: Sequence[tuple[int, int]] = ()) -> tuple[ImageStore, list[Stored]]:
        """Load all files, and take their fingerprint. twins: pairs of groups whose files are twins, one by one."""
        subject = f"data set {self._root}"
        stages = [self._stages(group) for group in groups]
        starts = [sum(len(group.names) for group in groups[:number]) for number in range(len(groups))]
        sources = [
            Source(self._root / group.folder / name, partial(self._views, group.folder, prepared))
            for group, prepared in zip(groups, stages, strict=True)
            for name in group.names
        ]
        pairs = [
            (starts[one] + place, starts[other] + place)
            for one, other in twins
            for place in range(len(groups[one].names))
        ]
        loaded = load(subject, sources, pairs)
        self._store = loaded.store
        relative = [f"{group.folder}/{name}" for group in groups for name in group.names]
        listing = "\n".join(f"{name} {print_}" for name, print_ in zip(relative, loaded.prints, strict=True))
        self._fingerprint = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return loaded.store, [
            Stored(loaded.places[start : start + len(group.names)], len(prepared))
            for start, group, prepared in zip(starts, groups, stages, strict=True)
        ]

    def _stages(self, group: Group) -> list[Stage]:
        return self._transform.stages if group.training else [Stage(self._transform.prepare_test, self._transform, 0)]

    def _views(self, folder: str, stages: Sequence[Stage], image: Image.Image) -> list[Image.Image]:
        return [stage.prepare(part) for part in self._parts(folder, image) for stage in stages]

    def _in_stages(self, build: Callable[[int, Transform], TrainSplit]) -> TrainSplit:
        """The training split. build: gives that of a stage, by its number and the transform for its draws."""
        splits = [(stage.first, build(number, stage.transform)) for number, stage in enumerate(self._transform.stages)]
        return splits[0][1] if len(splits) == 1 else InStages(splits)

    def _common_size(self, *places: Sequence[int]) -> tuple[int, int] | None:
        """(height, width) of every training image, None where they differ."""
        if self._transform.size is not None:
            return self._transform.size
        assert self._store is not None
        sizes = {self._store.shape(place)[1:] for each in places for place in each}
        return sizes.pop() if len(sizes) == 1 else None
