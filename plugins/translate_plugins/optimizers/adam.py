"""Adam and AdamW."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import nn

from translate_plugins.optimizers.fused import fused

Beta = Annotated[float, Field(ge=0, lt=1)]


def adam(
    params: list[nn.Parameter],
    *,
    lr: PositiveFloat = 2e-4,
    betas: tuple[Beta, Beta] = (0.5, 0.999),
    eps: PositiveFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.0,
) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1), with the defaults of CycleGAN (Zhu et al., ICCV 2017, section 4).

    Args:
        params: the parameters to update.
        lr: learning rate.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the square root of the running mean of the squared gradient.
        weight_decay: the weights times this factor are added to their gradient.
    """
    return torch.optim.Adam(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused(params))


def adamw(
    params: list[nn.Parameter],
    *,
    lr: PositiveFloat = 2e-4,
    betas: tuple[Beta, Beta] = (0.5, 0.999),
    eps: PositiveFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.01,
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019, algorithm 2).

    Args:
        params: the parameters to update.
        lr: learning rate.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the square root of the running mean of the squared gradient.
        weight_decay: each step subtracts the weights times this factor times the learning rate.
    """
    return torch.optim.AdamW(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused(params))
