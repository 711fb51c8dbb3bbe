"""Samples and metrics: fresh tensors of the test images, in evaluation mode, without gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from translate_core.contracts.dataset import Item, to_uint8, to_unit_range
from translate_core.contracts.direction import Direction
from translate_core.contracts.method import Method
from translate_core.contracts.metric import Metric
from translate_core.contracts.network import Network
from translate_core.contracts.observer import Result, Sample
from translate_core.contracts.role import GENERATORS
from translate_core.runtime.randomness import Draws
from translate_core.training.build import Run
from translate_core.training.size_constraint import SizeConstraint, crop


def samples(run: Run) -> list[Sample]:
    """The first `training.samples` test images of every direction, through the networks as they are."""
    rows = []
    with run.evaluation_mode() as networks, torch.no_grad():
        for name, direction in run.method.directions.items():
            split = run.dataset.test.get(direction.source)
            for index in range(min(run.recipe.training.samples, len(split) if split is not None else 0)):
                assert split is not None
                item = split[index]
                batch = _Fitted(run, networks, direction, item, index)
                pictures = {tensor: to_uint8(batch[tensor])[0].cpu() for tensor in run.shapes.show[name]}
                if direction.target_tensor in item:
                    pictures[direction.target_tensor] = to_uint8(batch[direction.target_tensor])[0].cpu()
                rows.append(Sample(name, split.name(index), {key: _rgb(image) for key, image in pictures.items()}))
    return rows


def evaluate(run: Run) -> list[Result]:
    """Every metric of every direction over all test images, each once."""
    results: list[Result] = []
    with run.evaluation_mode() as networks, torch.no_grad():
        for name, direction in run.method.directions.items():
            compared = run.shapes.compared[name]
            if compared and direction.source in run.dataset.test:
                results += _evaluate_direction(run, networks, name, direction, compared)
    return results


def _evaluate_direction(
    run: Run,
    networks: Mapping[str, Network],
    name: str,
    direction: Direction,
    compared: tuple[tuple[str, str, str], ...],
) -> Iterator[Result]:
    split = run.dataset.test[direction.source]
    metrics: dict[tuple[str, str, str], Metric] = {item: run.recipe.metrics[item[0]].block() for item in compared}
    sizes = set()
    for index in range(len(split)):
        batch = _Fitted(run, networks, direction, split[index], index)
        sizes.add(batch.size)
        for (_, output, reference), metric in metrics.items():
            metric.update(batch[output], batch[reference])
    size = f"{len(sizes)} sizes" if len(sizes) > 1 else "×".join(map(str, sizes.pop()))
    weights = "averaged weights" if run.ema else "weights as trained"
    on = f"all {len(split)} test images of {direction.source} at {size}, {weights}"
    for (metric_name, output, reference), metric in metrics.items():
        yield Result(
            f"{metric_name}/{output}", metric.compute(), name, metric.higher_is_better,
            f"{output} against {reference} on {on}", metric.protocol,
        )  # fmt: skip


class _Fitted:
    """The tensors of one test image: padded for the networks, cropped back for the eye."""

    def __init__(self, run: Run, networks: Mapping[str, Network], direction: Direction, item: Item, index: int) -> None:
        dtype = run.precision.dtype
        given = {name: to_unit_range(image[None].to(run.device), dtype) for name, image in item.items()}
        height, width = given[direction.given].shape[-2:]
        self.size = (int(height), int(width))
        # As the Translator does: what only judges has no say in how a translation is padded.
        fit = SizeConstraint.of(network.module for network in networks.values() if network.role.side == GENERATORS)
        draws = Draws(run.recipe.training.seed, 0, index, 0, "test")
        draws.reseed_ambient(run.device, direction.given)
        padded = {name: fit.pad(image) for name, image in given.items()}
        self._batch: Method = run.method.tensors(padded, networks, run.calls, draws, grad=False)

    def __getitem__(self, name: str) -> Tensor:
        return crop(self._batch[name], *self.size)


def _rgb(image: Tensor) -> Tensor:
    """(C, H, W) as three channels: grey repeated, of more than three the first."""
    return image[:3] if image.shape[0] >= 3 else image[:1].expand(3, -1, -1)
