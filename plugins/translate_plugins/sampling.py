"""Antialiased down- and upsampling, which makes networks more shift-equivariant (Zhang, ICML 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate_plugins.padding import PADS


def _kernels(taps: Sequence[float], channels: int, total: float) -> Tensor:
    """One kernel for each channel, (channels, 1, k, k): the outer product of `taps` with itself, of sum `total`."""
    line = torch.tensor(taps, dtype=torch.float64)
    kernel = torch.outer(line, line)
    return (kernel * (total / kernel.sum())).to(torch.get_default_dtype()).expand(channels, 1, -1, -1).contiguous()


class BlurDown(nn.Module):
    """Downsamples by 2: reflect padding by 1, a blur by [1, 2, 1] ⊗ [1, 2, 1] / 16, every second value.

    Making Convolutional Networks Shift-Invariant Again (Zhang, ICML 2019, section 3.2): a convolution of stride 1 and
    this layer replace a convolution of stride 2, as in the generator and the discriminator of CUT (Park et al., ECCV
    2020). The fixed kernels are the buffer `filt`, its name in the published weights.

    Takes (N, channels, H, W) with sides of at least 2, returns (N, channels, ceil(H / 2), ceil(W / 2)). Smaller sides
    raise torch's RuntimeError.
    """

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pad = PADS["reflect"](1)
        self.register_buffer("filt", _kernels((1, 2, 1), channels, total=1))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, channels, H, W). Returns maps with half the sides, rounded up."""
        return F.conv2d(self.pad(x), self.filt, stride=2, groups=x.shape[1])


class BlurUp(nn.Module):
    """Upsamples by 2: replicate padding by 1, a transposed convolution by [1, 3, 3, 1] ⊗ [1, 3, 3, 1] / 64 · 4.

    The counterpart of `BlurDown` in the generator of CUT: stride 2, with one value cropped on each side. Constant maps
    stay constant. The fixed kernels are the buffer `filt`, its name in the published weights.

    Takes (N, channels, H, W), returns (N, channels, 2 · H, 2 · W).
    """

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pad = PADS["replicate"](1)
        self.register_buffer("filt", _kernels((1, 3, 3, 1), channels, total=4))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, channels, H, W). Returns (N, channels, 2 · H, 2 · W)."""
        y = F.conv_transpose2d(self.pad(x), self.filt, stride=2, padding=2, groups=x.shape[1])
        return y[..., 1:-1, 1:-1]
