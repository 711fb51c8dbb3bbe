"""Losses that compare tensors pairwise: cycle consistency and identity mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from translate_core import Loss, Method, Tensors, UserError

Distance = Literal["l1", "l2", "smooth_l1"]
DISTANCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "l2": F.mse_loss,
    "smooth_l1": F.smooth_l1_loss,
}
"""Means over all elements: |x|; x²; x²/2 where |x| < 1, else |x| - 1/2 (Fast R-CNN, ICCV 2015, equation 3)."""


class PairwiseLoss(Loss):
    """The sum of a distance over pairs of tensors, a part for each pair, named after its first tensor."""

    topic: ClassVar[str]

    def __init__(self, distance: Distance, pairs: dict[str, str] | None) -> None:
        super().__init__()
        self.distance = DISTANCES[distance]
        self.pairs: Mapping[str, str] = pairs or {}

    def prepare(self, method: Method) -> None:
        """Takes the method's pairs unless the recipe has its own.

        Raises UserError when neither has any, or when they name tensors that the method lacks.
        """
        self.pairs = self.pairs or method.pairs.get(self.topic, {})
        if not self.pairs:
            raise UserError(
                f"method {type(method).__name__} compares no tensors under '{self.topic}'; "
                f"give `pairs`, such as {{rec_A: real_A}}. It has: {', '.join(method.tensor_names())}"
            )

    def generator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        """The distance of each pair."""
        return {output: self.distance(tensors[output], tensors[target]) for output, target in self.pairs.items()}


class Cycle(PairwiseLoss):
    """Cycle consistency: there and back again gives the image. Zhu et al., ICCV 2017, equation 2; the paper's λ is 10.

    Args:
        distance: l1 (the paper's), l2 or smooth_l1, a mean over all elements.
        pairs: tensor -> what it is compared with; the method's own pairs by default.
    """

    topic = "cycle"

    def __init__(self, *, distance: Distance = "l1", pairs: dict[str, str] | None = None) -> None:
        super().__init__(distance, pairs)


class Identity(PairwiseLoss):
    """Identity mapping: an image that is already of the target domain stays as it is.

    Zhu et al., ICCV 2017, section 5.2 (Photo generation from paintings), there with half the cycle's weight: 5.

    Args:
        distance: l1 (the paper's), l2 or smooth_l1, a mean over all elements.
        pairs: tensor -> what it is compared with; the method's own pairs by default.
    """

    topic = "identity"

    def __init__(self, *, distance: Distance = "l1", pairs: dict[str, str] | None = None) -> None:
        super().__init__(distance, pairs)
