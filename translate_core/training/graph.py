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


def reach_of(total: Tensor, batch: Method, modules: Mapping[str, nn.Module]) -> Reach:
    """Where the gradients of a scalar go. batch: the method with the tensors that the scalar was computed from."""
    if not total.requires_grad:
        return Reach(frozenset(), frozenset(), frozenset())
    tensors = {name: list(_tensors_in(value)) for name, value in batch.computed().items()}
    passed = {name: [t for t in found if t.requires_grad and _passes(total, t)] for name, found in tensors.items()}
    passed = {name: found for name, found in passed.items() if found}
    behind = _reached([t for found in passed.values() for t in found], modules) if passed else frozenset()
    return Reach(_reached([total], modules), frozenset(passed), behind)


def _passes(total: Tensor, tensor: Tensor) -> bool:
    return torch.autograd.grad(total, tensor, allow_unused=True, retain_graph=True)[0] is not None


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
