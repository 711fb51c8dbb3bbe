"""What methods promise."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, image, named, same, size, tensors_in
from translate_core.conformance.promise import Broken, promise
from translate_core.conformance.stage import CHANNELS, Casting, Stage, cast
from translate_core.contracts.direction import Direction
from translate_core.contracts.method import Method
from translate_core.contracts.role import sides
from translate_core.errors import UserError, explain
from translate_core.training.failure import why_it_failed


class MethodSubject:
    """A method, with small or registered networks in its roles."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.kit = kit
        self.block = block

    @cached_property
    def casting(self) -> Casting:
        """Who plays which role. Raises NotTried where a role asks for what no registered component has."""
        return cast(self.kit, self.block)

    def stage(self) -> Stage:
        """Its networks without values."""
        return self.casting.stage("meta")


def _ask(batch: Method, name: str, what: str) -> Any:
    """A tensor of a batch on the meta device. Raises Broken."""
    try:
        with torch.device("meta"):
            return batch[name]
    except UserError as error:
        raise Broken(f"{what} cannot be computed: {error}") from None
    except Exception as error:  # whatever an equation raises
        raise Broken(f"{what} {why_it_failed(error)}") from None


@promise("builds", "a run builds it first of all", first=True)
def builds(subject: MethodSubject) -> None:
    """From its options alone."""
    try:
        subject.block()
    except Exception as error:  # whatever a component's constructor raises
        raise Broken(f"cannot be built: {explain(error)}") from None


@promise(
    "computes every tensor, without reading values",
    "a recipe may ask for any tensor by name; all that it asks for is rehearsed on meta tensors before a run starts",
    first=True,
)
def computes_tensors(subject: MethodSubject) -> None:
    """From what the data supplies, and the true counterparts that test images may have."""
    batch = subject.stage().batch(truths=True)
    for name in subject.casting.method.tensor_names():
        value = _ask(batch, name, f"tensor '{name}'")
        if not tensors_in(value):
            raise Broken(f"tensor '{name}' is {type(value).__name__}, not a tensor or a list of them")


@promise(
    "gives its discriminators what they can judge",
    "adversarial losses show each network in `adversarial_pairs` the two tensors that stand there",
    applies=lambda subject: bool(subject.block.registration.component.adversarial_pairs),
)
def judges(subject: MethodSubject) -> None:
    """Each real and each fake."""
    stage = subject.stage()
    batch = stage.batch(truths=True)
    for name, pair in subject.casting.method.adversarial_pairs.items():
        for tensor in pair:
            given = _ask(batch, tensor, f"tensor '{tensor}'")
            try:
                with torch.device("meta"):
                    batch.network(name)(given)
            except Exception as error:  # whatever a network raises
                raise Broken(f"{name} cannot judge '{tensor}': {explain(error)}") from None


@promise(
    "uses every network that it asks for",
    "a recipe has to describe each role, and a network that nothing calls is never trained",
)
def uses_networks(subject: MethodSubject) -> None:
    """In a tensor, or as a judge."""
    stage = subject.stage()
    batch = stage.batch(truths=True)
    for name in subject.casting.method.tensor_names():
        _ask(batch, name, f"tensor '{name}'")
    idle = set(stage.modules) - stage.calls.reached - set(subject.casting.method.adversarial_pairs)
    if idle:
        raise Broken(f"no tensor comes of {named(sorted(idle))}, which judges nothing either")


@promise(
    "translates in every direction that it offers",
    "samples, metrics and translate-apply have an image of the source domain and nothing else",
    applies=lambda subject: bool(subject.block.registration.component.directions),
)
def translates(subject: MethodSubject) -> None:
    """An image from `given` alone, with whatever is always shown beside it."""
    stage = subject.stage()
    for name, direction in subject.casting.method.directions.items():
        batch = _translating(stage, direction, {})
        output = _ask(batch, direction.output, f"direction {name}: '{direction.output}'")
        side = subject.casting.side
        if not isinstance(output, Tensor) or output.dim() != 4 or output.shape[-2:] != (side, side):
            found = size(output) if isinstance(output, Tensor) else type(output).__name__
            raise Broken(f"direction {name}: '{direction.output}' is {found}, not an image of the size of its input")
        for shown in direction.always:
            _ask(batch, shown, f"direction {name}: '{shown}', which is always shown,")


@promise(
    "takes what it lets a user choose",
    "translate-apply draws a choice, or takes it from an image that the user gives",
    applies=lambda subject: any(item.choices for item in subject.block.registration.component.directions.values()),
)
def takes_choices(subject: MethodSubject) -> None:
    """What is found in an image stands in for what would be drawn."""
    stage = subject.stage()
    for name, direction in subject.casting.method.directions.items():
        for choice in direction.choices:
            what = f"direction {name}, choice {choice.name}:"
            drawn = _ask(_translating(stage, direction, {}), choice.drawn, f"{what} '{choice.drawn}'")
            donor = _translating(stage, direction, {}, given=f"real_{choice.domain}")
            taken = _ask(donor, choice.taken, f"{what} '{choice.taken}'")
            if drawn.shape[1:] != taken.shape[1:]:
                raise Broken(
                    f"{what} '{choice.drawn}' is {size(drawn)} where it is drawn, and '{choice.taken}' {size(taken)}"
                )
            chosen = _translating(stage, direction, {choice.drawn: taken[:1]})
            _ask(chosen, direction.output, f"{what} '{direction.output}' with it")


def _translating(stage: Stage, direction: Direction, more: dict[str, Tensor], given: str = "") -> Method:
    """A batch as translations are computed: one image, no gradients, evaluation mode."""
    for module in stage.modules.values():
        module.eval()
    side = stage.casting.side
    images = {given or direction.given: image(CHANNELS, side, side, count=1).to("meta"), **more}
    return stage.batch(given=images, grad=False)


class _AmbientDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers operators that draw from torch's ambient generator."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        given = (*args, *(kwargs or {}).values())
        if torch.Tag.nondeterministic_seeded in func.tags and not any(isinstance(v, torch.Generator) for v in given):
            self.found.append(str(func).split(".")[1])
        return func(*args, **(kwargs or {}))


@promise(
    "draws from the batch alone",
    "what `self.rng`, `normal`, `uniform` and `permutation` draw is decided by seed, step and name; what an "
    "ambient generator draws changes with whatever else draws, such as another loss",
)
def draws_from_the_batch(subject: MethodSubject) -> None:
    """Nothing moves an ambient generator while every tensor is computed; dropout, which may, is off."""
    stage = subject.stage()
    for module in stage.modules.values():
        module.eval()
    batch = stage.batch(grad=False, truths=True)
    draws = _AmbientDraws()
    before = _ambient_state()
    with draws:
        for name in subject.casting.method.tensor_names():
            _ask(batch, name, f"tensor '{name}'")
            if draws.found or not same(before, _ambient_state()):
                what = f"torch.{draws.found[0]} without a generator" if draws.found else "numpy's or Python's generator"
                raise Broken(f"the tensor '{name}' is drawn by {what}")


def _ambient_state() -> list[Any]:
    return [torch.get_rng_state(), str(np.random.get_state()), random.getstate()[1]]


@promise(
    "lets its after_update be called",
    "the engine calls it without gradients after every update of a side",
)
def takes_after_update(subject: MethodSubject) -> None:
    """For each side."""
    stage = subject.stage()
    with torch.no_grad(), torch.device("meta"):
        for side in sides(subject.casting.method.roles):
            subject.casting.method.after_update(side, stage.handles)


PROMISES = (
    builds,
    computes_tensors,
    judges,
    uses_networks,
    translates,
    takes_choices,
    draws_from_the_batch,
    takes_after_update,
)
