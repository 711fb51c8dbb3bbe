"""Two folders of images without correspondence."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import PositiveInt

from translate_core import MAX_PIXELS, Channels
from translate_plugins.fetching.download import Download

from .contents import channels_of
from .image_files import ImageFiles
from .layout import DOMAIN_FOLDERS
from .listing import Listing, list_domain_folders
from .transforms import Transform


class UnpairedFolders(ImageFiles):
    """Images of two domains without correspondence: `root/trainA`, `root/trainB` and, if wanted, `root/testA`, `testB`.

    jpg, jpeg, png, webp, bmp, tif and tiff files in any case, also in sub-folders; hidden ones are left out. Every kind
    of image becomes 8-bit RGB or greyscale: transparency is put on white, and the rotation in EXIF data is applied;
    files of more than 8 bits a channel are refused. An epoch is max(|A|, |B|) draws. Items hold `real_A` and `real_B`,
    uint8 (C, H, W); test items one of the two, and with `paired_test` its counterpart as `target_B` or `target_A`.

    The domains in `maps` hold label maps: greyscale or palette PNG files of at most 8 bits, where each pixel is the
    number of a class. They are resized by nearest neighbour, cropped and flipped as images are, and supplied as they
    are, uint8 (1, H, W).

    Args:
        root: the folder that holds trainA and trainB, relative to the current folder.
        transform: size, crop and flip.
        channels_A: 3 for RGB, 1 for greyscale images of A; by default 3, of label maps 1.
        channels_B: the same for B.
        shuffle: whether A is visited in random order, wrapping, with an image of B drawn at random, with replacement;
            else both are visited in file order, wrapping.
        download: where to fetch the set from if `root` does not exist.
        paired_test: the images in testA and testB are pairs, matched as those of `paired_folders` are, so that
            translations can be compared with their targets; training stays unpaired.
        maps: the domains whose files are label maps.
        classes: the names of the classes in label maps, in the order of their numbers.
        max_pixels: width × height of the largest file that is read; a small file can decode to any size.
    """

    def __init__(
        self,
        root: str,
        transform: Transform = Transform(),  # noqa: B008 - frozen
        channels_A: Channels | None = None,
        channels_B: Channels | None = None,
        shuffle: bool = True,
        download: Download | None = None,
        paired_test: bool = False,
        maps: tuple[Literal["A", "B"], ...] = (),
        classes: tuple[str, ...] = (),
        max_pixels: PositiveInt = MAX_PIXELS,
    ) -> None:
        channels = channels_of({"A": channels_A, "B": channels_B}, maps, classes)
        super().__init__(root, transform, channels, shuffle, download, maps, classes, max_pixels)
        self._paired_test = paired_test

    def _list(self) -> Listing:
        layout, remedies = DOMAIN_FOLDERS, {}
        if self._paired_test:
            layout = replace(layout, without_test="Add it, or set data.paired_test to false")
            remedies = {"test": "Add them, remove these, or set data.paired_test to false"}
        return list_domain_folders(self._root, layout, remedies, self._download is not None)
