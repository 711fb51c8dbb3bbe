"""Channels-last changes no result."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from translate_core.layout import to_channels_last
from translate_core.plugins import load_plugins

NORMED = {
    "resnet": {"blocks": 2, "width": 4},
    "unet": {"downs": 3, "width": 4},
    "patchgan": {"layers": 2, "width": 4},
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
    kind = "generator" if registry.find("generator", name) else "discriminator"
    given = {"in_channels": 3, "out_channels": 3} if kind == "generator" else {"in_channels": 3}
    torch.manual_seed(0)
    plain = registry.get(kind, name).component(**given, **NORMED[name]).double()
    last = registry.get(kind, name).component(**given, **NORMED[name]).double()
    last.load_state_dict(plain.state_dict())
    to_channels_last(last)
    images = torch.randn(count, 3, 32, 32, dtype=torch.float64)
    expected = gradients(plain, images)
    found = gradients(last, images.contiguous(memory_format=torch.channels_last))
    assert len(expected) == len(found) == 1 + len(list(plain.parameters()))
    for left, right in zip(expected, found, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-12)


def test_the_defect_of_torch_is_still_there() -> None:
    """In torch 2.6, 2.11 and 2.15 it is.

    When this fails, torch has mended its instance norm, and the hook in translate_core/layout.py can go as soon as
    pyproject.toml asks for that torch at least.
    """
    norm = nn.InstanceNorm2d(4)
    images = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    weights = torch.randn(1, 4, 8, 8, dtype=torch.float64)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        leaf = images.clone().requires_grad_()
        norm(leaf).backward(weights.contiguous(memory_format=layout))
        found.append(leaf.grad)
    assert not torch.allclose(found[0], found[1])
