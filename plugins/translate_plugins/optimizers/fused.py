"""The devices on which torch has fused optimizers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

_DEVICES = frozenset({"cpu", "cuda", "mps", "xpu"})


def fused(params: Sequence[Tensor]) -> bool | None:
    """The `fused` argument of an optimizer: True where torch has a fused kernel for all `params`, else None.

    None leaves the choice to torch; False would also disable the multi-tensor kernels.
    """
    return all(param.device.type in _DEVICES and param.is_floating_point() for param in params) or None
