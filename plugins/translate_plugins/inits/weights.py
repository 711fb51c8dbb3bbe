"""The usual initialisations of the weights of a new network.

All draw from torch's global generator. Each but `none` describes the weights of convolutions, transposed convolutions
and linear layers; their biases become 0; the weights of batch norms are drawn around 1 and their biases become 0; other
parameters are left unchanged. A parametrised weight (spectral norm) is set through its parametrisation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

_WEIGHTED = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@torch.no_grad()
def _initialise(network: nn.Module, draw: Callable[[Tensor], object], batch_norm_std: float = 0.02) -> None:
    for module in network.modules():
        if isinstance(module, _WEIGHTED):
            weight = module.weight
            draw(weight)
            if is_parametrized(module, "weight"):
                # `weight` is computed from the parameter; only assigning it changes the parameter itself.
                module.weight = weight
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, _BATCH_NORMS) and module.affine:
            nn.init.normal_(module.weight, mean=1.0, std=batch_norm_std)
            nn.init.zeros_(module.bias)


def normal(network: nn.Module, *, std: PositiveFloat = 0.02) -> None:
    """Weights from N(0, std²), as in pix2pix and CycleGAN (Radford et al., DCGAN, ICLR 2016, section 4).

    Args:
        network: the network to initialise, in place.
        std: standard deviation, also that of the batch norms' weights around 1.
    """
    _initialise(network, lambda weight: nn.init.normal_(weight, std=std), batch_norm_std=std)


def xavier(network: nn.Module, *, gain: PositiveFloat = 0.02) -> None:
    """Weights from N(0, gain² · 2 / (fan_in + fan_out)) (Glorot and Bengio, AISTATS 2010, equation 12).

    Batch norms' weights are N(1, 0.02²).

    Args:
        network: the network to initialise, in place.
        gain: factor on the standard deviation; 0.02 is the default of the authors of CycleGAN, 1 that of the paper.
    """
    _initialise(network, lambda weight: nn.init.xavier_normal_(weight, gain=gain))


def kaiming(network: nn.Module) -> None:
    """Weights from N(0, 2 / fan_in) (He et al., ICCV 2015, equation 10).

    The fan-in is torch's: the second dimension of the weight times the kernel size; for a transposed convolution the
    second dimension is the number of outputs. Batch norms' weights are N(1, 0.02²).

    Args:
        network: the network to initialise, in place.
    """
    _initialise(network, lambda weight: nn.init.kaiming_normal_(weight, mode="fan_in", nonlinearity="relu"))


def orthogonal(network: nn.Module, *, gain: PositiveFloat = 0.02) -> None:
    """Weights with orthogonal rows, or columns, of norm `gain` (Saxe et al., ICLR 2014).

    The rows are the first dimension of the weight, the columns all others. Batch norms' weights are N(1, 0.02²).

    Args:
        network: the network to initialise, in place.
        gain: norm of the rows or columns; 0.02 is the default of the authors of CycleGAN, 1 that of the paper.
    """
    _initialise(network, lambda weight: nn.init.orthogonal_(weight, gain=gain))


def none(network: nn.Module) -> None:
    """Leaves the network as its constructor initialised it.

    Args:
        network: the network, left unchanged.
    """
