"""Structural similarity, shared by the metric and the loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor

WINDOW = 11
"""Side of the window in pixels, and the smallest side of an image."""
_SIGMA = 1.5
_K1 = 0.01
_K2 = 0.03


def structural_similarity(x: Tensor, y: Tensor, data_range: float) -> Tensor:
    """Wang et al., Image Quality Assessment, IEEE TIP 13(4), 2004, equations 13 to 16, at every pixel.

    With the paper's 11×11 Gaussian window of standard deviation 1.5, K1 = 0.01 and K2 = 0.03; where the window lies
    inside the image; each channel separately. Variances are weighted by the window, without a correction for sample
    size. data_range: the paper's L, largest minus smallest possible value.

    x, y: (N, C, H, W), with sides of at least 11. Returns (N, C, H - 10, W - 10), values of at most 1, differentiable.
    """
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    mu_x, mu_y, xx, yy, xy = _means(torch.stack((x, y, x * x, y * y, x * y)))
    var_x, var_y, cov = xx - mu_x * mu_x, yy - mu_y * mu_y, xy - mu_x * mu_y
    return ((2 * mu_x * mu_y + c1) * (2 * cov + c2)) / ((mu_x * mu_x + mu_y * mu_y + c1) * (var_x + var_y + c2))


def _gaussian() -> list[float]:
    weights = [math.exp(-((place - WINDOW // 2) ** 2) / (2 * _SIGMA**2)) for place in range(WINDOW)]
    return [weight / sum(weights) for weight in weights]


def _means(maps: Tensor) -> Tensor:
    """Weighted means under the window: (..., H, W) to (..., H - 10, W - 10).

    Shifted copies are added up instead of convolved: the variances are small differences of these means, for which
    TensorFloat-32, which a GPU may use in convolutions, is too coarse. On a CPU it is also several times faster.
    """
    weights = _gaussian()
    for dim in (-1, -2):
        length = maps.shape[dim] - WINDOW + 1
        total = maps.narrow(dim, 0, length) * weights[0]
        for place in range(1, WINDOW):
            total = total + maps.narrow(dim, place, length) * weights[place]
        maps = total
    return maps
