"""Two folders of images that have nothing to do with each other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from translate_core.data import Dataset, Item, TestSplit, TrainSplit
from translate_core.errors import DataError, Fault, did_you_mean
from translate_core.images import Channels, find_images, is_image

from .download import Download
from .loading import Source, load
from .store import ImageStore
from .transforms import Transform

_FOLDERS = ("trainA", "trainB", "testA", "testB")


class UnpairedFolders(Dataset):
    """Images of two domains without correspondence: `root/trainA`, `root/trainB` and, if wanted, `root/testA`, `testB`.

    jpg, jpeg, png, webp, bmp, tif and tiff files in any case, those in sub-folders too; hidden ones are left out.
    Every kind of image becomes 8-bit RGB or greyscale: 16-bit greyscale is scaled, transparency is put on white, and
    the rotation in EXIF data is applied. An epoch is max(|A|, |B|) draws. Items hold `real_A` and `real_B`, uint8
    (C, H, W); test items one of the two, since unpaired images have no truth.

    Args:
        root: the folder that holds trainA and trainB, relative to the current folder.
        transform: size, crop and flip.
        channels_A: 3 for RGB, 1 for greyscale images of A.
        channels_B: the same for B.
        shuffle: go through A in a random order, wrapping, with an image of B drawn at random, with replacement;
            without it both go by in file order, wrapping.
        download: where to fetch the set from if `root` does not exist.
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
            DataError: folders that are missing or empty; then files that do not decode or are too small.
            UserError: the download failed, or the temporary folder is full.
        """
        self.close()
        if self._download is not None and not self._root.exists():
            self._download.fetch(self._root)
        names = self._find()
        sources = [
            Source(
                self._root / folder / name,
                self.channels[folder[-1]],
                self._transform.prepare_training if folder.startswith("train") else self._transform.prepare_test,
            )
            for folder in _FOLDERS
            for name in names[folder]
        ]
        store, prints = load(f"data set {self._root}", sources)
        self._store = store

        start = 0
        places: dict[str, range] = {}
        for folder in _FOLDERS:
            places[folder] = range(start, start + len(names[folder]))
            start += len(names[folder])
        self.train = _Train(store, places["trainA"], places["trainB"], self._transform, self._shuffle)
        self.test: Mapping[str, TestSplit] = {
            folder[-1]: _Test(store, places[folder], folder[-1], names[folder])
            for folder in ("testA", "testB")
            if names[folder]
        }
        self.size = self._transform.size or _common_size(store, [*places["trainA"], *places["trainB"]])
        relative = [f"{folder}/{name}" for folder in _FOLDERS for name in names[folder]]
        listing = "\n".join(f"{name} {print_}" for name, print_ in zip(relative, prints, strict=True))
        self._fingerprint = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def fingerprint(self) -> str:
        """16 hexadecimal digits of the names, lengths and both ends of all files; the same wherever the set lies."""
        assert self._fingerprint, "open the dataset first"
        return self._fingerprint

    def close(self) -> None:
        """Remove the temporary file that `open` wrote."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _find(self) -> dict[str, list[str]]:
        """The images of each folder; a test folder may be missing."""
        subject = f"data set {self._root}"
        if not self._root.is_dir():
            raise DataError(subject, [Fault(str(self._root), self._explain_root())])
        entries = sorted(entry.name for entry in self._root.iterdir() if not entry.name.startswith("."))
        names: dict[str, list[str]] = {}
        faults: list[Fault] = []
        for folder in _FOLDERS:
            path = self._root / folder
            names[folder] = find_images(path) if path.is_dir() else []
            if names[folder]:
                continue
            if path.is_dir():
                if folder.startswith("train"):
                    faults.append(Fault(str(path), f"holds no images; it needs {_kinds()}"))
            elif folder in entries:
                faults.append(Fault(str(path), "is a file, not a folder of images"))
            elif folder.startswith("train") or folder.lower() in (entry.lower() for entry in entries):
                faults.append(Fault(str(path), self._explain_missing(folder, entries)))
        if faults:
            raise DataError(subject, faults)
        return names

    def _explain_root(self) -> str:
        if self._root.exists():
            return "is a file, not a folder with trainA and trainB"
        beside = self._root.parent
        siblings = sorted(entry.name for entry in beside.iterdir() if entry.is_dir()) if beside.is_dir() else []
        return (
            f"does not exist{did_you_mean(self._root.name, siblings)} Seen from {Path.cwd()}. "
            "Set data.root to the folder that holds trainA and trainB, or name a data.download"
        )

    def _explain_missing(self, folder: str, entries: Sequence[str]) -> str:
        folders = [entry for entry in entries if (self._root / entry).is_dir()]
        inside = [entry for entry in folders if (self._root / entry / "trainA").is_dir()]
        loose = [entry for entry in entries if is_image(entry)]
        if inside:
            return f"does not exist, but {inside[0]} has a trainA: set data.root to {self._root / inside[0]}"
        if loose:
            return (
                f"does not exist, and {self._root} itself holds {len(loose)} images ({loose[0]} …): "
                "move those of domain A into trainA, those of domain B into trainB"
            )
        known = [entry for entry in folders if entry not in _FOLDERS]
        exists = f"{self._root} holds: {', '.join(entries[:10])}{' …' if len(entries) > 10 else ''}"
        if not entries:
            exists = f"{self._root} is empty"
            if self._download is not None:
                exists += "; remove it to have the set downloaded"
        return f"does not exist{did_you_mean(folder, known)} {exists}"


class _Train(TrainSplit):
    def __init__(self, store: ImageStore, a: range, b: range, transform: Transform, shuffle: bool) -> None:
        self._store = store
        self._a = a
        self._b = b
        self._transform = transform
        self.shuffled = shuffle

    def __len__(self) -> int:
        return max(len(self._a), len(self._b))

    def draw(self, index: int, rng: np.random.Generator) -> Item:
        other = int(rng.integers(len(self._b))) if self.shuffled else index % len(self._b)
        return {
            "real_A": self._transform.augment(self._store[self._a[index % len(self._a)]], rng),
            "real_B": self._transform.augment(self._store[self._b[other]], rng),
        }


class _Test(TestSplit):
    def __init__(self, store: ImageStore, places: range, domain: str, names: Sequence[str]) -> None:
        self._store = store
        self._places = places
        self._key = f"real_{domain}"
        self._names = names

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Item:
        return {self._key: torch.from_numpy(np.array(self._store[self._places[index]]))}

    def name(self, index: int) -> str:
        return self._names[index]


def _common_size(store: ImageStore, places: Sequence[int]) -> tuple[int, int] | None:
    sizes = {store.shape(place)[1:] for place in places}
    return sizes.pop() if len(sizes) == 1 else None


def _kinds() -> str:
    return "jpg, jpeg, png, webp, bmp, tif or tiff files"
