"""NHWC memory order of images and weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def to_channels_last(network: nn.Module) -> None:
    """Puts a network's weights in NHWC order, in which convolutions are faster; images must be in that order too.

    On a CPU torch's instance norm computes a wrong gradient for a batch of one image when the incoming gradient is in
    NHWC order (seen in torch 2.6, 2.11 and 2.15; tests/core/test_layout.py fails without this). So the
    gradient is put in plain order before it gets there.
    """
    network.to(memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d) and type(module).forward is nn.InstanceNorm2d.forward:
            module.register_forward_hook(_plain_gradient)


def _plain_gradient(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
    if output.requires_grad and output.device.type == "cpu":
        output.register_hook(Tensor.contiguous)  # type: ignore[no-untyped-call]
