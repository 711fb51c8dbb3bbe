"""Samples and metrics: the test images in evaluation mode, without gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from translate_core.contracts.dataset import Item, TestSplit
from translate_core.contracts.direction import Direction
from translate_core.contracts.metric import Metric
from translate_core.contracts.observer import Result, Sample
from translate_core.runtime.randomness import Draws
from translate_core.training.build import Assembly
from translate_core.training.given import on_device
from translate_core.training.inference import CroppedTensors, Inference
from translate_core.training.pictures import as_picture
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
                pictures = {tensor: as_picture(tensors[tensor]) for tensor in show}
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


def metric_names(assembly: Assembly) -> dict[str, list[str]]:
    """By direction, the names of the results of `evaluate`."""
    return {
        name: [_name(comparison) for comparison in assembly.shapes.comparisons[name]]
        for name, direction in assembly.method.directions.items()
        if direction.source in assembly.dataset.test
    }


def _name(comparison: Comparison) -> str:
    return f"{comparison.metric}/{comparison.output}"


@contextmanager
def _inference(assembly: Assembly) -> Iterator[Inference]:
    with assembly.evaluation_mode() as networks, torch.no_grad():
        applied = (networks[name].module for name in assembly.shapes.applied)
        yield Inference(
            assembly.method,
            networks,
            assembly.calls,
            SizeConstraint.of(applied),
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
            _name(comparison),
            metric.compute(),
            name,
            metric.higher_is_better,
            f"{comparison.output} against {comparison.reference} on {on}",
            metric.protocol,
        )


def _tensors(assembly: Assembly, inference: Inference, direction: Direction, item: Item, index: int) -> CroppedTensors:
    """The tensors of one test image."""
    batch = {name: value[None] for name, value in item.items()}
    kinds = assembly.dataset.kinds
    images = on_device(batch, kinds, assembly.device, assembly.precision.dtype)
    images[direction.given] = images.pop(direction.source_tensor)
    labels = direction.labels(1, assembly.device)
    draws = Draws(assembly.recipe.training.seed, 0, index, 0, "test")
    return inference.tensors(direction.given, images, draws, labels, direction.defaults())
