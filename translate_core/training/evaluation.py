"""Samples and metrics: the test images in evaluation mode, without gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from translate_core.contracts.dataset import Item, TestSplit, to_uint8, to_unit_range
from translate_core.contracts.direction import Direction
from translate_core.contracts.metric import Metric
from translate_core.contracts.observer import Result, Sample
from translate_core.contracts.role import GENERATORS
from translate_core.runtime.randomness import Draws
from translate_core.training.build import Assembly
from translate_core.training.inference import CroppedTensors, Inference
from translate_core.training.shape_check import Comparison
from translate_core.training.size_constraint import SizeConstraint


def samples(assembly: Assembly) -> list[Sample]:
    """The first `training.samples` test images of every direction, with the tensors to show."""
    rows = []
    with _inference(assembly) as inference:
        for name, direction in assembly.method.directions.items():
            split: Sequence[Item] | TestSplit = assembly.dataset.test.get(direction.source, ())
            for index in range(min(assembly.recipe.training.samples, len(split))):
                item = split[index]
                tensors = _tensors(assembly, inference, direction, item, index)
                show = [
                    *assembly.shapes.show[name],
                    *([direction.target_tensor] if direction.target_tensor in item else []),
                ]
                pictures = {tensor: _rgb(to_uint8(tensors[tensor])[0].cpu()) for tensor in show}
                rows.append(Sample(name, assembly.dataset.test[direction.source].name(index), pictures))
    return rows


def evaluate(assembly: Assembly) -> list[Result]:
    """Every metric of every direction over all test images, each once."""
    results: list[Result] = []
    with _inference(assembly) as inference:
        for name, direction in assembly.method.directions.items():
            comparisons = assembly.shapes.comparisons[name]
            if comparisons and direction.source in assembly.dataset.test:
                results += _evaluate_direction(assembly, inference, name, direction, comparisons)
    return results


@contextmanager
def _inference(assembly: Assembly) -> Iterator[Inference]:
    with assembly.evaluation_mode() as networks, torch.no_grad():
        makers = (network.module for network in networks.values() if network.role.side == GENERATORS)
        yield Inference(
            assembly.method,
            networks,
            assembly.calls,
            SizeConstraint.of(makers),
            assembly.device,
            assembly.shapes.needed,
        )


def _evaluate_direction(
    assembly: Assembly, inference: Inference, name: str, direction: Direction, comparisons: Sequence[Comparison]
) -> Iterator[Result]:
    split = assembly.dataset.test[direction.source]
    metrics: dict[Comparison, Metric] = {item: assembly.recipe.metrics[item.metric].block() for item in comparisons}
    sizes = set()
    for index in range(len(split)):
        tensors = _tensors(assembly, inference, direction, split[index], index)
        sizes.add(tensors.size)
        for comparison, metric in metrics.items():
            metric.update(tensors[comparison.output], tensors[comparison.reference])
    size = f"{len(sizes)} sizes" if len(sizes) > 1 else "×".join(map(str, sizes.pop()))
    weights = "EMA weights" if assembly.ema else "weights as trained"
    on = f"all {len(split)} test images of {direction.source} at {size}, {weights}"
    for comparison, metric in metrics.items():
        yield Result(
            f"{comparison.metric}/{comparison.output}",
            metric.compute(),
            name,
            metric.higher_is_better,
            f"{comparison.output} against {comparison.reference} on {on}",
            metric.protocol,
        )


def _tensors(assembly: Assembly, inference: Inference, direction: Direction, item: Item, index: int) -> CroppedTensors:
    """The tensors of one test image."""
    dtype = assembly.precision.dtype
    images = {name: to_unit_range(image[None].to(assembly.device), dtype) for name, image in item.items()}
    draws = Draws(assembly.recipe.training.seed, 0, index, 0, "test")
    return inference.tensors(direction.given, images, draws)


def _rgb(image: Tensor) -> Tensor:
    """(C, H, W) as three channels: grey repeated, of more than three the first three."""
    return image[:3] if image.shape[0] >= 3 else image[:1].expand(3, -1, -1)
