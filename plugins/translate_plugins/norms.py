"""What the convolutional networks share: the normalisation layers by name, and which convolutions have a bias."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["instance", "batch", "none"]
"""instance: no affine weights, no running statistics. batch: both. none: the identity."""


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm without affine weights and running statistics, fast in either memory order.

    For one image it is batch norm over a batch of one, and batch norm has kernels for NHWC order, where torch's
    instance norm copies to plain order and back.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W), each map of each image to mean 0 and variance 1."""
        if input.shape[0] == 1:
            return F.batch_norm(input, None, None, training=True, eps=self.eps)
        return super().forward(input)


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """A normalisation of `channels` feature maps.

    "none" is an identity, so that the layers after it keep their index, and with it their key in the state dict.
    """
    if norm == "instance":
        return InstanceNorm(channels)
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.Identity()


def conv_bias(norm: Norm) -> bool:
    """Whether the convolutions of a network with this norm have a bias.

    One rule for the whole network, whether or not a norm follows the convolution. It decides which keys a state dict
    has, and the published weights were made by it.
    """
    return norm == "instance"
