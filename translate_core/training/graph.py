"""Which networks the gradients of a loss reach, and through which tensors of the method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from translate_core.contracts.method import Method


@dataclass(frozen=True)
class Reach:
    """Where the gradients of a loss go.

    networks: those that get a gradient. through: the tensors of the method that gradients pass on their way.
    behind: the networks that get a gradient through these tensors.
    """

    networks: frozenset[str]
    through: frozenset[str]
    behind: frozenset[str]


NOWHERE = Reach(frozenset(), frozenset(), frozenset())
"""Gradients that go nowhere."""


def reach_of(total: Tensor, batch: Method, modules: Mapping[str, nn.Module]) -> Reach:
    """Where the gradients of a scalar go. batch: the method with the tensors that the scalar was computed from."""
    if not total.requires_grad:
        return NOWHERE
    passed = _passed(total, batch)
    behind = _reached([tensor for _, tensor in passed], modules) if passed else frozenset()
    return Reach(_reached([total], modules), frozenset(name for name, _ in passed), behind)


def _passed(total: Tensor, batch: Method) -> list[tuple[str, Tensor]]:
    """The tensors of the batch that the gradients of a scalar pass, by name."""
    computed = [(name, tensor) for name, value in batch.computed().items() for tensor in _tensors_in(value)]
    live = [(name, tensor) for name, tensor in computed if tensor.requires_grad]
    if not live:
        return []
    gradients = torch.autograd.grad(total, [tensor for _, tensor in live], allow_unused=True, retain_graph=True)
    return [item for item, gradient in zip(live, gradients, strict=True) if gradient is not None]


def _reached(outputs: list[Tensor], modules: Mapping[str, nn.Module]) -> frozenset[str]:
    """The networks whose parameters the gradients of these tensors reach."""
    owners = [(name, p) for name, module in modules.items() for p in module.parameters() if p.requires_grad]
    live = [output for output in outputs if output.requires_grad]
    if not owners or not live:
        return frozenset()
    gradients = torch.autograd.grad(
        live, [p for _, p in owners], [torch.ones_like(output) for output in live], allow_unused=True, retain_graph=True
    )
    return frozenset(name for (name, _), gradient in zip(owners, gradients, strict=True) if gradient is not None)


def _tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors_in(item)
