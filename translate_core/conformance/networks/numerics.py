"""Promises about numbers: finite values, gradients, precisions, memory format."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from translate_core.conformance.kit import (
    finite,
    largest_difference,
    named,
    parameters_without,
    same,
    scalar_of,
    tensors_in,
)
from translate_core.conformance.networks.subject import NetworkSubject
from translate_core.conformance.promise import Broken, NotTested, promise
from translate_core.training.channels_last import to_channels_last


def _check_gradients(module: nn.Module) -> None:
    wrong = [
        name for name, item in module.named_parameters() if item.grad is not None and not item.grad.isfinite().all()
    ]
    if wrong:
        raise Broken(f"the gradients of {named(wrong)} are not finite")


def _floating(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor


def _channels_last_double(tensor: Tensor) -> Tensor:
    wide = _floating(torch.float64)(tensor)
    return wide.contiguous(memory_format=torch.channels_last) if wide.dim() == 4 else wide


@promise("computes finite numbers in float32", "a value that is not finite ends a run as diverged")
def is_finite(subject: NetworkSubject) -> None:
    """Outputs and gradients of a new network."""
    module, outputs = subject.trained
    for place, output in enumerate(outputs):
        for tensor in tensors_in(output):
            if tensor.is_floating_point() and tensor.dtype != torch.float32:
                raise Broken(f"{subject.entry(place)} returns {tensor.dtype} for images of float32")
        if not finite(output):
            raise Broken(f"{subject.entry(place)} returns values that are not finite")
    _check_gradients(module)


@promise(
    "sends a gradient to every parameter",
    "a parameter without a gradient is never trained, yet saved, averaged and synchronised between processes",
)
def reaches_every_parameter(subject: NetworkSubject) -> None:
    """By all calls together."""
    module, _ = subject.trained
    missed = parameters_without(module, {id(item) for item in module.parameters() if item.grad is not None})
    if missed:
        raise Broken(f"no gradient reaches {named(missed)}")


@promise(
    "runs under autocast to bf16",
    "with `training.precision: bf16` or fp16 networks run under autocast, and losses receive float32",
)
def under_autocast(subject: NetworkSubject) -> None:
    """Forward and backward pass, through the network handle of a run."""
    module = subject.build()
    outputs = subject.run(module, "bf16")
    scalar_of(outputs).backward()  # type: ignore[no-untyped-call]
    for place, output in enumerate(outputs):
        if not finite(output):
            raise Broken(f"{subject.entry(place)} returns values that are not finite")
        for tensor in tensors_in(output):
            if tensor.dtype in (torch.bfloat16, torch.float16):
                raise Broken(
                    f"{subject.entry(place)} returns {tensor.dtype} in a container that the engine cannot convert"
                )
    _check_gradients(module)


@promise(
    "computes in float64",
    "with `training.precision: fp64` weights and images are float64; a float32 constant fails or rounds",
)
def in_float64(subject: NetworkSubject) -> None:
    """All outputs are float64."""
    module = subject.build().double()
    outputs = subject.run(module, "fp64", change=_floating(torch.float64))
    for place, output in enumerate(outputs):
        for tensor in tensors_in(output):
            if tensor.is_floating_point() and tensor.dtype != torch.float64:
                raise Broken(f"{subject.entry(place)} returns {tensor.dtype} for images of float64")


@promise(
    "gives the same result in channels-last order",
    "images and weights are in NHWC order unless `training.channels_last` is false",
)
def in_channels_last(subject: NetworkSubject) -> None:
    """In float64, where the order of additions is negligible."""
    # In evaluation mode: the mask of dropout depends on the memory format.
    plain, last = subject.build().double().eval(), subject.build().double().eval()
    to_channels_last(last)
    expected = subject.run(plain, "fp64", change=_floating(torch.float64))
    if not same(expected, subject.run(plain, "fp64", change=_floating(torch.float64), draw=2)):
        raise NotTested("its output in evaluation mode is random, so the results cannot be compared")
    found = subject.run(last, "fp64", change=_channels_last_double)
    for place, (one, other) in enumerate(zip(expected, found, strict=True)):
        difference = largest_difference(one, other)
        if not difference <= 1e-9:
            raise Broken(f"{subject.entry(place)} differs by {difference:.1e} in float64")
