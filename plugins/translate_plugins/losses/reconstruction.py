"""Cycle consistency and identity mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor

from translate_plugins.losses.pairwise import Pairs, PairwiseLoss, mean_over_members

Distance = Literal["l1", "l2", "smooth_l1"]
DISTANCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "l2": F.mse_loss,
    "smooth_l1": F.smooth_l1_loss,
}
"""Means over all elements of |x|; x²; x²/2 where |x| < 1, else |x| - 1/2 (Fast R-CNN, ICCV 2015, equation 3)."""


class Cycle(PairwiseLoss):
    """Cycle consistency: translated to the other domain and back, an image is compared with itself.

    Zhu et al., ICCV 2017, equation 2; the paper's λ is 10.

    Args:
        distance: l1 (as in the paper), l2 or smooth_l1, a mean over all elements.
        pairs: tensor -> the tensor that it is compared with, or the name of one of the method's `pairs`.
    """

    def __init__(self, *, distance: Distance = "l1", pairs: Pairs = "cycle") -> None:
        super().__init__(pairs)
        self.distance = DISTANCES[distance]

    def compare(self, output: Any, target: Any) -> Tensor:
        """The distance of the cycle's result and the image, a scalar."""
        return mean_over_members(self.distance, output, target)


class Identity(PairwiseLoss):
    """Identity mapping: a generator should return an image of its target domain unchanged.

    Zhu et al., ICCV 2017, section 5.2 (Photo generation from paintings), there with a weight of 5, half that of the
    cycle loss.

    Args:
        distance: l1 (as in the paper), l2 or smooth_l1, a mean over all elements.
        pairs: tensor -> the tensor that it is compared with, or the name of one of the method's `pairs`.
    """

    def __init__(self, *, distance: Distance = "l1", pairs: Pairs = "identity") -> None:
        super().__init__(pairs)
        self.distance = DISTANCES[distance]

    def compare(self, output: Any, target: Any) -> Tensor:
        """The distance of the generator's output and its input, a scalar."""
        return mean_over_members(self.distance, output, target)
