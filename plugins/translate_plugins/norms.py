"""What the convolutional networks share: normalisation layers, spectral norm, and which convolutions have a bias."""

from __future__ import annotations

from typing import Literal, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)

Norm = Literal["instance", "batch", "none"]
"""instance: no affine weights, no running statistics. batch: both. none: the identity."""


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm without affine weights and running statistics, fast in either memory order.

    For one image it is batch norm over a batch of one, and batch norm has kernels for NHWC order, where torch's
    instance norm copies to plain order and back.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W), each map of each image to mean 0 and variance 1."""
        return instance_norm(input, self.eps)


def instance_norm(x: Tensor, eps: float = 1e-5) -> Tensor:
    """(N, C, H, W), each map of each image to mean 0 and (biased) variance 1; what `InstanceNorm` computes."""
    if x.shape[0] == 1:
        return F.batch_norm(x, None, None, training=True, eps=eps)
    return F.instance_norm(x, eps=eps)


def norm_layer(norm: Norm, channels: int, *, running: bool = True) -> nn.Module:
    """A normalisation of `channels` feature maps.

    "none" is an identity, so that the layers after it keep their index, and with it their key in the state dict.
    running: whether batch norm keeps running statistics for evaluation; else it uses those of the batch there too.
    """
    if norm == "instance":
        return InstanceNorm(channels)
    if norm == "batch":
        return nn.BatchNorm2d(channels, track_running_stats=running)
    return nn.Identity()


def conv_bias(norm: Norm) -> bool:
    """Whether the convolutions of a network with this norm have a bias.

    One rule for the whole network, whether or not a norm follows the convolution. It decides which keys a state dict
    has, and the published weights were made by it.
    """
    return norm == "instance"


def spectrally_normed(layer: Layer, wanted: bool = True) -> Layer:
    """The layer with its weight divided by an estimate of its largest singular value, or as it is if not `wanted`.

    Miyato et al., Spectral Normalization for Generative Adversarial Networks, ICLR 2018, section 2.1 and algorithm 1:
    one power iteration each time the layer is called in training mode. The weight W counts as a matrix of one row for
    each output. The parameter is then `parametrizations.weight.original`.
    """
    return cast("Layer", spectral_norm(layer)) if wanted else layer


class AdaIN(nn.Module):
    """Adaptive instance norm: every map of every image to mean 0 and variance 1, then scaled and shifted from outside.

    AdaIN(x) = scale · (x - μ(x)) / sqrt(σ²(x) + 1e-5) + bias with the mean μ and the biased variance σ² of each map
    (Huang and Belongie, ICCV 2017, equation 8; Huang et al., MUNIT, ECCV 2018, equation 7). It has no parameters.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = InstanceNorm(channels)

    def forward(self, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        """x: (N, C, H, W). scale, bias: (N, C). Returns the shape of x."""
        return self.norm(x) * scale[..., None, None] + bias[..., None, None]


class SampleNorm(nn.Module):
    """The layer norm of MUNIT's decoder: each image over all its maps, then a scale and a bias for each map.

    y = γ · (x - μ) / (σ + 1e-5) + β with the mean μ and the unbiased standard deviation σ over channels, height and
    width (Ba et al., Layer Normalization, 2016, as the authors of MUNIT have it). γ is drawn from U(0, 1), β is 0.
    """

    eps = 1e-5

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W). Returns the same shape and dtype; the statistics are at least float32."""
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        std, mean = torch.std_mean(precise, dim=(1, 2, 3), keepdim=True)
        y = (precise - mean) / (std + self.eps)
        return (y * self.gamma[:, None, None] + self.beta[:, None, None]).to(x.dtype)


class AdaLIN(nn.Module):
    """Adaptive layer-instance norm: a mixture of instance norm and layer norm, scaled and shifted from outside.

    AdaLIN(x) = γ · (ρ · IN(x) + (1 - ρ) · LN(x)) + β (Kim et al., U-GAT-IT, ICLR 2020, equation 1). IN takes its
    statistics of each map, LN of all maps of an image; (x - μ) / sqrt(σ² + 1e-5), σ² unbiased as in the authors' code.
    There is a ρ for each map; it is trained, and `clip` keeps it in [0, 1].
    """

    rho: nn.Parameter

    def __init__(self, channels: int, rho: float = 0.9) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((channels,), rho))

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """x: (N, C, H, W). gamma, beta: (N, C). Returns the shape and the dtype of x."""
        return (_mixed(x, self.rho) * gamma[..., None, None] + beta[..., None, None]).to(x.dtype)

    @torch.no_grad()
    def clip(self) -> None:
        """Puts every ρ back into [0, 1]."""
        self.rho.clamp_(0, 1)


class ILN(nn.Module):
    """Layer-instance norm: AdaLIN whose γ and β are its own parameters, 1 and 0 at first, as ρ is 0.

    ILN(x) = γ · (ρ · IN(x) + (1 - ρ) · LN(x)) + β, as `AdaLIN` (Kim et al., U-GAT-IT, ICLR 2020, section 2.1.2): the
    norm of the doublings, where the layers above have adapted the maps already.
    """

    rho: nn.Parameter

    def __init__(self, channels: int, rho: float = 0.0) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((channels,), rho))
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W). Returns the same shape and dtype."""
        return (_mixed(x, self.rho) * self.gamma[:, None, None] + self.beta[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def clip(self) -> None:
        """Puts every ρ back into [0, 1]."""
        self.rho.clamp_(0, 1)


def clip_mixtures(network: nn.Module) -> None:
    """Puts every ρ of the network's `AdaLIN` and `ILN` back into [0, 1]."""
    for module in network.modules():
        if isinstance(module, AdaLIN | ILN):
            module.clip()


def _mixed(x: Tensor, rho: Tensor) -> Tensor:
    """ρ · IN(x) + (1 - ρ) · LN(x), unbiased variances with 1e-5 inside the root.

    torch's norms have the biased variance, (n - 1) / n times the unbiased one for n values: x / sqrt(unbiased + eps) is
    sqrt((n - 1) / n) · x / sqrt(biased + eps · (n - 1) / n).
    """
    channels, height, width = x.shape[1:]
    of_map, of_image = (1 - 1 / (height * width)), (1 - 1 / (channels * height * width))
    instance = instance_norm(x, eps=1e-5 * of_map)
    layer = F.group_norm(x, 1, eps=1e-5 * of_image)
    mixture = rho[:, None, None]
    return mixture * of_map**0.5 * instance + (1 - mixture) * of_image**0.5 * layer
