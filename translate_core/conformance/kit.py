"""What trials work with: components with the options that the user gave, and small things to try them on."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from translate_core.components.blocks import Block, resolve_block
from translate_core.components.registry import Registration, Registry
from translate_core.conformance.promise import Broken, NotTried
from translate_core.runtime.randomness import seeded, torch_generator
from translate_core.storage.checkpoints import check_plain

SIDE = 64
"""Of the images that components are tried on, unless they need larger ones."""


@dataclass
class Kit:
    """The registry, and options given by the user: (kind, name) -> a part of the block."""

    registry: Registry
    settings: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def block(self, registration: Registration) -> Block:
        """The component with the user's options and else its defaults.

        Raises NotTried for options that nobody gave, UserError for options that do not fit.
        """
        given = self.settings.get((registration.kind, registration.name), {})
        needed = [name for name, option in registration.options.items() if option.required and name not in given]
        if needed:
            sets = " ".join(f"--set {registration.kind}.{registration.name}.{name}=VALUE" for name in needed)
            raise NotTried(f"it needs {' and '.join(needed)}: add {sets}")
        return resolve_block(self.registry, registration.kind, {"type": registration.name, **given})

    def blocks(self, kind: str) -> Iterator[Block]:
        """Every component of a kind that can be built with what was given."""
        for name in self.registry.names(kind):
            try:
                yield self.block(self.registry.get(kind, name))
            except NotTried:
                continue


def image(channels: int, height: int = SIDE, width: int = SIDE, *, count: int = 2, seed: int = 0) -> Tensor:
    """(count, channels, height, width), uniform in [-1, 1], the same for the same arguments."""
    generator = torch_generator(seed, "image", channels, height, width, count)
    return torch.rand(count, channels, height, width, generator=generator) * 2 - 1


@contextmanager
def ambient(seed: int, *, elsewhere: int | None = None) -> Iterator[None]:
    """torch's ambient generator at that seed inside, numpy's and Python's too unless they are to be elsewhere.

    As they were before afterwards.
    """
    others = seed if elsewhere is None else elsewhere
    before = random.getstate()
    random.seed(others)
    try:
        with seeded(others, "conformance"):
            torch.default_generator.manual_seed(seed)
            yield
    finally:
        random.setstate(before)


def tensors_in(value: Any) -> list[Tensor]:
    """Every tensor in nested lists, tuples and mappings."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in tensors_in(item)]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


def scalar_of(value: Any) -> Tensor:
    """A sum of all tensors in which every element counts differently."""
    parts = [
        (tensor * torch.linspace(0.5, 1.5, tensor.numel(), dtype=tensor.dtype, device=tensor.device).view(tensor.shape))
        for tensor in tensors_in(value)
        if tensor.is_floating_point()
    ]
    return torch.stack([part.sum() for part in parts]).sum()


def same(one: Any, other: Any) -> bool:
    """Whether two values hold the same tensors and numbers, to the bit."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        both = isinstance(one, Tensor) and isinstance(other, Tensor)
        return both and one.dtype == other.dtype and one.shape == other.shape and bool(_equal(one, other).all())
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and bool(np.array_equal(one, other))
    if isinstance(one, Mapping):
        return isinstance(other, Mapping) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _equal(one: Tensor, other: Tensor) -> Tensor:
    """Element by element; what is no number equals itself here."""
    return (one == other) | (one.isnan() & other.isnan()) if one.is_floating_point() else one == other


def largest_difference(one: Any, other: Any) -> float:
    """Between the tensors of two values of equal shapes; infinity where shapes differ."""
    ours, theirs = [[tensor.detach() for tensor in tensors_in(value)] for value in (one, other)]
    if [tensor.shape for tensor in ours] != [tensor.shape for tensor in theirs]:
        return float("inf")
    return max((float((a.double() - b.double()).abs().max()) for a, b in zip(ours, theirs, strict=True)), default=0.0)


def finite(value: Any) -> bool:
    """Whether every tensor in it is."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors_in(value) if tensor.is_floating_point())


def size(tensor: Tensor) -> str:
    """A shape in words: 2×3×64×64."""
    return "×".join(map(str, tensor.shape)) or "a scalar"


def saved_and_loaded(state: Any, what: str) -> Any:
    """A state as a checkpoint would give it back.

    Raises UserError when it is not plain, Broken when it cannot be read.
    """
    check_plain(state, what)
    stream = io.BytesIO()
    torch.save(state, stream)
    stream.seek(0)
    try:
        return torch.load(stream, weights_only=True)
    except Exception as error:  # torch raises almost anything
        raise Broken(f"{what} cannot be loaded with weights_only=True: {str(error).splitlines()[0]}") from None


def named(names: Sequence[str], most: int = 6) -> str:
    """A list of names for a message, shortened."""
    listed = ", ".join(names[:most])
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed


def parameters_without(module: nn.Module, reached: set[int]) -> list[str]:
    """Names of the trainable parameters whose id is not among those."""
    return [name for name, item in module.named_parameters() if item.requires_grad and id(item) not in reached]
