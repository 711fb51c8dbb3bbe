"""The attention module of U-GAT-IT: class activation maps inside a network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate_plugins.norms import spectrally_normed


class ClassActivation(nn.Module):
    """Weights features by their importance for an auxiliary classifier of the domains, and returns its logits.

    Kim et al., U-GAT-IT, ICLR 2020, section 2.1.1, after Zhou et al., CVPR 2016. The mean and the maximum of each map
    each pass through a linear layer without bias, which gives two logits. The features times the weights of the first
    layer and the features times those of the second are concatenated, and pass through a 1×1 convolution with bias to
    the original number of channels and an activation. The attention map is the sum of the result over the channels.

    With `spectral_norm` the linear layers are spectrally normed, the convolution is not; the features are multiplied by
    the weights before that norm, as in the authors' code.
    """

    def __init__(self, channels: int, activation: nn.Module, *, spectral_norm: bool = False) -> None:
        super().__init__()
        self.gap_fc = spectrally_normed(nn.Linear(channels, 1, bias=False), spectral_norm)
        self.gmp_fc = spectrally_normed(nn.Linear(channels, 1, bias=False), spectral_norm)
        self.conv1x1 = nn.Conv2d(2 * channels, channels, kernel_size=1)
        self.activation = activation
        self._weight = "parametrizations.weight.original" if spectral_norm else "weight"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x: (N, C, H, W). Returns features of the same shape, logits (N, 2) of mean and maximum, and the attention map
        (N, 1, H, W)."""
        mean, maximum = F.adaptive_avg_pool2d(x, 1).flatten(1), F.adaptive_max_pool2d(x, 1).flatten(1)
        logits = torch.cat((self.gap_fc(mean), self.gmp_fc(maximum)), dim=1)
        by_mean, by_maximum = (fc.get_parameter(self._weight)[..., None, None] for fc in (self.gap_fc, self.gmp_fc))
        features = self.activation(self.conv1x1(torch.cat((x * by_mean, x * by_maximum), dim=1)))
        return features, logits, features.sum(dim=1, keepdim=True)
