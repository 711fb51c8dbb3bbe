"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math
from statistics import fmean

import torch
from torch import Tensor

from translate_core import Metric, to_uint8

_PEAK = 255.0
_CAP = 100.0


class PSNR(Metric):
    """Peak signal-to-noise ratio in dB, 10 log10(255² / MSE), of each image, averaged over the images.

    The mean squared error is over all pixels and channels of an image, on 8-bit values. Values are limited to 100 dB,
    so that identical images have a finite value.
    """

    higher_is_better = True
    protocol = (
        "PSNR in dB: both images quantised to 8 bits as PNG files are written, uint8((x + 1) / 2 * 255) truncated; "
        "10 log10(255^2 / MSE) with the MSE over all pixels and channels of an image, in float64; at most 100 dB an "
        "image; mean over images"
    )

    def __init__(self) -> None:
        self._values: list[float] = []

    def update(self, output: Tensor, reference: Tensor) -> None:
        """output, reference: (1, C, H, W) in [-1, 1], of the same shape."""
        difference = to_uint8(output).cpu().to(torch.float64) - to_uint8(reference).cpu().to(torch.float64)
        mse = difference.square().mean().item()
        self._values.append(min(10.0 * math.log10(_PEAK**2 / mse), _CAP) if mse > 0 else _CAP)

    def compute(self) -> float:
        """The mean over all images so far."""
        return fmean(self._values)
