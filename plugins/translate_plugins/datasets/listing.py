"""The files of a dataset: of which domain, trained on or tested with, in pairs or not. Found before any is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from translate_core import DataError, Fault

from .layout import Layout
from .pairs import match_pairs


@dataclass(frozen=True)
class Folder:
    """Image files of one folder.

    Args:
        name: of the folder, below the root.
        files: their paths below the folder, in order.
        domains: whose images each file holds: one, or several that `Dataset.parts` cuts out of it.
    """

    name: str
    files: Sequence[str]
    domains: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """The files that are trained on, or those that are tested with.

    Args:
        folders: in the order in which they are decoded.
        paired: whether the images of A and B belong together: those of one file, or those at one place in two folders.
    """

    folders: tuple[Folder, ...]
    paired: bool


@dataclass(frozen=True)
class Listing:
    """All files of a dataset.

    Args:
        train: the files that are trained on.
        test: those that are tested with.
        without: what is left out below the root, for the line that is shown while files are decoded.
    """

    train: Part
    test: Part
    without: str = ""


def list_domain_folders(root: Path, layout: Layout, remedies: Mapping[str, str], downloads: bool) -> Listing:
    """The files below `root` in trainA and trainB, testA and testB.

    Args:
        root: the folder of the dataset.
        layout: which folders there are, and which may be missing.
        remedies: for `train` and for `test`, where they are paired, what to do about images without counterpart.
        downloads: whether the set would be downloaded if there were no root, for messages.

    Raises:
        DataError: folders that are missing or empty, or images without counterpart.
    """
    names = layout.find(root, downloads)
    faults: list[Fault] = []
    for kind, remedy in remedies.items():
        a, b = f"{kind}A", f"{kind}B"
        names[a], names[b], found = match_pairs(root, (a, b), (names[a], names[b]), remedy)
        faults += found
    if faults:
        raise DataError(f"dataset {root}", faults)

    def part(kind: str) -> Part:
        folders = [Folder(f"{kind}{domain}", names[f"{kind}{domain}"], (domain,)) for domain in "AB"]
        return Part(tuple(folders), kind in remedies)

    return Listing(part("train"), part("test"))
