"""Every draw of a run is derived from (seed, rank, step, micro-batch, name); no generator runs on from step to step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed that depends on every argument; the same on every machine and in every Python."""
    text = "\0".join([str(seed), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """A new CPU generator for one named draw."""
    generator = torch.Generator()
    generator.manual_seed(derive(seed, *names))
    return generator


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """A fresh generator for one named draw, such as that of an image: the same for the same seed and names."""
    return np.random.Generator(np.random.PCG64(derive(seed, *names)))


@dataclass(frozen=True)
class Draws:
    """The source of the draws of one micro-batch. phase: set where each phase computes its own tensors."""

    seed: int
    rank: int
    step: int
    micro_batch: int
    phase: str = ""

    def generator(self, *names: str | int) -> torch.Generator:
        """A CPU generator for the draw of that name; a second call returns the same draw again."""
        return torch_generator(self.seed, "draw", self.rank, self.step, self.micro_batch, self.phase, *names)

    def reseed_ambient(self, device: torch.device, phase: str) -> None:
        """Seeds torch's default generators, which dropout uses, for one phase of this micro-batch.

        Each generator is seeded directly: `torch.manual_seed` visits every backend, at a hundred times the cost.
        """
        seed = derive(self.seed, "ambient", self.rank, self.step, self.micro_batch, phase)
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index or 0].manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Seeds the default CPU generators of torch and numpy inside the block and restores them on exit."""
    before_numpy = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, *names))
        np.random.seed(derive(seed, *names) % 2**32)
        try:
            yield
        finally:
            np.random.set_state(before_numpy)
