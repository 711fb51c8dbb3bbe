"""Two folders of images in pairs, matched by their names."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from translate_core import MAX_PIXELS, Channels
from translate_plugins.fetching.download import Download

from .contents import channels_of
from .image_files import ImageFiles
from .layout import DOMAIN_FOLDERS
from .listing import Listing, list_domain_folders
from .transforms import Transform

_REMEDY = "Add them, remove these, or use data.type unpaired_folders"


class PairedFolders(ImageFiles):
    """Pairs of images of the same name: `root/trainA` and `root/trainB` and, if wanted, `root/testA` and `root/testB`.

    The images of a pair have the same path below their folders, whatever their endings are: `sub/1.jpg` and
    `sub/1.png`. Where every name of A ends with `_A` and every one of B with `_B`, these are ignored too: `1_A.jpg` and
    `1_B.jpg` are a pair. A pair shares one crop and one flip, so both images must have one size before the crop;
    `transform.resize` gives them one. An epoch is as many draws as there are pairs (pix2pix, Isola et al., CVPR 2017).

    Kinds of images, and label maps, as for `unpaired_folders`. Items hold `real_A` and `real_B`, uint8 (C, H, W); test
    items one of the two, and its counterpart as `target_B` or `target_A`.

    Args:
        root: the folder that holds trainA and trainB, relative to the current folder.
        transform: size, crop and flip, the latter two alike for both images of a pair.
        channels_A: 3 for RGB, 1 for greyscale images of A; by default 3, of label maps 1.
        channels_B: the same for B.
        shuffle: whether the pairs are visited in random order, else in that of the file names.
        download: where to fetch the set from if `root` does not exist.
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
        maps: tuple[Literal["A", "B"], ...] = (),
        classes: tuple[str, ...] = (),
        max_pixels: PositiveInt = MAX_PIXELS,
    ) -> None:
        channels = channels_of({"A": channels_A, "B": channels_B}, maps, classes)
        super().__init__(root, transform, channels, shuffle, download, maps, classes, max_pixels)

    def _list(self) -> Listing:
        remedies = {"train": _REMEDY, "test": _REMEDY}
        return list_domain_folders(self._root, DOMAIN_FOLDERS, remedies, self._download is not None)
