"""Channels-last changes no result."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from translate_core.components.plugins import load_plugins
from translate_core.training.channels_last import to_channels_last

NORMED: dict[str, dict[str, Any]] = {
    "resnet": {"blocks": 2, "width": 4},
    "resnet antialiased": {"blocks": 1, "width": 4, "antialias": True},
    "unet": {"downs": 3, "width": 4},
    "patchgan": {"layers": 2, "width": 4},
    "patchgan antialiased": {"layers": 2, "width": 4, "antialias": True},
    "pixelgan": {"width": 4},
}


def gradients(network: nn.Module, images: Tensor) -> list[Tensor]:
    images = images.clone(memory_format=torch.preserve_format).requires_grad_()
    (network(images) ** 2).mean().backward()
    assert images.grad is not None
    return [images.grad, *(parameter.grad for parameter in network.parameters() if parameter.grad is not None)]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", NORMED)
def test_gradients_do_not_depend_on_the_layout(name: str, count: int) -> None:
    registry = load_plugins().registry
    component, options = name.partition(" ")[0], NORMED[name]
    kind = "generator" if registry.find("generator", component) else "discriminator"
    given = {"in_channels": 3, "out_channels": 3} if kind == "generator" else {"in_channels": 3}
    torch.manual_seed(0)
    plain = registry.get(kind, component).component(**given, **options).double()
    last = registry.get(kind, component).component(**given, **options).double()
    last.load_state_dict(plain.state_dict())
    to_channels_last(last)
    images = torch.randn(count, 3, 32, 32, dtype=torch.float64)
    expected = gradients(plain, images)
    found = gradients(last, images.contiguous(memory_format=torch.channels_last))
    assert len(expected) == len(found) == 1 + len(list(plain.parameters()))
    for left, right in zip(expected, found, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-12)


def test_a_strangers_instance_norm_is_right() -> None:
    """Without the hook this fails in torch 2.6, 2.11 and 2.15.

    Once it passes without, in every torch that pyproject.toml allows, the hook
    in translate_core/training/channels_last.py can go.
    """

    def network() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.Conv2d(4, 3, 3)).double()

    plain, last = network(), network()
    to_channels_last(last)
    images = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    expected = gradients(plain, images)
    found = gradients(last, images.contiguous(memory_format=torch.channels_last))
    for left, right in zip(expected, found, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-12)
