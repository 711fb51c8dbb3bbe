"""Samples and metrics: the test images in evaluation mode, without gradients."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from translate_core.contracts.dataset import Item
from translate_core.contracts.direction import Direction
from translate_core.contracts.metric import EmbeddingError, Metric, SetMetric
from translate_core.contracts.observer import Result, Sample
from translate_core.errors import UserError, written_in
from translate_core.runtime.randomness import Draws
from translate_core.training.build import Assembly
from translate_core.training.checked_data import length_of, test_image
from translate_core.training.given import on_device
from translate_core.training.inference import CroppedTensors, Inference
from translate_core.training.pictures import as_picture
from translate_core.training.set_metrics import DirectionSets, References, at_size, counted
from translate_core.training.shape_check import Comparison
from translate_core.training.size_constraint import SizeConstraint


def samples(assembly: Assembly) -> list[Sample]:
    """The first `training.samples` test images of every direction, with the tensors to show."""
    rows = []
    with _inference(assembly) as inference:
        for name, direction in assembly.method.directions.items():
            split = assembly.dataset.test.get(direction.source)
            if split is None:
                continue
            for index in range(min(assembly.recipe.training.samples, length_of(split))):
                item = test_image(split, index)
                tensors = _tensors(assembly, inference, direction, item, index)
                show = [
                    *assembly.shapes.show[name],
                    *([direction.target_tensor] if direction.target_tensor in item else []),
                ]
                pictures = {tensor: as_picture(tensors[tensor]) for tensor in show}
                image: object = split.name(index)
                if not isinstance(image, str):
                    raise UserError(f"`name` of {written_in(split)} must return a text, not {type(image).__name__}")
                rows.append(Sample(name, image, pictures))
    return rows


def evaluate(assembly: Assembly, embeddings: Path | None = None) -> list[Result]:
    """Every metric of every direction over the test images, each once.

    embeddings: the folder that keeps the embeddings of references; None keeps none on the disk.
    """
    results: list[Result] = []
    references = References(assembly, embeddings)
    with _inference(assembly) as inference:
        for name, direction in assembly.method.directions.items():
            comparisons = assembly.shapes.comparisons[name]
            if comparisons and direction.source in assembly.dataset.test:
                sets = DirectionSets(assembly, direction, references)
                results += _evaluate_direction(assembly, inference, name, direction, comparisons, sets)
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
    assembly: Assembly,
    inference: Inference,
    name: str,
    direction: Direction,
    comparisons: Sequence[Comparison],
    sets: DirectionSets,
) -> Iterator[Result]:
    split = assembly.dataset.test[direction.source]
    metrics: dict[Comparison, Metric] = {item: assembly.recipe.metrics[item.metric].block() for item in comparisons}
    length = length_of(split)
    counts = {item: min(assembly.recipe.metrics[item.metric].images or length, length) for item in comparisons}
    sizes = []
    for index in range(max(counts.values())):
        tensors = _tensors(assembly, inference, direction, test_image(split, index), index)
        sizes.append(tensors.size)
        for comparison, metric in metrics.items():
            if index >= counts[comparison]:
                continue
            if isinstance(metric, SetMetric):
                sets.update(metric, comparison, index, tensors)
            else:
                assert comparison.reference is not None
                metric.update(tensors[comparison.output], tensors[comparison.reference])
    weights = "EMA weights" if assembly.ema else "weights as trained"
    for comparison, metric in metrics.items():
        count = counts[comparison]
        images = counted(count, length, f"test images of {direction.source}") + at_size(sizes[:count])
        if isinstance(metric, SetMetric):
            try:
                value, on = sets.compare(metric, comparison, count, images, weights)
            except EmbeddingError as error:
                raise UserError(f"metric '{comparison.metric}', {written_in(metric)}: {error}") from error
        else:
            on = f"{comparison.output} against {comparison.reference} on {images}, {weights}"
            value = metric.compute()
        _check_result(comparison.metric, metric, value)
        yield Result(_name(comparison), value, name, metric.higher_is_better, on, metric.protocol)


def _check_result(name: str, metric: Metric, value: object) -> None:
    """Raises UserError for anything that a result cannot hold."""
    for what, given, kind in (
        ("`compute` must return a number", value, (int, float)),
        ("`higher_is_better` must be true or false", metric.higher_is_better, bool),
        ("`protocol` must be a text", metric.protocol, str),
    ):
        if not isinstance(given, kind):
            raise UserError(f"metric '{name}', {written_in(metric)}: {what}, not {type(given).__name__}")
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise UserError(f"metric '{name}', {written_in(metric)}: `compute` returns a number that no float holds")


def _tensors(assembly: Assembly, inference: Inference, direction: Direction, item: Item, index: int) -> CroppedTensors:
    """The tensors of one test image."""
    batch = {name: value[None] for name, value in item.items()}
    kinds = assembly.dataset.kinds
    images = on_device(batch, kinds, assembly.device, assembly.precision.dtype)
    images[direction.given] = images.pop(direction.source_tensor)
    labels = direction.labels(1, assembly.device)
    draws = Draws(assembly.recipe.training.seed, 0, index, 0, "test")
    return inference.tensors(direction.given, images, draws, labels, direction.defaults())
