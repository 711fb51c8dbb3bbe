"""The promises of methods."""

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
from translate_core.conformance.promise import Broken, built, promise
from translate_core.conformance.setup import CHANNELS, BuiltMethod, MethodSetup, set_up
from translate_core.contracts.adversarial import adversarial_pair
from translate_core.contracts.direction import Direction
from translate_core.contracts.method import Method
from translate_core.contracts.update import updates_of
from translate_core.errors import UserError, explain
from translate_core.training.failure import why_it_failed


class MethodSubject:
    """A method with plain or registered networks for its roles."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.kit = kit
        self.block = block

    @cached_property
    def setup(self) -> MethodSetup:
        """The networks of its roles. Raises NotTested if a role needs what no registered component has."""
        return set_up(self.kit, self.block)

    def build(self) -> BuiltMethod:
        """Its networks on the meta device."""
        return self.setup.build("meta")


def _compute(batch: Method, name: str, what: str) -> Any:
    """A tensor of a batch on the meta device. what: its description in messages. Raises Broken."""
    try:
        with torch.device("meta"):
            return batch[name]
    except UserError as error:
        raise Broken(f"{what} cannot be computed: {error}") from None
    except Exception as error:  # whatever an equation raises
        raise Broken(f"{what} {why_it_failed(error)}") from None


@promise("builds", "a run builds it before anything else", first=True)
def builds(subject: MethodSubject) -> None:
    """From its options alone."""
    built(subject.block)


@promise(
    "computes every tensor without reading values",
    "a recipe may name any tensor, and the shape check computes it on meta tensors before a run starts",
    first=True,
)
def computes_tensors(subject: MethodSubject) -> None:
    """From the images of the data, with `target_<domain>` as test images may have."""
    batch = subject.build().batch(targets=True)
    for name in subject.setup.method.tensor_names():
        value = _compute(batch, name, f"tensor '{name}'")
        if not tensors_in(value):
            raise Broken(f"tensor '{name}' is {type(value).__name__}, not a tensor or a list of them")


@promise(
    "has adversarial pairs that fit its discriminators",
    "adversarial losses call each network in `adversarial_pairs` with its two tensors",
    applies=lambda subject: bool(subject.block.registration.component.adversarial_pairs),
)
def has_fitting_pairs(subject: MethodSubject) -> None:
    """With each real and each fake tensor."""
    built = subject.build()
    batch = built.batch(targets=True)
    for name, pair in subject.setup.method.adversarial_pairs.items():
        declared = adversarial_pair(pair)
        for names in (declared.names("real"), declared.names("fake")):
            arguments = [_compute(batch, tensor, f"tensor '{tensor}'") for tensor in names]
            try:
                with torch.device("meta"):
                    batch.network(name)(*arguments)
            except Exception as error:  # whatever a network raises
                called = " and ".join(f"'{tensor}'" for tensor in names)
                raise Broken(f"{name} cannot be called with {called}: {explain(error)}") from None


@promise(
    "uses every network of its roles",
    "a recipe configures each role, and a network that nothing calls is never trained",
)
def uses_networks(subject: MethodSubject) -> None:
    """In a tensor or in `adversarial_pairs`."""
    built = subject.build()
    batch = built.batch(targets=True)
    for name in subject.setup.method.tensor_names():
        _compute(batch, name, f"tensor '{name}'")
    idle = set(built.modules) - built.calls.reached - set(subject.setup.method.adversarial_pairs)
    if idle:
        raise Broken(f"no tensor and no adversarial pair uses {named(sorted(idle))}")


@promise(
    "translates in each of its directions",
    "samples, metrics and translate-apply supply an image of the source domain and nothing else",
    applies=lambda subject: bool(subject.block.registration.component.directions),
)
def translates(subject: MethodSubject) -> None:
    """The output from `given` alone, and the tensors that are always shown beside it."""
    built = subject.build()
    for name, direction in subject.setup.method.directions.items():
        batch = _translating(built, direction, {})
        output = _compute(batch, direction.output, f"direction {name}: '{direction.output}'")
        side = subject.setup.side
        if not isinstance(output, Tensor) or output.dim() != 4 or output.shape[-2:] != (side, side):
            found = size(output) if isinstance(output, Tensor) else type(output).__name__
            raise Broken(f"direction {name}: '{direction.output}' is {found}, not an image of the size of its input")
        for shown in direction.always:
            _compute(batch, shown, f"direction {name}: '{shown}', which is always shown,")


@promise(
    "accepts its choices",
    "translate-apply draws a choice, or computes it from an image of the user",
    applies=lambda subject: any(item.choices for item in subject.block.registration.component.directions.values()),
)
def takes_choices(subject: MethodSubject) -> None:
    """The value from an image replaces the drawn one."""
    built = subject.build()
    for name, direction in subject.setup.method.directions.items():
        for choice in direction.choices:
            what = f"direction {name}, choice {choice.name}:"
            drawn = _compute(_translating(built, direction, {}), choice.drawn, f"{what} '{choice.drawn}'")
            donor = _translating(built, direction, {}, given=f"real_{choice.domain}")
            taken = _compute(donor, choice.taken, f"{what} '{choice.taken}'")
            if drawn.shape[1:] != taken.shape[1:]:
                raise Broken(
                    f"{what} the drawn '{choice.drawn}' is {size(drawn)}, and '{choice.taken}' is {size(taken)}"
                )
            chosen = _translating(built, direction, {choice.drawn: taken[:1]})
            _compute(chosen, direction.output, f"{what} '{direction.output}' with it")


def _translating(built: BuiltMethod, direction: Direction, more: dict[str, Tensor], given: str = "") -> Method:
    """A batch as in translation: one image, no gradients, evaluation mode."""
    for module in built.modules.values():
        module.eval()
    side = built.setup.side
    images = {given or direction.given: image(CHANNELS, side, side, count=1).to("meta"), **more}
    return built.batch(given=images, grad=False)


class _AmbientDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records operators that draw from torch's ambient generator."""

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
    "the draws of `self.rng`, `normal`, `uniform` and `permutation` are determined by seed, step and name; those of an "
    "ambient generator change with every other draw, such as that of a loss",
)
def draws_from_the_batch(subject: MethodSubject) -> None:
    """Computing every tensor leaves the ambient generators unchanged; dropout, which may draw from them, is off."""
    built = subject.build()
    for module in built.modules.values():
        module.eval()
    batch = built.batch(grad=False, targets=True)
    draws = _AmbientDraws()
    before = _ambient_state()
    with draws:
        for name in subject.setup.method.tensor_names():
            _compute(batch, name, f"tensor '{name}'")
            if draws.found or not same(before, _ambient_state()):
                what = f"torch.{draws.found[0]} without a generator" if draws.found else "numpy's or Python's generator"
                raise Broken(f"the tensor '{name}' is drawn by {what}")


def _ambient_state() -> list[Any]:
    return [torch.get_rng_state(), str(np.random.get_state()), random.getstate()[1]]


@promise(
    "supports after_update",
    "the engine calls it without gradients after every update",
)
def supports_after_update(subject: MethodSubject) -> None:
    """For each update."""
    built = subject.build()
    with torch.no_grad(), torch.device("meta"):
        for update in updates_of(subject.setup.method.order):
            own = {name: item for name, item in built.handles.items() if item.role.side == update.side}
            subject.setup.method.after_update(update, own)


PROMISES = (
    builds,
    computes_tensors,
    has_fitting_pairs,
    uses_networks,
    translates,
    takes_choices,
    draws_from_the_batch,
    supports_after_update,
)
