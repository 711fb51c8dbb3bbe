"""What the convolutional networks share: the normalisation layers by name, and which convolutions have a bias."""

from __future__ import annotations

from typing import Literal

from torch import nn

Norm = Literal["instance", "batch", "none"]
"""instance: no affine weights, no running statistics. batch: both. none: the identity."""


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """A normalisation of `channels` feature maps.

    "none" is an identity, so that the layers after it keep their index, and with it their key in the state dict.
    """
    if norm == "instance":
        return nn.InstanceNorm2d(channels)
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.Identity()


def conv_bias(norm: Norm) -> bool:
    """Whether the convolutions of a network with this norm have a bias.

    One rule for the whole network, whether or not a norm follows the convolution. It decides which keys a state dict
    has, and the published weights were made by it.
    """
    return norm == "instance"
