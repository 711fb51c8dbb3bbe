"""A plugin: the network of the recorded run of BBDM, and BBDM with the draws of that run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.conftest import SHARED
from translate_core import Registrar, hookimpl, tensor
from translate_plugins.methods.bbdm import BBDM


class Stub(nn.Module):
    """conv2(tanh(conv1(x) + scale · time / 1000)) in place of the U-Net."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(8))
        self.conv1 = nn.Conv2d(in_channels, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, out_channels, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift = self.scale[:, None, None] * time.to(x.dtype)[:, None, None, None] / 1000
        y: Tensor = self.conv2(torch.tanh(self.conv1(x) + shift))
        return y


@cache
def golden() -> Any:
    return np.load(SHARED / "golden" / "bbdm.npz")


class Recorded(BBDM):
    """BBDM whose draws are those of the recorded run.

    chain: whose draws a translation takes. passed: of each of its steps but the last, the estimate of x₀ and x.
    """

    def __init__(
        self, *, chain: str = "eta1", eta: float = 1.0, eta_scales: Any = "deviation", clip: bool = True
    ) -> None:
        super().__init__(steps=5, eta=eta, eta_scales=eta_scales, clip=clip)
        self.chain = chain
        self.passed: list[tuple[Tensor, Tensor]] = []

    @tensor
    def time(self) -> Tensor:
        return self._placed(torch.from_numpy(golden()[f"draw/train/grad_l1/{self.step}/00_randint"]), self.real_B)

    def normal(self, shape: Sequence[int], like: Tensor, *names: str | int) -> Tensor:
        if like.is_meta:
            return super().normal(shape, like, *names)
        if names == ("noise",):
            key = f"draw/train/grad_l1/{self.step}/01_randn_like"
        else:
            assert names[0] == "sampling"
            key = f"draw/sample/{self.chain}/{names[1]:02}_randn_like"
        drawn = torch.from_numpy(golden()[key])
        assert drawn.shape == tuple(shape)
        return self._placed(drawn, like).to(like.dtype)

    def _earlier(self, x0: Tensor, *arguments: Any) -> Tensor:
        x = super()._earlier(x0, *arguments)
        self.passed.append((x0, x))
        return x


@hookimpl(contract=1)
def register(registry: Registrar) -> None:
    registry.method("bbdm_recorded", Recorded)
    registry.generator("bbdm_stub", Stub)
