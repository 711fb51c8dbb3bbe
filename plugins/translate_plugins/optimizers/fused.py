"""Where torch has fused optimizers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

_DEVICES = frozenset({"cpu", "cuda", "mps", "xpu"})


def fused(params: Sequence[Tensor]) -> bool | None:
    """The `fused` argument of an optimizer: True where torch has a kernel for all `params`, else None, its own choice.

    Passing False instead would also switch off the second best, the multi-tensor kernels.
    """
    return all(param.device.type in _DEVICES and param.is_floating_point() for param in params) or None
