"""On the meta device sizes are remembered, and equal those that torch computes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from translate_core.runtime.meta import meta_device

OPERATIONS: dict[str, Callable[[Tensor], object]] = {
    "instance norm": F.instance_norm,
    "a convolution": lambda x: F.conv2d(x, torch.empty(5, 3, 3, 3), stride=2, padding=1),
    "channels-last": lambda x: F.relu(x.to(memory_format=torch.channels_last)),
    "a view": lambda x: x.transpose(1, 2)[:, 1:],
    "in place": lambda x: x.clone().add_(1),
    "half the size": lambda x: F.avg_pool2d(x, 2),
    "several": lambda x: torch.var_mean(x, dim=(2, 3)),
    "a list": lambda x: torch.split_with_sizes_copy(x, [1, 2], dim=1),
    "a scalar": lambda x: x * 2.5 + True,
    "another dtype": lambda x: x.double(),
    "a draw": torch.rand_like,
    "arguments by name": lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False),
}


def form(value: object) -> object:
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device.type, value.requires_grad
    assert isinstance(value, list | tuple)
    return [type(value), *map(form, value)]


@pytest.mark.parametrize("name", OPERATIONS)
def test_sizes_equal_those_of_torch(name: str) -> None:
    with torch.device("meta"):
        expected = [form(OPERATIONS[name](torch.empty(2, 3, side, 8, requires_grad=True))) for side in (8, 16, 8)]
    with meta_device():
        found = [form(OPERATIONS[name](torch.empty(2, 3, side, 8, requires_grad=True))) for side in (8, 16, 8)]
    assert found == expected


def test_faults_are_raised_every_time() -> None:
    for _ in range(2):
        with meta_device(), pytest.raises(RuntimeError, match="channel"):
            F.conv2d(torch.empty(1, 4, 8, 8), torch.empty(5, 3, 3, 3))


def test_values_of_another_device_decide_sizes() -> None:
    """A mask on the CPU selects another number of elements each time: nothing is remembered."""
    with meta_device():
        sizes = [torch.nonzero(torch.tensor(mask, device="cpu")).shape[0] for mask in ([1, 0, 1], [1, 1, 1])]
    assert sizes == [2, 3]
