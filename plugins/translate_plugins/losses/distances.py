"""Element-wise distances between the tensors of a pair."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor

from translate_plugins.losses.pairwise import Pairs, PairwiseLoss, mean_over_members


class L1(PairwiseLoss):
    """Mean absolute difference of any pair of tensors; for lists of features, the mean over their members.

    The reconstruction loss of pix2pix (Isola et al., CVPR 2017, equation 3), there with a weight of 100, and of MUNIT
    (Huang et al., ECCV 2018, equations 1 to 3).

    Args:
        pairs: tensor -> the tensor that it is compared with, or the name of one of the method's `pairs`.
    """

    def __init__(self, *, pairs: Pairs = "reconstruction") -> None:
        super().__init__(pairs)

    def compare(self, output: Any, target: Any) -> Tensor:
        """The mean of |output - target|."""
        return mean_over_members(F.l1_loss, output, target)


class L2(PairwiseLoss):
    """Mean squared difference of any pair of tensors; for lists of features, the mean over their members.

    Args:
        pairs: tensor -> the tensor that it is compared with, or the name of one of the method's `pairs`.
    """

    def __init__(self, *, pairs: Pairs = "reconstruction") -> None:
        super().__init__(pairs)

    def compare(self, output: Any, target: Any) -> Tensor:
        """The mean of (output - target)²."""
        return mean_over_members(F.mse_loss, output, target)


class SmoothL1(PairwiseLoss):
    """Mean of a distance that is quadratic near zero and absolute beyond, of any pair of tensors.

    With d = |output - target|: d² / 2β where d < β, else d - β/2 (Girshick, Fast R-CNN, ICCV 2015, equation 3, there
    with β = 1). For lists of features, the mean over their members.

    Args:
        beta: β, the difference at which the quadratic part ends. Images differ by at most 2.
        pairs: tensor -> the tensor that it is compared with, or the name of one of the method's `pairs`.
    """

    def __init__(self, *, beta: PositiveFloat = 1.0, pairs: Pairs = "reconstruction") -> None:
        super().__init__(pairs)
        self.beta = beta

    def compare(self, output: Any, target: Any) -> Tensor:
        """The mean of the distance."""
        return mean_over_members(lambda x, y: F.smooth_l1_loss(x, y, beta=self.beta), output, target)


class Charbonnier(PairwiseLoss):
    """Mean of sqrt((output - target)² + ε²), a differentiable form of the absolute difference, of any pair of tensors.

    Charbonnier et al., ICIP 1994; in this form Lai et al., Deep Laplacian Pyramid Networks, CVPR 2017, equation 2,
    there with ε = 1e-3. For lists of features, the mean over their members. For equal tensors the loss is ε, not 0.

    Args:
        eps: ε, the difference below which the loss is nearly quadratic.
        pairs: tensor -> the tensor that it is compared with, or the name of one of the method's `pairs`.
    """

    def __init__(self, *, eps: PositiveFloat = 1e-3, pairs: Pairs = "reconstruction") -> None:
        super().__init__(pairs)
        self.eps = eps

    def compare(self, output: Any, target: Any) -> Tensor:
        """The mean of sqrt((output - target)² + ε²)."""
        return mean_over_members(lambda x, y: ((x - y).square() + self.eps**2).sqrt().mean(), output, target)
