"""What a dataset has and returns, checked: anything unlike the contract is the dataset's fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from pathlib import Path

from torch import Tensor

from translate_core.contracts.dataset import Dataset, Item, TestSplit, TrainSplit
from translate_core.errors import UserError, written_in

_ATTRIBUTES: tuple[tuple[str, str, Callable[[object], bool]], ...] = (
    ("train", "a TrainSplit", lambda value: _is_split(value, "draw")),
    ("test", "a mapping of domains to TestSplits", lambda value: _maps(value, lambda item: _is_split(item, "name"))),
    ("channels", "a mapping of domains to numbers", lambda value: _maps(value, lambda item: isinstance(item, int))),
    ("kinds", "a mapping of names to texts", lambda value: _maps(value, lambda item: isinstance(item, str))),
    ("domains", "a tuple of texts", lambda value: _lists(value, str)),
    ("classes", "a tuple of texts", lambda value: _lists(value, str)),
    ("folders", "a list of paths", lambda value: _lists(value, Path)),
    ("size", "(height, width) or None", lambda value: value is None or (_lists(value, int) and _pair(value))),
)
"""Of an open dataset: the name, what it must be, and whether a value is that."""


def _is_split(value: object, method: str) -> bool:
    """Whether it has the methods of a split; its class may be any."""
    return not isinstance(value, type) and isinstance(value, Sized) and hasattr(value, method)


def _maps(value: object, fits: Callable[[object], bool]) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) and fits(item) for name, item in value.items())


def _lists(value: object, kind: type) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, kind) for item in value)


def _pair(value: object) -> bool:
    return isinstance(value, Sized) and len(value) == 2


def check_dataset(dataset: Dataset) -> None:
    """Raises UserError for an open dataset with attributes or lengths unlike the contract."""
    for name, words, fits in _ATTRIBUTES:
        value: object = getattr(dataset, name)
        if not fits(value):
            raise UserError(f"`{name}` of {written_in(dataset)} must be {words}, not {type(value).__name__}")
    splits: list[Sized] = [dataset.train, *dataset.test.values()]
    for split in splits:
        length_of(split)


def length_of(split: Sized) -> int:
    """The length of a split. Raises UserError where it is not a whole number of at least 0."""
    try:
        return len(split)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"`len` of {written_in(split)} fails: {error}") from error


def split_in_epoch(split: TrainSplit, epoch: int) -> TrainSplit:
    """The training split as it is in an epoch. Raises UserError for anything else."""
    found = split.in_epoch(epoch)
    if not _is_split(found, "draw"):
        raise UserError(f"`in_epoch` of {written_in(split)} must return a TrainSplit, not {type(found).__name__}")
    return found


def test_image(split: TestSplit, index: int) -> Item:
    """An item of a test split. Raises UserError for anything but tensors by name."""
    return tensors_by_name(split[index], f"test image {index} of {written_in(split)}")


def tensors_by_name(item: object, what: str) -> Item:
    """An item of a split. what: the item, in words. Raises UserError for anything but tensors by name."""
    if isinstance(item, Mapping) and all(isinstance(name, str) for name in item):
        if all(isinstance(value, Tensor) for value in item.values()):
            return dict(item)
        found = ", ".join(f"{name}: {type(value).__name__}" for name, value in item.items())
    else:
        found = type(item).__name__
    raise UserError(f"{what} must be tensors by name, not {found}")
