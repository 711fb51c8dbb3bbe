"""A metric that measures how well edges are kept."""

from __future__ import annotations

from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor
from translate_core import Metric

_CONSTANT = 170.0
_LUMINANCE = (0.299, 0.587, 0.114)


class GMSD(Metric):
    """Gradient magnitude similarity deviation, averaged over the images; 0 for equal images.

    Xue, Zhang, Mou and Bovik, Gradient Magnitude Similarity Deviation: A Highly Efficient Perceptual Image Quality
    Index, IEEE Transactions on Image Processing 23(2), 2014, arXiv 1308.3052: on the luminance of half the size, the
    standard deviation of the similarity of Prewitt's gradient magnitudes, with the paper's constant of 170.
    """

    higher_is_better = False
    protocol = (
        "GMSD of Xue et al. 2014: luminance 0.299 R + 0.587 G + 0.114 B (of other than three channels the mean) in "
        "0 ... 255, not quantised; 2x2 means, Prewitt's filter / 3 with zeros around the image, c = 170, population "
        "standard deviation, in float64; mean over images"
    )

    def __init__(self) -> None:
        self._values: list[float] = []

    def update(self, output: Tensor, reference: Tensor) -> None:
        """output, reference: (1, C, H, W) in [-1, 1], of the same shape."""
        x, y = (_gradients(images) for images in (output, reference))
        similarity = (2 * x * y + _CONSTANT) / (x.square() + y.square() + _CONSTANT)
        self._values.append(similarity.std(correction=0).item())

    def compute(self) -> float:
        """The mean over all images so far."""
        return fmean(self._values)


def _gradients(images: Tensor) -> Tensor:
    """(1, 1, H // 2, W // 2), float64 on the CPU."""
    values = (images.detach().cpu().double() + 1) * 127.5
    channels = values.shape[1]
    weights = torch.tensor(_LUMINANCE if channels == 3 else [1 / channels] * channels, dtype=torch.float64)
    grey = F.avg_pool2d((values * weights.view(1, -1, 1, 1)).sum(1, keepdim=True), 2)
    across = torch.tensor([[1.0, 0.0, -1.0]] * 3, dtype=torch.float64) / 3
    slopes = F.conv2d(grey, torch.stack((across, across.T))[:, None], padding=1)
    return slopes.square().sum(1, keepdim=True).sqrt()
