"""The diversity loss: two translations of an image should differ."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from translate_plugins.losses.pairwise import Pairs, PairwiseLoss, mean_over_members


class Diversity(PairwiseLoss):
    """Minus the mean absolute difference of two translations of an image in different styles.

    The diversity sensitive loss of StarGAN v2 (Choi et al., CVPR 2020, equation 3; after Mao et al., CVPR 2019, and
    Yang et al., ICLR 2019), which the paper subtracts: here its sign is part of it, and the weight is positive. It has
    no lower bound; the paper lets its weight decrease linearly to 0 over the training, `weight: {from: 2, to: 0, steps:
    100000}`.

    Args:
        pairs: tensor -> the tensor that it should differ from, or the name of one of the method's `pairs`.
    """

    def __init__(self, *, pairs: Pairs = "diversity") -> None:
        super().__init__(pairs)

    def compare(self, output: Any, target: Any) -> Tensor:
        """Minus the mean of |output - target|."""
        return -mean_over_members(F.l1_loss, output, target)
