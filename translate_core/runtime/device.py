"""The device that a run computes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from translate_core.errors import UserError

if TYPE_CHECKING:
    import torch

CHOICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str | torch.device) -> torch.device:
    """The device of a name in CHOICES; `auto` is CUDA, else MPS, else the CPU. Under torchrun each process has a GPU.

    A torch.device with an index is taken as it is.

    Raises UserError when the device is not there.
    """
    import torch  # not at the top: the parsers of commands need CHOICES only

    index: int | None = None
    if isinstance(name, torch.device):
        index = name.index if name.type != "cpu" else None
        name = name.type
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if available[kind])
    if not available.get(name, False):
        there = ", ".join(kind for kind, yes in available.items() if yes)
        raise UserError(
            f"there is no device '{name}' here, or this build of torch ({torch.__version__}) cannot use it. "
            f"There is: {there}"
        )
    if name == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) if index is None else index)
        torch.cuda.set_device(device)
        return device
    return torch.device(name)
