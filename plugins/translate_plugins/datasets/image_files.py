"""Datasets of image files below a root."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from translate_core import MAX_PIXELS, Channels, Dataset, TrainSplit
from translate_plugins.fetching.download import Download

from .contents import images, label_maps
from .decoding import Decoded, decode
from .listing import Listing
from .splits import common_size, test_splits, train_split
from .store import ImageStore
from .transforms import Transform


class ImageFiles(Dataset):
    """A dataset of image files below a root.

    A kind of set finds its files in `_list`; one whose files hold the images of several domains cuts them in `parts`;
    one whose draws are neither pairs of A and B nor unpaired images of both replaces `_train`.

    Args:
        root: the folder of the set.
        transform: size, crop and flip.
        channels: of each domain's images, in the order of the domains.
        shuffle: whether the training images are visited in random order.
        download: where to fetch the set from if `root` does not exist.
        maps: the domains whose files are label maps.
        classes: the names of their classes, in the order of their numbers.
        max_pixels: width × height of the largest file.
    """

    channels: Mapping[str, Channels]
    operation_keys = frozenset({"root", "download", "max_pixels"})

    def __init__(
        self,
        root: str,
        transform: Transform,
        channels: Mapping[str, Channels],
        shuffle: bool,
        download: Download | None,
        maps: Sequence[str] = (),
        classes: Sequence[str] = (),
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._root = Path(root)
        self._transform = transform
        self._shuffle = shuffle
        self._download = download
        self._max_pixels = max_pixels
        self.domains = tuple(channels)
        self.classes = tuple(classes)
        self.channels = channels
        self.kinds = {f"{role}_{domain}": "map" for domain in maps for role in ("real", "target")}
        self._contents = {
            domain: label_maps(self.classes) if domain in maps else images(count) for domain, count in channels.items()
        }
        self._store: ImageStore | None = None
        self._fingerprint = ""

    def open(self) -> None:
        """Fetches the set if it is missing and has a download, then decodes and resizes every image, once.

        Raises:
            DataError: folders that are missing or empty, or images without counterpart; then files that do not decode,
                are too small, or differ in size from their counterparts.
            UserError: the download failed, or the temporary folder is full.
        """
        self.close()
        if self._download is not None and not self._root.exists():
            self._download.fetch(self._root)
        listing = self._list()
        parts = (listing.train, listing.test)
        self.folders = [self._root / folder.name for part in parts for folder in part.folders]
        decoded = decode(self._root, listing, self._transform, self._contents, self.parts, self._max_pixels)
        self._store = decoded.store
        self._fingerprint = decoded.fingerprint
        self.train = self._train(decoded, listing)
        self.test = test_splits(decoded.store, decoded.test, listing.test)
        self.size = self._transform.size or common_size(decoded.store, decoded.train)

    @abstractmethod
    def _list(self) -> Listing:
        """The files of the set; none of them is read. Raises DataError."""

    def _train(self, decoded: Decoded, listing: Listing) -> TrainSplit:
        """Draws of `real_A` and `real_B`, from the decoded files."""
        return train_split(decoded.store, decoded.train, listing.train.paired, self._transform, self._shuffle)

    def fingerprint(self) -> str:
        """16 hexadecimal digits of the names, lengths and both ends of all files; independent of the root."""
        assert self._fingerprint, "open the dataset first"
        return self._fingerprint

    def close(self) -> None:
        """Removes the temporary file that `open` wrote."""
        if self._store is not None:
            self._store.close()
            self._store = None
