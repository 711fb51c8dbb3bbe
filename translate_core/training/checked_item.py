"""The test images of a dataset, checked: an item that is not as the contract describes is the dataset's fault."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from translate_core.contracts.dataset import Item, TestSplit
from translate_core.errors import UserError, written_in


def test_image(split: TestSplit, index: int) -> Item:
    """An item of a test split. Raises UserError for anything but tensors by name."""
    item: object = split[index]
    if isinstance(item, Mapping) and all(isinstance(name, str) for name in item):
        if all(isinstance(value, Tensor) for value in item.values()):
            return dict(item)
        found = ", ".join(f"{name}: {type(value).__name__}" for name, value in item.items())
    else:
        found = type(item).__name__
    raise UserError(f"test image {index} of {written_in(split)} must be tensors by name, not {found}")
