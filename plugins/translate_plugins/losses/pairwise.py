"""Base of the losses that compare the tensors of pairs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from translate_core import Loss, Method, Tensors, UserError, did_you_mean

Pairs = dict[str, str] | str
"""In a recipe: tensor -> the tensor that it is compared with, or the name of one of the method's `pairs`."""


class PairwiseLoss(Loss):
    """Base of losses that are a sum over pairs of tensors, with one part per pair, named after its first tensor.

    Instead of tensors a pair may hold two lists of tensors (features at several depths). Shapes must match.

    Args:
        pairs: tensor -> the tensor that it is compared with, or the name of one of the method's `pairs`. Raises
            UserError when it is empty.
    """

    def __init__(self, pairs: Pairs) -> None:
        super().__init__()
        if not pairs:
            raise UserError("pairs is empty: leave it out, or give some, such as {rec_A: real_A}")
        self._given = pairs
        self.pairs: Mapping[str, str] = {}

    def prepare(self, method: Method) -> None:
        """Looks up the method's pairs where the recipe gives a name. Raises UserError for an unknown name."""
        self.pairs = self._of_method(method, self._given) if isinstance(self._given, str) else self._given

    def _of_method(self, method: Method, topic: str) -> Mapping[str, str]:
        pairs = method.pairs.get(topic)
        if pairs:
            return pairs
        has = f"It has: {', '.join(method.pairs)}" if method.pairs else "It has none"
        raise UserError(
            f"method {type(method).__name__} has no pairs '{topic}'{did_you_mean(topic, method.pairs)} "
            f"{has}. Or give `pairs`, such as {{rec_A: real_A}}, of these tensors: {', '.join(method.tensor_names())}"
        )

    @abstractmethod
    def compare(self, output: Any, target: Any) -> Tensor:
        """The loss of one pair, a scalar. output, target: tensors, or lists of tensors, of the same shapes."""

    def generator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        """The loss of each pair. Raises UserError for pairs of different shapes."""
        parts = {}
        for output, target in self.pairs.items():
            first, second = tensors[output], tensors[target]
            if _shapes(first) != _shapes(second):
                raise UserError(
                    f"compares {output} with {target}, of different shapes: "
                    f"{shape_text(first)} and {shape_text(second)}"
                )
            parts[output] = self.compare(first, second)
        return parts


def mean_over_members(distance: Callable[[Tensor, Tensor], Tensor], output: Any, target: Any) -> Tensor:
    """The distance of two tensors; of two lists, the mean of the distances of their members."""
    if isinstance(output, Tensor):
        return distance(output, target)
    return torch.stack([distance(x, y) for x, y in zip(output, target, strict=True)]).mean()


def images_alone(name: str, value: Any) -> Tensor:
    """Returns `value`, and raises UserError unless it is images (N, C, H, W). name: of the loss, for the message."""
    if isinstance(value, Tensor) and value.dim() == 4:
        return value
    raise UserError(f"{name} compares images, batch × channels × height × width, and was given {shape_text(value)}")


def _shapes(value: Any) -> Any:
    return value.shape if isinstance(value, Tensor) else [item.shape for item in value]


def shape_text(value: Any) -> str:
    """The shape of a tensor, or the shapes of a list of tensors, for messages: `1×3×8×8`."""
    if isinstance(value, Tensor):
        return "×".join(map(str, value.shape)) or "a scalar"
    return f"[{', '.join(shape_text(item) for item in value)}]"
