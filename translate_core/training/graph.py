"""Which networks the gradients of a loss reach, and through which tensors of the method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.autograd.graph import get_gradient_edge as gradient_edge

from translate_core.contracts.method import Method
from translate_core.contracts.parameters import parameters_of


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
    """Where the gradients of a scalar go. batch: the method with the tensors that the scalar was computed from.

    Follows the graph that autograd recorded: nothing is differentiated.
    """
    edges = _edges_behind([total])
    passed = [(name, tensor) for name, tensor in _computed(batch) if _edge(tensor) in edges]
    behind = _edges_behind([tensor for _, tensor in passed])
    return Reach(_owners(edges, modules), frozenset(name for name, _ in passed), _owners(behind, modules))


def _computed(batch: Method) -> list[tuple[str, Tensor]]:
    """The tensors of the batch with gradients, by name."""
    computed = [(name, tensor) for name, value in batch.computed().items() for tensor in _tensors_in(value)]
    return [(name, tensor) for name, tensor in computed if tensor.requires_grad]


_Edge = tuple[Node | None, int]
"""A node of the graph, and which of its outputs."""


def _edge(tensor: Tensor) -> _Edge:
    return gradient_edge(tensor)[:2]


def _edges_behind(tensors: Sequence[Tensor]) -> set[_Edge]:
    """The edges that the gradients of these tensors pass, their own included."""
    open_edges: list[_Edge] = [_edge(tensor) for tensor in tensors if tensor.requires_grad]
    found = set(open_edges)
    expanded = set()
    while open_edges:
        node, _ = open_edges.pop()
        if node is None or node in expanded:
            continue
        expanded.add(node)
        new = set(node.next_functions) - found
        found |= new
        open_edges.extend(new)
    return found


def _owners(edges: set[_Edge], modules: Mapping[str, nn.Module]) -> frozenset[str]:
    """The networks with a parameter among the ends of these edges."""
    ends = {id(node.variable) for node, _ in edges if node is not None and hasattr(node, "variable")}
    return frozenset(
        name for name, module in modules.items() if any(id(parameter) in ends for parameter in parameters_of(module))
    )


def _tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors_in(item)
