"""Promises about what a loss computes: shapes, values, gradients, draws, precision."""

from __future__ import annotations

import torch
from torch import Tensor

from translate_core.conformance.kit import ambient, finite, named, parameters_without, same
from translate_core.conformance.losses.subject import LossSubject, compute
from translate_core.conformance.promise import Broken, built, promise
from translate_core.conformance.setup import BuiltMethod
from translate_core.contracts.loss import Loss


@promise("builds", "a run builds every loss before training", first=True)
def builds(subject: LossSubject) -> None:
    """From its options alone."""
    built(subject.block)


@promise(
    "passes the shape check with a method and returns named scalars",
    "every loss is computed on meta tensors before a run starts; reading a value makes each step wait for the device, "
    "and what it returns is summed, weighted and logged by name",
    first=True,
)
def passes_shape_check(subject: LossSubject) -> None:
    """With every registered method that it does not refuse."""
    _ = subject.fits


@promise("computes finite numbers", "a value that is not finite ends a run as diverged")
def is_finite(subject: LossSubject) -> None:
    """In float32."""
    for name, value in subject.values().items():
        if not finite(value):
            raise Broken(f"{name} is {float(value.detach())} for random images and untrained networks")
        if value.dtype not in (torch.float32, torch.float64):
            raise Broken(f"{name} is {value.dtype}: losses are at least float32")


@promise(
    "sends a gradient to what it trains",
    "a loss without gradient changes nothing, and a run is refused if nothing trains its networks",
)
def sends_gradients(subject: LossSubject) -> None:
    """On each side for which it is defined: to some network of that side. In all: to every own parameter."""
    setup = subject.first.setup
    built = setup.build("cpu")
    loss = subject.build(setup)
    reached: set[int] = set()
    for side in subject.first.sides:
        reached |= _own_reached(loss, side, built)
    missed = parameters_without(loss, reached)
    if missed:
        raise Broken(f"no gradient reaches its own {named(missed)}; freeze what is not trained (requires_grad_(False))")


def _own_reached(loss: Loss, side: str, built: BuiltMethod) -> set[int]:
    """The ids of the loss's own parameters with a gradient. Raises Broken if no network of the side has one."""
    with ambient(0):
        parts = compute(loss, side, built.batch(), built)
    total = torch.stack(list(parts.values())).sum()
    own = [item for item in loss.parameters() if item.requires_grad]
    networks = _parameters_of(side, built)
    if not total.requires_grad:
        raise Broken(f"the networks of the side {side} get no gradient: their loss depends on nothing that is trained")
    gradients = torch.autograd.grad(total, [*networks, *own], allow_unused=True)
    if not any(grad is not None for grad in gradients):
        raise Broken(f"the networks of the side {side} get no gradient: their loss depends on none of their parameters")
    if not finite([grad for grad in gradients if grad is not None]):
        raise Broken(f"the networks of the side {side} get gradients that are not finite")
    return {id(item) for item, grad in zip(own, gradients[len(networks) :], strict=True) if grad is not None}


def _parameters_of(side: str, built: BuiltMethod) -> list[Tensor]:
    return [item for role in built.setup.filled if role.side == side for item in built.modules[role.name].parameters()]


@promise(
    "draws from the batch alone",
    "the draws of `tensors.rng`, `normal`, `uniform` and `permutation` are determined by seed, step and name; those of "
    "an ambient generator change with every other draw, such as that of another loss",
)
def draws_from_the_batch(subject: LossSubject) -> None:
    """The same values for different states of the ambient generators; its own dropout is off."""
    one, other = subject.values(draw=1), subject.values(draw=2)
    different = [name for name in one if not same(one[name], other[name])]
    if different:
        raise Broken(f"{named(different)} depends on torch's, numpy's or Python's ambient generator")


@promise(
    "computes in float64",
    "with `training.precision: fp64` images and weights are float64; a float32 constant fails or rounds",
)
def in_float64(subject: LossSubject) -> None:
    """All losses are float64."""
    for name, value in subject.values(precision="fp64").items():
        if value.dtype != torch.float64:
            raise Broken(f"{name} is {value.dtype} for images of float64")
