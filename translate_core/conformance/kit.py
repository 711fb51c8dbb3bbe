"""Tools of the checks: components with the options of the user, images, seeds and comparisons."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from translate_core.components.blocks import Block, resolve_block
from translate_core.components.registry import Registration, Registry
from translate_core.conformance.promise import Broken, NotTested
from translate_core.runtime.randomness import seeded, torch_generator
from translate_core.storage.checkpoints import check_plain

if TYPE_CHECKING:
    from translate_core.conformance.setup import MethodSetup

SIDE = 64
"""Height and width of the images in the checks, unless a component needs larger ones."""


@dataclass
class Kit:
    """The registry, and the options of the user.

    settings: (kind, name) -> some of the component's options. recipe: the method of the recipe in which components are
    checked, in place of the registered methods. kept: what was found once and serves other checks.
    """

    registry: Registry
    settings: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    recipe: MethodSetup | None = None
    kept: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def block(self, registration: Registration) -> Block:
        """The component with the options of the user, and its defaults for all others.

        Raises NotTested for missing options, UserError for options that do not fit.
        """
        given = self.settings.get((registration.kind, registration.name), {})
        needed = [name for name, option in registration.options.items() if option.required and name not in given]
        if needed:
            sets = " ".join(f"--set {registration.kind}.{registration.name}.{name}=VALUE" for name in needed)
            raise NotTested(f"it needs {' and '.join(needed)}: add {sets}")
        return resolve_block(self.registry, registration.kind, {"type": registration.name, **given})

    def blocks(self, kind: str) -> Iterator[Block]:
        """Every component of a kind whose required options are set."""
        for name in self.registry.names(kind):
            try:
                yield self.block(self.registry.get(kind, name))
            except NotTested:
                continue


def image(channels: int, height: int = SIDE, width: int = SIDE, *, count: int = 2, seed: int = 0) -> Tensor:
    """(count, channels, height, width), uniform in [-1, 1], the same for the same arguments."""
    generator = torch_generator(seed, "image", channels, height, width, count)
    return torch.rand(count, channels, height, width, generator=generator) * 2 - 1


@contextmanager
def ambient(seed: int, *, elsewhere: int | None = None) -> Iterator[None]:
    """Seeds the ambient generators of torch, numpy and Python inside the block and restores them on exit.

    elsewhere: another seed for the generators of numpy and Python.
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
    """The sum of all floating-point tensors, each element with its own weight."""
    parts = [
        (tensor * torch.linspace(0.5, 1.5, tensor.numel(), dtype=tensor.dtype, device=tensor.device).view(tensor.shape))
        for tensor in tensors_in(value)
        if tensor.is_floating_point()
    ]
    return torch.stack([part.sum() for part in parts]).sum()


def same(one: Any, other: Any) -> bool:
    """Whether two values have the same tensors and numbers, bit for bit."""
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
    """Equality by element; NaN equals NaN here."""
    return (one == other) | (one.isnan() & other.isnan()) if one.is_floating_point() else one == other


def largest_difference(one: Any, other: Any) -> float:
    """The largest absolute difference between the tensors of two values; infinity if their shapes differ."""
    ours, theirs = [[tensor.detach() for tensor in tensors_in(value)] for value in (one, other)]
    if [tensor.shape for tensor in ours] != [tensor.shape for tensor in theirs]:
        return float("inf")
    return max((float((a.double() - b.double()).abs().max()) for a, b in zip(ours, theirs, strict=True)), default=0.0)


def finite(value: Any) -> bool:
    """Whether all values of all floating-point tensors are finite."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors_in(value) if tensor.is_floating_point())


def size(tensor: Tensor) -> str:
    """The shape of a tensor as text: 2×3×64×64."""
    return "×".join(map(str, tensor.shape)) or "a scalar"


def saved_and_loaded(state: Any, what: str) -> Any:
    """A state after a round trip through a checkpoint. what: its description in messages.

    Raises UserError if it is not plain data, Broken if it cannot be loaded.
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
    """Names joined for a message; at most `most` of them."""
    listed = ", ".join(names[:most])
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed


def parameters_without(module: nn.Module, reached: set[int]) -> list[str]:
    """The names of the trainable parameters whose id is not in `reached`."""
    return [name for name, item in module.named_parameters() if item.requires_grad and id(item) not in reached]
