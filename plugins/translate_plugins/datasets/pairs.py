"""Which image of one folder belongs to which of another: the one of the same name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from translate_core.errors import Fault

_SHOWN = 20


def match_pairs(
    root: Path, folders: tuple[str, str], names: tuple[Sequence[str], Sequence[str]], remedy: str
) -> tuple[list[str], list[str], list[Fault]]:
    """The names in both folders, twins at the same place, and a fault for each thing that keeps them from being so.

    Twins have the same path below their folder, whatever their endings are: `a/1.jpg` and `a/1.png`. Where every name
    in the first folder ends with `_A`, and every one in the second with `_B`, these too are left out: `1_A.jpg` and
    `1_B.jpg` are twins.

    Args:
        root: the folder of the data set.
        folders: of A and of B, below the root.
        names: relative to the folders, sorted.
        remedy: what to do where twins are missing.
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
                faults.append(
                    Fault(str(root / folder / name), f"would be the same twin as {first[stem]}: keep one of the two")
                )
        by_stem.append(first)
    del faults[_SHOWN:]
    a, b = by_stem
    for have, lack, number in ((a, b, 0), (b, a, 1)):
        alone = [name for stem, name in have.items() if stem not in lack]
        if alone:
            faults.append(
                Fault(
                    str(root / folders[1 - number]),
                    f"lacks the twins of {len(alone)} of {len(have)} images in {folders[number]}: {_few(alone)}; "
                    f"twins have the same name, whatever their ending. {remedy}",
                )
            )
    return list(a.values()), [b[stem] for stem in a if stem in b], faults


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
