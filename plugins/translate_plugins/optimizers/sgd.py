"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import nn

from translate_core import UserError
from translate_plugins.optimizers.fused import fused


def sgd(
    params: list[nn.Parameter],
    *,
    lr: PositiveFloat,
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    weight_decay: NonNegativeFloat = 0.0,
    nesterov: bool = False,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent, with the momenta of Sutskever et al., ICML 2013, section 2, in torch's form.

    There the learning rate scales the velocity when it is applied, not the gradient when it enters the velocity.

    Raises UserError for `nesterov` without momentum.

    Args:
        params: the parameters to update.
        lr: learning rate; there is no value that suits most networks.
        momentum: share of the last step's velocity that is kept.
        weight_decay: factor of the weights that is added to their gradient.
        nesterov: take the gradient's step from where the momentum leads; needs a momentum.
    """
    if nesterov and momentum == 0:
        raise UserError("nesterov needs a momentum greater than 0")
    return torch.optim.SGD(
        params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=fused(params)
    )
