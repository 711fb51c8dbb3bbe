"""Matches the images of two folders by their names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from translate_core import Fault

_SHOWN = 20


def match_pairs(
    root: Path, folders: tuple[str, str], names: tuple[Sequence[str], Sequence[str]], remedy: str
) -> tuple[list[str], list[str], list[Fault]]:
    """The names in both folders, those of a pair at the same place in the two lists, and the faults found.

    The images of a pair have the same path below their folders, whatever their endings are: `a/1.jpg` and `a/1.png`.
    Where every name in the first folder ends with `_A`, and every one in the second with `_B`, these are ignored too:
    `1_A.jpg` and `1_B.jpg` are a pair.

    Args:
        root: the folder of the dataset.
        folders: of A and of B, below the root.
        names: relative to the folders, sorted.
        remedy: what to do about images without counterpart, for messages.

    Returns:
        the names of A, those of B, and a fault for each name that occurs twice and for each folder that lacks names.
    """
    stems = tuple([os.path.splitext(name)[0] for name in each] for each in names)
    if all(stem.endswith(end) for each, end in zip(stems, ("_A", "_B"), strict=True) for stem in each):
        stems = tuple([stem[:-2] for stem in each] for each in stems)
    faults: list[Fault] = []
    by_stem: list[dict[str, str]] = []
    for folder, each, own in zip(folders, stems, names, strict=True):
        first: dict[str, str] = {}
        for stem, name in zip(each, own, strict=True):
            if first.setdefault(stem, name) != name:
                message = f"has the same name as {first[stem]} apart from the ending: keep one of the two"
                faults.append(Fault(str(root / folder / name), message))
        by_stem.append(first)
    del faults[_SHOWN:]
    a, b = by_stem
    for have, lack, number in ((a, b, 0), (b, a, 1)):
        alone = [name for stem, name in have.items() if stem not in lack]
        if alone:
            message = (
                f"lacks the counterparts of {len(alone)} of {len(have)} images in {folders[number]}: {_few(alone)}; "
                f"the images of a pair have the same name, whatever their ending. {remedy}"
            )
            faults.append(Fault(str(root / folders[1 - number]), message))
    return list(a.values()), [b[stem] for stem in a if stem in b], faults


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
