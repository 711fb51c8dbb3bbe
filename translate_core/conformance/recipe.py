"""The networks and the losses of a recipe: with its options, on its data, called as in its shape check."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import torch
from torch import Tensor, nn

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, image
from translate_core.conformance.report import Checked
from translate_core.conformance.setup import MethodSetup, fitted
from translate_core.contracts.dataset import Dataset, Item
from translate_core.contracts.given import Given
from translate_core.contracts.method import Method
from translate_core.recipe.load import load_recipe
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.runtime.meta import meta_device
from translate_core.runtime.randomness import numpy_generator
from translate_core.runtime.ranks import Ranks
from translate_core.training.build import check, open_data
from translate_core.training.given import on_device
from translate_core.training.shape_check import ShapeCheck
from translate_core.training.size_constraint import SizeConstraint

_ANY_SIDE = 256
"""Height and width where the images of a dataset differ in size, as in the shape check."""


class RecipeData:
    """A method on the opened data of a recipe."""

    def __init__(self, method: Method, dataset: Dataset) -> None:
        self.method = method
        self.channels = dict(dataset.channels)
        self._size = dataset.size
        self._kinds = dict(dataset.kinds)
        self._drawn = _draws(dataset)

    def given(self, item: Given, side: int, seed: int, count: int = 2) -> Tensor:
        """What the data give for the first training examples; test images of the training size.

        side: of the images where those of the dataset differ in size.
        """
        drawn = self._drawn[(seed + item.draw) % len(self._drawn)].get(item.of)
        if item.spatial and (drawn is None or self._size is None):
            return self._made(item, side, seed, count)
        assert drawn is not None, f"the shape check has found {item.of}"
        drawn = drawn[torch.arange(count) % len(drawn)]
        return on_device({"it": drawn}, {"it": item.kind}, torch.device("cpu"), torch.float32)["it"]

    def _made(self, item: Given, side: int, seed: int, count: int) -> Tensor:
        height, width = self._size or (side, side)
        made = image(self.channels[item.domain], height, width, seed=seed, count=count)
        return (made > 0).to(torch.uint8) if item.kind == "map" else made


def _draws(dataset: Dataset) -> list[dict[str, Tensor]]:
    """Some pairs of training examples, stacked; one of each pair where their sizes differ."""
    pairs = []
    for number in range(4):
        items = [_draw(dataset, (2 * number + place) % len(dataset.train)) for place in range(2)]
        first = items[0]
        equal = all(first[name].shape == items[1][name].shape for name in first)
        pairs.append({name: torch.stack([item[name] for item in (items if equal else items[:1])]) for name in first})
    return pairs


def _draw(dataset: Dataset, index: int) -> Item:
    return dataset.train.draw(index, numpy_generator(0, "conformance", index))


def of_recipe(path: str) -> tuple[str, Kit, list[Checked]]:
    """The name of a recipe, a kit whose checks are made in that recipe, and its networks and losses.

    Opens its data and runs its shape check. Raises UserError where it cannot be read, RecipeError for its faults.
    """
    recipe = load_recipe(path)
    dataset = open_data(recipe)
    with closing(dataset):
        shapes = check(recipe, dataset, Ranks())
        data = RecipeData(recipe.method, dataset)
    networks = _networks(shapes, dataset.channels)
    directions = recipe.method.directions.values()
    setup = MethodSetup(
        name=str(recipe.record["method"]["type"]),
        stated=data,
        roles={name: block for block, names in networks for name in names},
        side=_side(recipe, dataset),
        needed=shapes.needed | {direction.output for direction in directions},
        losses=tuple(item.block for item in recipe.losses.values()),
    )
    found = [Checked(block, tuple(names)) for block, names in networks]
    found += [Checked(item.block, (name,)) for name, item in recipe.losses.items()]
    return recipe.name, Kit(recipe.plugins.registry, recipe=setup), found


def _networks(shapes: ShapeCheck, channels: Mapping[str, int]) -> list[tuple[Block, list[str]]]:
    """The network components that the run needs, and the roles that they fill with equal options and channels."""
    found: dict[str, tuple[Block, list[str]]] = {}
    for name, network in shapes.networks.items():
        role = network.role
        supplied = [sum(channels[domain] for domain in domains) for domains in (role.inputs, role.outputs)]
        key = repr((role.kind, network.block.record, supplied, dict(role.extra), role.tapped, role.taps))
        found.setdefault(key, (network.block, []))[1].append(name)
    return list(found.values())


def _side(recipe: ResolvedRecipe, dataset: Dataset) -> int:
    """Height and width of square images that all networks take, where those of the dataset differ in size."""
    modules: dict[str, nn.Module] = {}
    with meta_device():
        for name, network in recipe.networks.items():
            modules[name] = network.block(**network.role.given(dataset.channels, modules))
    return fitted(_ANY_SIDE, SizeConstraint.of(modules.values()))
