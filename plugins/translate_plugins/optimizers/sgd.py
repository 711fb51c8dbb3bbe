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

    In torch's form the learning rate scales the velocity when it is applied, not the gradient that is added to it.

    Raises UserError for `nesterov` without momentum.

    Args:
        params: the parameters to update.
        lr: learning rate; it has no default, since no value suits most networks.
        momentum: factor on the velocity of the last step.
        weight_decay: the weights times this factor are added to their gradient.
        nesterov: use Nesterov's momentum; needs a momentum greater than 0.
    """
    if nesterov and momentum == 0:
        raise UserError("nesterov needs a momentum greater than 0")
    return torch.optim.SGD(
        params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=fused(params)
    )
