"""The folders of images that a dataset has, and messages for users whose folders differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from translate_core import DataError, Fault, did_you_mean, find_images, is_image


@dataclass(frozen=True)
class Layout:
    """The folders below the root of a dataset.

    Args:
        training: folders that must exist and hold images.
        test: folders of test images.
        loose: what to do with images that lie in the root itself, for messages.
        without_test: what to do where a test folder is missing, for messages; None where it may be missing.
    """

    training: tuple[str, ...]
    test: tuple[str, ...]
    loose: str
    without_test: str | None = None

    def find(self, root: Path, downloads: bool) -> dict[str, list[str]]:
        """The names of the images in each folder, sorted; none for a test folder that is missing.

        Args:
            root: the folder that holds them.
            downloads: whether the set would be downloaded if there were no root, for messages.

        Raises:
            DataError: folders that are missing or empty and may not be.
        """
        if not root.is_dir():
            raise DataError(f"dataset {root}", [Fault(str(root), self._explain_root(root))])
        entries = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("."))
        names: dict[str, list[str]] = {}
        faults: list[Fault] = []
        for folder in (*self.training, *self.test):
            path = root / folder
            names[folder] = find_images(path) if path.is_dir() else []
            if names[folder]:
                continue
            needed = folder in self.training or self.without_test is not None
            if path.is_dir():
                if needed:
                    faults.append(Fault(str(path), f"holds no images; it needs {IMAGE_FILES}"))
            elif path.exists():
                faults.append(Fault(str(path), "is a file, not a folder of images"))
            elif needed or folder.lower() in (entry.lower() for entry in entries):
                faults.append(Fault(str(path), self._explain_missing(root, folder, entries, downloads)))
        if faults:
            raise DataError(f"dataset {root}", faults)
        return names

    def _explain_root(self, root: Path) -> str:
        wanted = " and ".join(self.training)
        if root.exists():
            return f"is a file, not a folder with {wanted}"
        beside = root.parent
        siblings = sorted(entry.name for entry in beside.iterdir() if entry.is_dir()) if beside.is_dir() else []
        return (
            f"does not exist{did_you_mean(root.name, siblings)} The current folder is {Path.cwd()}. "
            f"Set data.root to the folder that holds {wanted}, or set data.download"
        )

    def _explain_missing(self, root: Path, folder: str, entries: Sequence[str], downloads: bool) -> str:
        folders = [entry for entry in entries if (root / entry).is_dir()]
        if folder in self.training:
            first = self.training[0]
            inside = [entry for entry in folders if (root / entry / first).is_dir()]
            loose = [entry for entry in entries if is_image(entry)]
            if inside:
                return f"does not exist, but {inside[0]} has a {first}: set data.root to {root / inside[0]}"
            if other := self._other_layout(root, folders):
                return f"does not exist, but {root} has {other}"
            if loose:
                images = f"{len(loose)} images ({loose[0]} …)" if len(loose) > 1 else f"an image, {loose[0]}"
                return f"does not exist, and {root} itself holds {images}: {self.loose}"
        known = [entry for entry in folders if entry not in (*self.training, *self.test)]
        exists = f"{root} holds: {', '.join(entries[:10])}{' …' if len(entries) > 10 else ''}"
        if not entries:
            exists = f"{root} is empty"
            if downloads:
                exists += "; remove it to have the set downloaded"
        advice = f". {self.without_test}" if self.without_test is not None and folder in self.test else ""
        return f"does not exist{did_you_mean(folder, known)} {exists}{advice}"

    def _other_layout(self, root: Path, folders: Sequence[str]) -> str:
        """What the root holds, and which type of dataset reads that; empty if none does."""
        if "trainA" in self.training:
            train = root / "train"
            if not {"trainA", "trainB"} & set(folders) and train.is_dir() and any(map(_is_image_file, train.iterdir())):
                return "a train with images in it: two images side by side in a file are data.type paired_side_by_side"
            if not {"trainA", "trainB"} & set(folders) and train.is_dir() and any(map(_holds_images, train.iterdir())):
                return "a train with folders of images in it: a folder for each domain is data.type class_folders"
        elif {"trainA", "trainB"} <= set(folders):
            return (
                "trainA and trainB: that is data.type paired_folders, or unpaired_folders where images are not paired"
            )
        return ""


DOMAIN_FOLDERS = Layout(
    training=("trainA", "trainB"),
    test=("testA", "testB"),
    loose="move those of domain A into trainA, those of domain B into trainB",
)
"""A folder for each domain."""


TEST = "test"
"""The folder of test images, unless the recipe names another."""

IMAGE_FILES = "jpg, jpeg, png, webp, bmp, tif or tiff files"


def train_and_test(root: Path, test: str | None, loose: str) -> Layout:
    """A folder `train`, and one for test images, which may be missing if it is `test` and `train` is the only folder.

    Args:
        root: the folder that holds them.
        test: the name of the folder of test images; None for none.
        loose: what to do with images that lie in the root itself, for messages.
    """
    layout = Layout(("train",), () if test is None else (test,), loose)
    folders = {path.name for path in root.iterdir() if path.is_dir()} if root.is_dir() else set()
    others = [name for name in folders - {"train"} if not name.startswith(".")]
    if test != TEST or others:
        return replace(layout, without_test="Set data.test to the folder with the test images, or to null for none")
    return layout


def _holds_images(path: Path) -> bool:
    return path.is_dir() and any(map(_is_image_file, path.iterdir()))


def _is_image_file(path: Path) -> bool:
    return path.is_file() and is_image(path.name)
