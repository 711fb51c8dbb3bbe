"""What the items of a dataset may hold: images, labels, vectors and label maps, each as the dataset states it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from translate_core.conformance.kit import size
from translate_core.conformance.promise import Broken
from translate_core.contracts.dataset import Dataset

Size = tuple[int, int] | None


def check_item(dataset: Dataset, what: str, item: Any, expected: Size, kind: str) -> None:
    """Raises Broken where one of the tensors of that kind is not as the dataset states.

    Args:
        dataset: opened.
        what: the item, for messages.
        item: as `draw` or a test split returned it.
        expected: (height, width) of its images and maps; None where they may differ.
        kind: "image", "label", "vector" or "map".
    """
    if not isinstance(item, Mapping) or not item:
        raise Broken(f"{what} returns {type(item).__name__}, not images by name")
    for name, value in item.items():
        if dataset.kinds.get(name, "image") == kind:
            _CHECKS[kind](dataset, f"{what}['{name}']", name, value, expected)


def _image(dataset: Dataset, what: str, name: str, value: Any, expected: Size) -> None:
    if not isinstance(value, Tensor) or value.dim() != 3:
        listed = "; `kinds` states what else an item holds" if isinstance(value, Tensor) else ""
        raise Broken(f"{what} is {_shown(value)}, not an image (C, H, W){listed}")
    _check_channels(dataset, what, name, value)
    _check_size(what, value, expected)
    if value.dtype != torch.uint8 and not value.is_floating_point():
        raise Broken(f"{what} is {value.dtype}: neither uint8 nor floating point")
    if value.is_floating_point() and not bool((value.abs() <= 1.0 + 1e-6).all()):
        raise Broken(f"{what} has values outside [-1, 1]")


def _label(dataset: Dataset, what: str, name: str, value: Any, expected: Size) -> None:
    if not isinstance(value, Tensor) or value.dtype != torch.int64 or value.dim():
        raise Broken(f"{what} is {_shown(value)}, not a label: int64 without dimensions")
    most = max(len(dataset.domains), len(dataset.classes))
    if not 0 <= int(value) < most:
        raise Broken(
            f"{what} is {int(value)}; there are {len(dataset.domains)} domains, {len(dataset.classes)} classes"
        )


def _vector(dataset: Dataset, what: str, name: str, value: Any, expected: Size) -> None:
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.dim() != 1:
        raise Broken(f"{what} is {_shown(value)}, not a vector: floating point (K,)")
    if not bool(value.isfinite().all()):
        raise Broken(f"{what} has values that are not finite")


def _map(dataset: Dataset, what: str, name: str, value: Any, expected: Size) -> None:
    if not isinstance(value, Tensor) or value.dtype not in (torch.uint8, torch.int64) or value.dim() != 3:
        raise Broken(f"{what} is {_shown(value)}, not a label map: uint8 or int64 (1, H, W)")
    if value.shape[0] != 1:
        raise Broken(f"{what} is {size(value)}; a label map has 1 channel")
    _check_channels(dataset, what, name, value)
    _check_size(what, value, expected)
    if not bool(((value >= 0) & (value < len(dataset.classes))).all()):
        low, high = int(value.min()), int(value.max())
        raise Broken(f"{what} has the values {low} … {high}; `classes` lists {len(dataset.classes)}")


_CHECKS: dict[str, Callable[[Dataset, str, str, Any, Size], None]] = {
    "image": _image,
    "label": _label,
    "vector": _vector,
    "map": _map,
}


def _check_channels(dataset: Dataset, what: str, name: str, value: Tensor) -> None:
    """The channels of the name's domain; those of any domain where the name has none, as `real` and `other`."""
    domain = name.partition("_")[2]
    declared = {dataset.channels[domain]} if domain in dataset.channels else set(dataset.channels.values())
    if value.shape[0] not in declared:
        counts = " or ".join(map(str, sorted(declared)))
        raise Broken(f"{what} has {value.shape[0]} channels, and `channels` declares {counts}")


def _check_size(what: str, value: Tensor, expected: Size) -> None:
    if expected is not None and tuple(value.shape[1:]) != tuple(expected):
        raise Broken(f"{what} is {size(value)}, and `size` declares {expected[0]}×{expected[1]}")


def _shown(value: Any) -> str:
    return f"{size(value)} of {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
