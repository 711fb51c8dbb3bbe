"""Losses that compare tensors pairwise: which pairs, and what is asked of both."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from translate_core import Loss, Method, Tensors, UserError, did_you_mean

Pairs = dict[str, str] | str
"""In a recipe: tensor -> what it is compared with, or the name of one of the method's own tables of pairs."""


class PairwiseLoss(Loss):
    """A sum over pairs of tensors, a part for each pair, named after its first tensor.

    Either may be a list of tensors (features at several depths); the two of a pair are of the same shapes.

    Args:
        pairs: tensor -> what it is compared with, or the name of one of the method's `pairs`. Raises UserError when
            there are none.
    """

    def __init__(self, pairs: Pairs) -> None:
        super().__init__()
        if not pairs:
            raise UserError("pairs names no tensors: leave it out, or give some, such as {rec_A: real_A}")
        self._asked = pairs
        self.pairs: Mapping[str, str] = {}

    def prepare(self, method: Method) -> None:
        """Looks up the method's pairs where the recipe names a table of them. Raises UserError for one it lacks."""
        self.pairs = self._of_method(method, self._asked) if isinstance(self._asked, str) else self._asked

    def _of_method(self, method: Method, topic: str) -> Mapping[str, str]:
        pairs = method.pairs.get(topic)
        if pairs:
            return pairs
        has = f"It has: {', '.join(method.pairs)}" if method.pairs else "It has none"
        raise UserError(
            f"method {type(method).__name__} compares no tensors under '{topic}'{did_you_mean(topic, method.pairs)} "
            f"{has}. Or give `pairs`, such as {{rec_A: real_A}}, of these tensors: {', '.join(method.tensor_names())}"
        )

    @abstractmethod
    def compare(self, output: Any, target: Any) -> Tensor:
        """What one pair costs, a scalar. output, target: tensors, or lists of tensors, of the same shapes."""

    def generator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        """What each pair costs. Raises UserError for pairs of different shapes."""
        parts = {}
        for output, target in self.pairs.items():
            first, second = tensors[output], tensors[target]
            if _shapes(first) != _shapes(second):
                raise UserError(
                    f"compares {output} with {target}, of different shapes: {written(first)} and {written(second)}"
                )
            parts[output] = self.compare(first, second)
        return parts


def mean_over_members(distance: Callable[[Tensor, Tensor], Tensor], output: Any, target: Any) -> Tensor:
    """The distance of two tensors; of two lists, the mean of their members' distances."""
    if isinstance(output, Tensor):
        return distance(output, target)
    return torch.stack([distance(x, y) for x, y in zip(output, target, strict=True)]).mean()


def images_alone(name: str, value: Any) -> Tensor:
    """`value`, which must be images (N, C, H, W). Raises UserError. name: of the loss that asks."""
    if isinstance(value, Tensor) and value.dim() == 4:
        return value
    raise UserError(f"{name} compares images, batch × channels × height × width, and was given {written(value)}")


def _shapes(value: Any) -> Any:
    return value.shape if isinstance(value, Tensor) else [item.shape for item in value]


def written(value: Any) -> str:
    """The shape of a tensor, or those of a list of them, as a message has it: `1×3×8×8`."""
    if isinstance(value, Tensor):
        return "×".join(map(str, value.shape)) or "a scalar"
    return f"[{', '.join(written(item) for item in value)}]"
