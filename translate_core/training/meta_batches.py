"""What the data give, on the meta device, and the method bound to it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from translate_core.contracts.dataset import Dataset
from translate_core.contracts.direction import Choice, Direction
from translate_core.contracts.given import GivenKind, given_of
from translate_core.contracts.method import Method
from translate_core.contracts.network import Calls, Network
from translate_core.contracts.update import Update
from translate_core.errors import written_in
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.runtime.randomness import Draws, numpy_generator
from translate_core.training.checked_data import length_of, tensors_by_name, test_image

_ANY_SIZE = 256
"""Height and width that are tried where the images of a dataset differ in size."""

_FEW = 3
"""Sampling steps and other whole numbers of directions are tried with at most this many: more compute the same."""


class Integers:
    """Replaces the draws of `integer`: the largest number, or 0. called: whether an equation draws one."""

    def __init__(self) -> None:
        self.called = False
        self.smallest = False

    def __call__(self, high: int) -> int:
        """The number for a draw of 0 … high - 1."""
        self.called = True
        return 0 if self.smallest else high - 1


class MetaBatches:
    """Batches of a recipe on its data. integers: what replaces the draws of `integer`."""

    def __init__(self, recipe: ResolvedRecipe, dataset: Dataset) -> None:
        self.integers = Integers()
        self._recipe = recipe
        self._dataset = dataset

    def bound(
        self,
        given: Mapping[str, Tensor],
        handles: Mapping[str, Network],
        calls: Calls,
        *,
        grad: bool,
        needed: frozenset[str],
        update: Update | None = None,
        options: Mapping[str, int | float] | None = None,
    ) -> Method:
        """The method on given tensors, in an update or in a direction."""
        return self._recipe.method.tensors(
            given,
            handles,
            calls,
            Draws(0, 0, 0, 0),
            grad=grad,
            needed=needed,
            instead=update.instead if update is not None else None,
            options=options,
            integers=self.integers,
        )

    @cached_property
    def drawn(self) -> Mapping[str, Tensor]:
        """One example of the training data."""
        train = self._dataset.train
        return tensors_by_name(train.draw(0, numpy_generator(0, "shape check")), f"a draw of {written_in(train)}")

    def training(self) -> dict[str, Tensor]:
        """The tensors that the data give in training."""
        return {item.name: self._given(item.kind, self.drawn[item.of]) for item in given_of(self._recipe.method.given)}

    def test(self, direction: Direction) -> dict[str, Tensor]:
        """The tensors that a test image of a direction gives."""
        split = self._dataset.test.get(direction.source)
        supplied = tuple(test_image(split, 0)) if split is not None and length_of(split) else (direction.source_tensor,)
        images = {}
        for own in supplied:
            source = own == direction.source_tensor
            channels = self._dataset.channels[direction.source if source else own.partition("_")[2]]
            image = self._images(channels, 1)
            is_map = self._dataset.kinds.get(own, "image") == "map"
            images[direction.given if source else own] = image.to(torch.uint8) if is_map else image
        return images

    def example(self, choice: Choice) -> dict[str, Tensor]:
        """The example image of a choice."""
        return {choice.given: self._images(self._dataset.channels[choice.domain], 1)}

    @staticmethod
    def options(direction: Direction) -> dict[str, int | float]:
        """The options of a direction: their defaults, of whole numbers at most a few."""
        return {
            option.name: option.read(max(min(option.default, _FEW), option.low or 0))
            if isinstance(option.default, int)
            else option.default
            for option in direction.options
        }

    def _given(self, kind: GivenKind, drawn: Tensor) -> Tensor:
        """A batch of such tensors. drawn: one of them, from the dataset."""
        count = self._recipe.training.batch_size
        if kind == "image":
            return self._images(drawn.shape[0], count)
        if kind == "map":
            return self._images(drawn.shape[0], count).to(drawn.dtype)
        return torch.empty(count, *drawn.shape, dtype=drawn.dtype, device="meta")

    def _images(self, channels: int, count: int) -> Tensor:
        height, width = self._dataset.size or (_ANY_SIZE, _ANY_SIZE)
        return torch.empty(count, channels, height, width, device="meta")
