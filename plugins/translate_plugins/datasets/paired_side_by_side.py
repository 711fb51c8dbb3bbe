"""A folder of images that hold both domains, one beside the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from PIL import Image

from translate_core.contracts.dataset import TestSplit, TrainSplit
from translate_core.errors import DataError, Fault, UserError
from translate_core.runtime.images import Channels, convert_image
from translate_plugins.fetching.download import Download

from .image_files import Group, ImageFiles
from .layout import Layout
from .splits import Images, PairedTrain
from .transforms import Transform

_TEST = "test"
_OTHERS = "data.type paired_folders"
_A, _B = 0, 1
"""Which part of a file is which domain's."""


class PairedSideBySide(ImageFiles):
    """Pairs of images in one file each, side by side: `root/train` and, if wanted, `root/test`.

    Each file is cut in the middle; after that its halves are treated as images of their own, save that they share one
    crop and one flip (pix2pix, Isola et al., CVPR 2017: both resized to 286, then cut to 256). An epoch is as many
    draws as there are files.

    Kinds of images as for `unpaired_folders`. Items hold `real_A` and `real_B`, uint8 (C, H, W); test items one of the
    two, and its twin as `target_B` or `target_A`.

    Args:
        root: the folder that holds train, relative to the current folder.
        left: the domain of the left half.
        test: the folder below the root with the test images, such as `val`; null for none. A missing folder `test` is
            no fault where there are no other folders beside `train`.
        transform: size, crop and flip of the halves, the latter two alike for both.
        channels_A: 3 for RGB, 1 for greyscale images of A.
        channels_B: the same for B.
        shuffle: go through the files in a random order; without it in that of their names.
        download: where to fetch the set from if `root` does not exist.
    """

    def __init__(
        self,
        root: str,
        left: Literal["A", "B"] = "A",
        test: str | None = _TEST,
        transform: Transform = Transform(),  # noqa: B008 - frozen
        channels_A: Channels = 3,
        channels_B: Channels = 3,
        shuffle: bool = True,
        download: Download | None = None,
    ) -> None:
        super().__init__(root, transform, channels_A, channels_B, shuffle, download)
        self._left = left
        self._test = test

    def _read(self) -> None:
        names = self._layout().find(self._root, self._download is not None)
        self._refuse_folders_of_domains(names["train"])
        test = [] if self._test is None else [Group(self._test, names[self._test], training=False)]
        store, (pairs, *tested) = self._load([Group("train", names["train"], training=True), *test])

        def train(stage: int, transform: Transform) -> TrainSplit:
            return PairedTrain(store, pairs.of(_A, stage), pairs.of(_B, stage), transform, self._shuffle)

        self.train = self._in_stages(train)
        self.size = self._common_size(pairs.of())
        self.test: Mapping[str, TestSplit] = {
            domain: Images(store, domain, group.names, stored.of(own), stored.of(other))
            for group, stored in zip(test, tested, strict=True)
            for domain, own, other in (("A", _A, _B), ("B", _B, _A))
            if group.names
        }

    def _layout(self) -> Layout:
        layout = Layout(("train",), () if self._test is None else (self._test,), "move those to train on into train")
        folders = {path.name for path in self._root.iterdir() if path.is_dir()} if self._root.is_dir() else set()
        others = [name for name in folders - {"train"} if not name.startswith(".")]
        if self._test != _TEST or others:
            return replace(layout, asked="Set data.test to the folder with the test images, or to null for none")
        return layout

    def _refuse_folders_of_domains(self, names: Sequence[str]) -> None:
        """Two folders of images in `train` would all be cut in half without a word."""
        folders = {name.split("/")[0] for name in names}
        if {folder.lower() for folder in folders} == {"a", "b"}:
            a, b = sorted(folders, key=str.lower)
            raise DataError(
                f"data set {self._root}",
                [
                    Fault(
                        str(self._root / "train"),
                        f"holds the folders {a} and {b}, not files with two images side by side: "
                        f"rename them to {self._root / 'trainA'} and {self._root / 'trainB'} for {_OTHERS}",
                    )
                ],
            )

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
        halves = [(0, 0, width // 2, height), (width // 2, 0, width, height)]
        return {
            domain: whole[self.channels[domain]].crop(halves[0 if domain == self._left else 1]) for domain in ("A", "B")
        }

    def _parts(self, folder: str, image: Image.Image) -> list[Image.Image]:
        """The half of A, then that of B."""
        parts = self.parts(image)
        return [parts["A"], parts["B"]]
