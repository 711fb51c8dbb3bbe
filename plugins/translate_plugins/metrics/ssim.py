"""Structural similarity."""

from __future__ import annotations

from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional

from translate_core.data import to_uint8
from translate_core.errors import UserError
from translate_core.metric import Metric

_WINDOW = 11
_SIGMA = 1.5
_C1 = (0.01 * 255.0) ** 2
_C2 = (0.03 * 255.0) ** 2


def _gaussian_means(maps: Tensor) -> Tensor:
    """(M, 1, H, W) to (M, 1, H - 10, W - 10): means under an 11×11 Gaussian window that lies inside the image."""
    offsets = torch.arange(_WINDOW, dtype=maps.dtype) - _WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    rows = functional.conv2d(maps, weights.view(1, 1, 1, _WINDOW))
    return functional.conv2d(rows, weights.view(1, 1, _WINDOW, 1))


class SSIM(Metric):
    """Mean structural similarity (Wang et al., IEEE TIP 13(4), 2004, equations 13 to 17), averaged over the images.

    On 8-bit values at full resolution, with the paper's 11×11 Gaussian window of standard deviation 1.5 and K1 = 0.01,
    K2 = 0.03, L = 255; where the window lies inside the image; each channel by itself. Variances are weighted by the
    window, without a correction for sample size. Raises UserError for images smaller than the window.
    """

    higher_is_better = True
    protocol = (
        "SSIM of Wang et al. 2004: both images quantised to 8 bits as PNG files are written, uint8((x + 1) / 2 * 255) "
        "truncated; 11x11 Gaussian window, sigma 1.5, K1 0.01, K2 0.03, L 255, population variances, in float64; no "
        "downsampling; window inside the image only; each channel by itself; mean over pixels, channels, images"
    )

    def __init__(self) -> None:
        self._values: list[float] = []

    def update(self, output: Tensor, reference: Tensor) -> None:
        """output, reference: (1, C, H, W) in [-1, 1], of the same shape."""
        height, width = output.shape[-2:]
        if min(height, width) < _WINDOW:
            raise UserError(
                f"ssim needs images of at least {_WINDOW}×{_WINDOW} pixels, its window, and was given {height}×{width}"
            )
        x = to_uint8(output).cpu().to(torch.float64).transpose(0, 1)
        y = to_uint8(reference).cpu().to(torch.float64).transpose(0, 1)
        mu_x, mu_y, xx, yy, xy = _gaussian_means(torch.cat((x, y, x * x, y * y, x * y))).chunk(5)
        var_x, var_y, cov = xx - mu_x * mu_x, yy - mu_y * mu_y, xy - mu_x * mu_y
        similarity = ((2 * mu_x * mu_y + _C1) * (2 * cov + _C2)) / (
            (mu_x * mu_x + mu_y * mu_y + _C1) * (var_x + var_y + _C2)
        )
        self._values.append(similarity.mean().item())

    def compute(self) -> float:
        """The mean over all images so far."""
        return fmean(self._values)
