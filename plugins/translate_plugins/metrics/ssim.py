"""Structural similarity."""

from __future__ import annotations

from statistics import fmean

import torch
from torch import Tensor

from translate_core import Metric, UserError, to_uint8
from translate_plugins.similarity import WINDOW, structural_similarity


class SSIM(Metric):
    """Mean structural similarity (Wang et al., IEEE TIP 13(4), 2004, equations 13 to 17), averaged over the images.

    On 8-bit values at full resolution, with the paper's 11×11 Gaussian window of standard deviation 1.5 and K1 = 0.01,
    K2 = 0.03, L = 255; where the window lies inside the image; each channel separately. Variances are weighted by the
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
        if min(height, width) < WINDOW:
            raise UserError(
                f"ssim needs images of at least {WINDOW}×{WINDOW} pixels, its window, and was given {height}×{width}"
            )
        x, y = (to_uint8(image).cpu().to(torch.float64) for image in (output, reference))
        self._values.append(structural_similarity(x, y, 255.0).mean().item())

    def compute(self) -> float:
        """The mean over all images so far."""
        return fmean(self._values)
