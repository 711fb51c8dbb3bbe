"""Data sets with a folder for each domain, whose images are twins or not."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image

from translate_core.contracts.dataset import TestSplit, TrainSplit
from translate_core.errors import DataError, Fault
from translate_core.runtime.images import convert_image

from .image_files import Group, ImageFiles
from .layout import Layout
from .pairs import match_pairs
from .splits import Images, PairedTrain, UnpairedTrain
from .transforms import Transform

LAYOUT = Layout(
    training=("trainA", "trainB"),
    test=("testA", "testB"),
    loose="move those of domain A into trainA, those of domain B into trainB",
)


class DomainFolders(ImageFiles):
    """Images in `root/trainA` and `root/trainB`, and in `root/testA` and `root/testB`.

    layout: the folders, and which of them may be missing.
    twins: which images are twins, `train` or `test`, and what to do where one of them is missing.
    """

    layout = LAYOUT
    twins: Mapping[str, str] = {}

    def _read(self) -> None:
        names = self.layout.find(self._root, self._download is not None)
        self._match(names)
        groups = [Group(folder, each, folder.startswith("train")) for folder, each in names.items()]
        places = [(0, 1) if kind == "train" else (2, 3) for kind in self.twins]
        store, (train_a, train_b, *test) = self._load(groups, places)

        split = PairedTrain if "train" in self.twins else UnpairedTrain

        def train(stage: int, transform: Transform) -> TrainSplit:
            return split(store, train_a.of(stage=stage), train_b.of(stage=stage), transform, self._shuffle)

        self.train = self._in_stages(train)
        self.size = self._common_size(train_a.of(), train_b.of())
        paired = "test" in self.twins
        self.test: Mapping[str, TestSplit] = {
            domain: Images(store, domain, names[f"test{domain}"], own.of(), other.of() if paired else None)
            for domain, own, other in zip("AB", test, reversed(test), strict=True)
            if names[f"test{domain}"]
        }

    def _match(self, names: dict[str, list[str]]) -> None:
        """Put twins at the same place in their folders' lists. Raises DataError."""
        faults: list[Fault] = []
        for kind, remedy in self.twins.items():
            a, b = f"{kind}A", f"{kind}B"
            names[a], names[b], found = match_pairs(self._root, (a, b), (names[a], names[b]), remedy)
            faults += found
        if faults:
            raise DataError(f"data set {self._root}", faults)

    def _parts(self, folder: str, image: Image.Image) -> list[Image.Image]:
        return [convert_image(image, self.channels[folder[-1]])]
