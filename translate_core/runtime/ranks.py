"""Several processes on one run, as `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """This process among the others."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes the files and prints the messages."""
        return self.rank == 0

    def average(self, parameters: Sequence[Tensor]) -> None:
        """Averages gradients over the ranks, in one flat message of fixed layout.

        A missing gradient counts as zero, so that ranks whose losses reach different parameters do not deadlock.
        """
        if self.count == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat.div_(self.count)
        # Copied, not replaced: fused optimizers need gradients in the memory order of their parameters.
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a scalar over the ranks, on every rank."""
        if self.count == 1:
            return value
        summed = value.clone()
        dist.all_reduce(summed)
        return summed / self.count

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank; the same on every rank."""
        if self.count == 1:
            return flag
        device = torch.device("cuda", self.local) if dist.get_backend() == "nccl" else torch.device("cpu")
        votes = torch.tensor(int(flag), device=device)
        dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return bool(votes.item())

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, on the first rank; an empty list on the others."""
        if self.count == 1:
            return [value]
        gathered: list[Any] | None = [None] * self.count if self.first else None
        dist.gather_object(value, gathered)
        return gathered or []

    def from_first(self, value: Any) -> Any:
        """The value of the first rank, on every rank."""
        if self.count == 1:
            return value
        shared = [value]
        dist.broadcast_object_list(shared, src=0)
        return shared[0]

    def barrier(self) -> None:
        """Waits until every rank has called this."""
        if self.count > 1:
            dist.barrier()


def join(device: torch.device) -> Ranks:
    """Joins the process group that torchrun's environment describes; a single process where there is none."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Ranks()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(dist.get_rank(), count, int(os.environ.get("LOCAL_RANK", "0")))


def leave() -> None:
    """Leaves the process group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
