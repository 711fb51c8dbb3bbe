"""The structural dissimilarity loss, 1 - SSIM."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from translate_core import UserError
from translate_plugins.losses.pairwise import Pairs, PairwiseLoss, images_alone
from translate_plugins.similarity import WINDOW, structural_similarity


class SSIMLoss(PairwiseLoss):
    """One minus the mean structural similarity of any pair of images: 0 for equal ones, at most 2.

    Wang et al., IEEE TIP 13(4), 2004, equations 13 to 17, as the metric `ssim` but without rounding to 8 bits: images
    in [-1, 1] mapped to 0 … 1, 11×11 Gaussian window of standard deviation 1.5, K1 = 0.01, K2 = 0.03, where the
    window lies inside the image, each channel separately, mean over places, channels and images. As a loss: Zhao et
    al., Loss Functions for Image Restoration with Neural Networks, IEEE TCI 3(1), 2017, section III-B.

    Args:
        pairs: tensor -> the tensor that it is compared with, or the name of one of the method's `pairs`.
    """

    def __init__(self, *, pairs: Pairs = "reconstruction") -> None:
        super().__init__(pairs)

    def compare(self, output: Any, target: Any) -> Tensor:
        """1 - SSIM, a scalar. Raises UserError unless both are images that are no smaller than the window."""
        x, y = (images_alone("ssim", value) for value in (output, target))
        height, width = x.shape[2:]
        if min(height, width) < WINDOW:
            raise UserError(
                f"ssim needs images of at least {WINDOW}×{WINDOW} pixels, its window, and was given {height}×{width}"
            )
        return 1 - structural_similarity((x + 1) / 2, (y + 1) / 2, 1.0).mean()
