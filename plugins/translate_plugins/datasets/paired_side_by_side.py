"""A folder of files that each hold an image of A and one of B, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import PositiveInt

from translate_core import MAX_PIXELS, Channels, DataError, Fault, UserError, convert_image
from translate_plugins.fetching.download import Download

from .image_files import ImageFiles
from .layout import TEST, train_and_test
from .listing import Folder, Listing, Part
from .transforms import Transform

_DOMAINS = ("A", "B")
_OTHERS = "data.type paired_folders"


class PairedSideBySide(ImageFiles):
    """Pairs of images in one file each, side by side: `root/train` and, if wanted, `root/test`.

    Each file is cut in the middle, then its halves are resized separately; they share one crop and one flip (pix2pix,
    Isola et al., CVPR 2017: both resized to 286, then cropped to 256). An epoch is as many draws as there are files.

    Kinds of images as for `unpaired_folders`. Items hold `real_A` and `real_B`, uint8 (C, H, W); test items one of the
    two, and its counterpart as `target_B` or `target_A`.

    Args:
        root: the folder that holds train, relative to the current folder.
        left: the domain of the left half.
        test: the folder below the root with the test images, such as `val`; null for none. The folder `test` may be
            missing where `train` is the only folder.
        transform: size, crop and flip of the halves, the latter two alike for both.
        channels_A: 3 for RGB, 1 for greyscale images of A.
        channels_B: the same for B.
        shuffle: whether the files are visited in random order, else in that of their names.
        download: where to fetch the set from if `root` does not exist.
        max_pixels: width × height of the largest file that is read; a small file can decode to any size.
    """

    def __init__(
        self,
        root: str,
        left: Literal["A", "B"] = "A",
        test: str | None = TEST,
        transform: Transform = Transform(),  # noqa: B008 - frozen
        channels_A: Channels = 3,
        channels_B: Channels = 3,
        shuffle: bool = True,
        download: Download | None = None,
        max_pixels: PositiveInt = MAX_PIXELS,
    ) -> None:
        super().__init__(root, transform, {"A": channels_A, "B": channels_B}, shuffle, download, max_pixels=max_pixels)
        self._left = left
        self._test = test

    def _list(self) -> Listing:
        return _list_files(self._root, self._test, self._download is not None)

    def parts(self, image: Image.Image) -> Mapping[str, Image.Image]:
        """The halves of a file by domain, each with the channels of its domain.

        Raises:
            UserError: the file is damaged, its width is odd, or it is taller than wide.
        """
        whole = {channels: convert_image(image, channels) for channels in set(self.channels.values())}
        width, height = next(iter(whole.values())).size
        if width % 2:
            raise UserError(
                f"is {height} × {width} (height × width): an odd width has no two halves; "
                "is it two images side by side?"
            )
        if height > width:
            raise UserError(
                f"is {height} × {width} (height × width), taller than wide, as two images side by side are not; "
                f"{_OTHERS} reads pairs of two files"
            )
        halves = [slice(0, width // 2), slice(width // 2, width)]
        return {
            domain: _cut(whole[self.channels[domain]], halves[0 if domain == self._left else 1]) for domain in _DOMAINS
        }


def _cut(image: Image.Image, columns: slice) -> Image.Image:
    """Columns of an image. `Image.crop` has a limit, one for the whole process, where `max_pixels` may be greater."""
    return Image.fromarray(np.asarray(image)[:, columns])


def _list_files(root: Path, test: str | None, downloads: bool) -> Listing:
    """test: the folder of the test images, if any; downloads: whether the set would be downloaded, for messages."""
    names = train_and_test(root, test, "move the training images into train").find(root, downloads)
    _refuse_folders_of_domains(root, names["train"])
    tested = () if test is None else (Folder(test, names[test], _DOMAINS),)
    return Listing(Part((Folder("train", names["train"], _DOMAINS),), paired=True), Part(tested, paired=True))


def _refuse_folders_of_domains(root: Path, names: Sequence[str]) -> None:
    """Raises DataError for folders A and B in `train`, whose images would otherwise be cut in half without an error."""
    folders = {name.split("/")[0] for name in names}
    if {folder.lower() for folder in folders} == {"a", "b"}:
        a, b = sorted(folders, key=str.lower)
        message = (
            f"holds the folders {a} and {b}, not files with two images side by side: "
            f"rename them to {root / 'trainA'} and {root / 'trainB'} for {_OTHERS}"
        )
        raise DataError(f"dataset {root}", [Fault(str(root / "train"), message)])
