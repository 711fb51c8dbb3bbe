"""Losses of reconstruction that have a name of their own: cycle consistency and identity mapping."""

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
"""Means over all elements: |x|; x²; x²/2 where |x| < 1, else |x| - 1/2 (Fast R-CNN, ICCV 2015, equation 3)."""


class Cycle(PairwiseLoss):
    """Cycle consistency: there and back again gives the image. Zhu et al., ICCV 2017, equation 2; the paper's λ is 10.

    Args:
        distance: l1 (the paper's), l2 or smooth_l1, a mean over all elements.
        pairs: tensor -> what it is compared with, or the name of one of the method's tables of pairs.
    """

    def __init__(self, *, distance: Distance = "l1", pairs: Pairs = "cycle") -> None:
        super().__init__(pairs)
        self.distance = DISTANCES[distance]

    def compare(self, output: Any, target: Any) -> Tensor:
        """The distance."""
        return mean_over_members(self.distance, output, target)


class Identity(PairwiseLoss):
    """Identity mapping: an image that is already of the target domain stays as it is.

    Zhu et al., ICCV 2017, section 5.2 (Photo generation from paintings), there with half the cycle's weight: 5.

    Args:
        distance: l1 (the paper's), l2 or smooth_l1, a mean over all elements.
        pairs: tensor -> what it is compared with, or the name of one of the method's tables of pairs.
    """

    def __init__(self, *, distance: Distance = "l1", pairs: Pairs = "identity") -> None:
        super().__init__(pairs)
        self.distance = DISTANCES[distance]

    def compare(self, output: Any, target: Any) -> Tensor:
        """The distance."""
        return mean_over_members(self.distance, output, target)
