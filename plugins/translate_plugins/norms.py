"""Normalisation layers, spectral norm and the rule for biases, shared by the convolutional networks."""

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
    """Instance norm without running statistics, by default without affine weights, fast in both memory formats.

    For one image it equals batch norm over a batch of one. Batch norm has kernels for channels-last tensors, while
    torch's instance norm copies them to contiguous format and back.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalises each map of each image of (N, C, H, W) to mean 0 and (biased) variance 1."""
        return instance_norm(input, self.eps, self.weight, self.bias)


def instance_norm(x: Tensor, eps: float = 1e-5, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Normalises each map of each image of (N, C, H, W) to mean 0 and (biased) variance 1, as `InstanceNorm`.

    weight, bias: (C,), a factor on each normalised map and what is then added; None for 1 and 0.
    """
    if x.shape[0] == 1:
        return F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)
    return F.instance_norm(x, weight=weight, bias=bias, eps=eps)


def norm_layer(norm: Norm, channels: int, *, running: bool = True) -> nn.Module:
    """The normalisation layer of `channels` feature maps.

    "none" is an identity, so that the layers after it keep their index, which is their key in the state dict.
    running: whether batch norm keeps running statistics for evaluation mode; otherwise it uses the batch's there too.
    """
    if norm == "instance":
        return InstanceNorm(channels)
    if norm == "batch":
        return nn.BatchNorm2d(channels, track_running_stats=running)
    return nn.Identity()


def conv_bias(norm: Norm) -> bool:
    """Whether the convolutions of a network with this norm have a bias.

    One rule for the whole network, whether or not a norm follows the convolution. It determines the keys of the state
    dict, and the published weights follow it.
    """
    return norm == "instance"


def spectrally_normed(layer: Layer, enabled: bool = True) -> Layer:
    """The layer with its weight divided by an estimate of its largest singular value, or unchanged unless `enabled`.

    Miyato et al., Spectral Normalization for Generative Adversarial Networks, ICLR 2018, section 2.1 and algorithm 1:
    one power iteration each time the layer is called in training mode. The weight W is treated as a matrix with one
    row for each output. The parameter is then `parametrizations.weight.original`.
    """
    return cast("Layer", spectral_norm(layer)) if enabled else layer


class AdaIN(nn.Module):
    """Adaptive instance norm: instance norm whose scale and bias are arguments.

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
    """The layer norm of MUNIT's decoder: statistics over all maps of an image, then a scale and a bias for each map.

    y = γ · (x - μ) / (σ + 1e-5) + β with the mean μ and the unbiased standard deviation σ over channels, height and
    width (Ba et al., Layer Normalization, 2016, as in the code of the authors of MUNIT). Initially γ is
    drawn from U(0, 1) and β is 0.
    """

    eps = 1e-5

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W). Returns the same shape and dtype; the statistics are computed in at least float32."""
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        std, mean = torch.std_mean(precise, dim=(1, 2, 3), keepdim=True)
        y = (precise - mean) / (std + self.eps)
        return (y * self.gamma[:, None, None] + self.beta[:, None, None]).to(x.dtype)


class AdaLIN(nn.Module):
    """Adaptive layer-instance norm: a mixture of instance and layer norm whose scale γ and bias β are arguments.

    AdaLIN(x) = γ · (ρ · IN(x) + (1 - ρ) · LN(x)) + β (Kim et al., U-GAT-IT, ICLR 2020, equation 1). IN has the
    statistics of each map, LN those of all maps of an image; (x - μ) / sqrt(σ² + 1e-5), σ² unbiased as in the authors'
    code. ρ is a parameter with one value for each map; `clip` keeps it in [0, 1].
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
        """Clips every ρ to [0, 1]."""
        self.rho.clamp_(0, 1)


class ILN(nn.Module):
    """Layer-instance norm: AdaLIN whose γ and β are parameters, initially 1 and 0; ρ is initially 0.

    ILN(x) = γ · (ρ · IN(x) + (1 - ρ) · LN(x)) + β, as `AdaLIN` (Kim et al., U-GAT-IT, ICLR 2020, section 2.1.2). It
    is the norm of the upsampling layers, where the layers before have already adapted the maps.
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
        """Clips every ρ to [0, 1]."""
        self.rho.clamp_(0, 1)


def clip_mixtures(network: nn.Module) -> None:
    """Clips every ρ of the network's `AdaLIN` and `ILN` layers to [0, 1]."""
    for module in network.modules():
        if isinstance(module, AdaLIN | ILN):
            module.clip()


def _mixed(x: Tensor, rho: Tensor) -> Tensor:
    """ρ · IN(x) + (1 - ρ) · LN(x), with unbiased variances and 1e-5 inside the root.

    torch's norms use the biased variance, (n - 1) / n times the unbiased one for n values: x / sqrt(unbiased + eps) is
    sqrt((n - 1) / n) · x / sqrt(biased + eps · (n - 1) / n).
    """
    channels, height, width = x.shape[1:]
    of_map, of_image = (1 - 1 / (height * width)), (1 - 1 / (channels * height * width))
    instance = instance_norm(x, eps=1e-5 * of_map)
    layer = F.group_norm(x, 1, eps=1e-5 * of_image)
    mixture = rho[:, None, None]
    return mixture * of_map**0.5 * instance + (1 - mixture) * of_image**0.5 * layer
