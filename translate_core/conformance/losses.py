"""What losses promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from translate_core.components.blocks import Block
from translate_core.conformance.kit import (
    Kit,
    ambient,
    finite,
    named,
    parameters_without,
    same,
    saved_and_loaded,
    size,
    tensors_in,
)
from translate_core.conformance.promise import Broken, NotTried, promise
from translate_core.conformance.stage import Casting, Stage, cast
from translate_core.contracts.loss import Loss
from translate_core.contracts.method import Method
from translate_core.contracts.role import GENERATORS, sides
from translate_core.errors import UserError, explain
from translate_core.training.failure import why_it_failed


@dataclass(frozen=True)
class _Fit:
    """A method that the loss suits, and the sides that it plays for there."""

    casting: Casting
    plays: tuple[str, ...]


class LossSubject:
    """A loss, and the registered methods that it suits."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.kit = kit
        self.block = block

    def build(self, casting: Casting, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Loss:
        """A fresh one, prepared for that method as a run does it."""
        with ambient(0), torch.device(device):
            loss: Loss = self.block()
            loss.prepare(casting.method)
        return loss.to(device, dtype)

    @cached_property
    def castings(self) -> list[Casting]:
        """Every registered method that can be cast, those of small networks first."""
        castings = []
        for block in self.kit.blocks("method"):
            try:
                castings.append(cast(self.kit, block))
            except (NotTried, ValueError):
                continue
        return sorted(castings, key=_weight)

    @cached_property
    def fits(self) -> list[_Fit]:
        """The methods that it suits. Raises Broken for equations that fail otherwise than by a UserError."""
        found, refused = [], []
        for casting in self.castings:
            try:
                plays = self._rehearse(casting)
            except UserError as error:
                refused.append(f"{casting.name}: {error}")
                continue
            except (Broken, NotTried):
                raise
            except Exception as error:  # whatever a component raises
                raise Broken(f"with method {casting.name} it {why_it_failed(error)}") from None
            if plays:
                found.append(_Fit(casting, plays))
            else:
                refused.append(f"{casting.name}: it returns no terms")
        if not found:
            raise NotTried("it suits no registered method with these options:\n" + "\n".join(refused))
        return found

    def _rehearse(self, casting: Casting) -> tuple[str, ...]:
        loss = self.build(casting, "meta")
        plays = []
        for side in sides(casting.method.roles):
            batch = casting.stage("meta").batch()
            with torch.device("meta"):
                if compute(loss, side, batch, None):
                    plays.append(side)
        return tuple(plays)

    @property
    def first(self) -> _Fit:
        """The one of the smallest networks."""
        return self.fits[0]

    def values(self, *, draw: int = 0, precision: str = "fp32") -> dict[str, Tensor]:
        """Everything that a fresh one returns for one batch, in evaluation mode.

        draw: where the ambient generators stand.
        """
        stage = self.first.casting.stage("cpu", precision=precision)
        loss = self.build(self.first.casting, dtype=stage.precision.dtype).eval()
        return self.terms(loss, stage, draw=draw)

    def terms(self, loss: Loss, stage: Stage, *, seed: int = 0, draw: int = 0) -> dict[str, Tensor]:
        """What a loss returns for all sides, by side and name."""
        terms = {}
        for side in self.first.plays:
            batch = stage.batch(seed=seed)
            with ambient(draw):
                terms.update({f"{side}: {name}": value for name, value in compute(loss, side, batch, stage).items()})
        return terms


def compute(loss: Loss, side: str, batch: Method, stage: Stage | None) -> Mapping[str, Tensor]:
    """One side's terms, as the trainer asks for them. Raises Broken for what are no named scalars."""
    calls = batch._calls if stage is None else stage.calls
    with calls.by_loss_of(side):
        parts = loss.generator_loss(batch) if side == GENERATORS else loss.discriminator_loss(batch)
    where = "generator_loss" if side == GENERATORS else "discriminator_loss"
    if not isinstance(parts, Mapping):
        raise Broken(f"{where} returns {type(parts).__name__}, not named scalars such as {{'rec_A': tensor(0.5)}}")
    for name, value in parts.items():
        if not isinstance(value, Tensor) or value.dim() != 0:
            found = f"a tensor of {size(value)}" if isinstance(value, Tensor) else type(value).__name__
            raise Broken(f"{where} returns {found} as '{name}', not a scalar: average or sum it")
    return parts


def _weight(casting: Casting) -> int:
    modules = casting.stage("meta").modules.values()
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@promise("builds", "a run builds it before anything is trained", first=True)
def builds(subject: LossSubject) -> None:
    """From its options alone."""
    try:
        subject.block()
    except Exception as error:  # whatever a component's constructor raises
        raise Broken(f"cannot be built: {explain(error)}") from None


@promise(
    "is rehearsed with a method, and returns named scalars",
    "every loss is tried on meta tensors before a run starts; a value that is read makes each step wait for the "
    "device, and what it returns is summed, weighted and logged by name",
    first=True,
)
def rehearsed(subject: LossSubject) -> None:
    """With every registered method that it does not refuse."""
    _ = subject.fits


@promise("computes finite numbers", "one value that is not finite ends a run as diverged")
def is_finite(subject: LossSubject) -> None:
    """In float32."""
    for name, value in subject.values().items():
        if not finite(value):
            raise Broken(f"{name} is {float(value.detach())} for images drawn at random and untrained networks")
        if value.dtype not in (torch.float32, torch.float64):
            raise Broken(f"{name} is {value.dtype}: losses are at least float32")


@promise(
    "sends a gradient to what it trains",
    "a term from which no gradient flows changes nothing, and a run whose networks nothing trains is refused",
)
def reaches(subject: LossSubject) -> None:
    """For each side that it plays for some network of that side, and every parameter of its own."""
    stage = subject.first.casting.stage("cpu")
    loss = subject.build(subject.first.casting)
    own: set[int] = set()
    for side in subject.first.plays:
        with ambient(0):
            parts = compute(loss, side, stage.batch(), stage)
        total = torch.stack(list(parts.values())).sum()
        mine = [item for item in loss.parameters() if item.requires_grad]
        theirs = [
            item
            for role in subject.first.casting.method.roles
            if role.side == side
            for item in stage.modules[role.name].parameters()
        ]
        if not total.requires_grad:
            raise Broken(f"the {side} get no gradient: what it returns for them depends on nothing that is trained")
        gradients = torch.autograd.grad(total, [*theirs, *mine], allow_unused=True)
        own |= {id(item) for item, grad in zip(mine, gradients[len(theirs) :], strict=True) if grad is not None}
        if not any(grad is not None for grad in gradients):
            raise Broken(f"the {side} get no gradient: what it returns for them depends on none of their parameters")
        if not finite([grad for grad in gradients if grad is not None]):
            raise Broken(f"the {side} get gradients that are not finite")
    missed = parameters_without(loss, own)
    if missed:
        raise Broken(f"nothing reaches its own {named(missed)}; freeze what is not trained (requires_grad_(False))")


@promise(
    "has its parameters when it is prepared",
    "optimizers are made right after `prepare`: what comes later is never learned, and no checkpoint can be read back",
)
def parameters_are_there(subject: LossSubject) -> None:
    """None come and none go while terms are computed."""
    stage = subject.first.casting.stage("cpu")
    loss = subject.build(subject.first.casting)
    before = {name: tuple(item.shape) for name, item in loss.named_parameters()}
    subject.terms(loss, stage)
    after = {name: tuple(item.shape) for name, item in loss.named_parameters()}
    if before != after:
        raise Broken(f"computing a term changes its parameters: {named(sorted(before.keys() ^ after.keys()))}")


@promise(
    "draws from the batch alone",
    "what `tensors.rng`, `normal`, `uniform` and `permutation` draw is decided by seed, step and name; what an "
    "ambient generator draws changes with whatever else draws, such as another loss",
)
def draws_from_the_batch(subject: LossSubject) -> None:
    """The same values wherever the ambient generators stand; dropout of its own is off."""
    one, other = subject.values(draw=1), subject.values(draw=2)
    different = [name for name in one if not same(one[name], other[name])]
    if different:
        raise Broken(f"{named(different)} depends on torch's, numpy's or Python's ambient generator")


@promise(
    "computes in float64",
    "with `training.precision: fp64` images and weights are float64; a constant that stays float32 fails, or rounds",
)
def in_float64(subject: LossSubject) -> None:
    """Every term is float64 then."""
    for name, value in subject.values(precision="fp64").items():
        if value.dtype != torch.float64:
            raise Broken(f"{name} is {value.dtype} for images of float64")


@promise(
    "leaves the tensors of the batch as they are",
    "they are shared: what one loss overwrites, every loss after it sees",
)
def leaves_tensors(subject: LossSubject) -> None:
    """No operation in place on an image, a score or a feature."""
    stage = subject.first.casting.stage("cpu")
    loss = subject.build(subject.first.casting)
    for side in subject.first.plays:
        batch = stage.batch(truths=True)
        before: dict[str, Any] = {}
        for name in subject.first.casting.method.tensor_names():
            before[name] = [tensor.detach().clone() for tensor in tensors_in(batch[name])]
        with ambient(0):
            compute(loss, side, batch, stage)
        for name, kept in before.items():
            if not same(kept, [tensor.detach() for tensor in tensors_in(batch[name])]):
                raise Broken(f"overwrites the tensor '{name}'")


@promise(
    "goes on from its state_dict",
    "a checkpoint keeps the state of each loss, its pools included, and a run goes on from it to the bit",
)
def goes_on(subject: LossSubject) -> None:
    """After some batches it is saved, loaded with weights_only, and returns what the original would."""
    stage = subject.first.casting.stage("cpu")
    loss = subject.build(subject.first.casting)
    for seed in range(3):
        subject.terms(loss, stage, seed=seed)
    state = saved_and_loaded(loss.state_dict(), "its state_dict")
    twin = subject.build(subject.first.casting)
    twin.load_state_dict(state)
    for seed in range(3, 5):
        one, other = subject.terms(loss, stage, seed=seed), subject.terms(twin, stage, seed=seed)
        different = [name for name in one if name not in other or not same(one[name], other[name])]
        if different:
            raise Broken(
                f"{named(different)} differs after the state was saved and loaded: what it remembers belongs into "
                f"parameters, buffers, or get_extra_state and set_extra_state"
            )


PROMISES = (
    builds,
    rehearsed,
    is_finite,
    reaches,
    parameters_are_there,
    draws_from_the_batch,
    in_float64,
    leaves_tensors,
    goes_on,
)
