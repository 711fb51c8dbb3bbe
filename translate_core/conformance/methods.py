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
from translate_core.conformance.kit import Kit, named, same, size, tensors_in
from translate_core.conformance.promise import Broken, built, promise
from translate_core.conformance.recording import calls_by_losses
from translate_core.conformance.setup import BuiltMethod, MethodSetup, largest, set_up, smallest
from translate_core.conformance.stated import StatedData, data_for, names_in_tables, on, tables_of
from translate_core.contracts.adversarial import adversarial_pair
from translate_core.contracts.direction import Direction, Option
from translate_core.contracts.method import Method
from translate_core.contracts.tensor import Equation
from translate_core.contracts.update import updates_of
from translate_core.errors import UserError, explain
from translate_core.runtime.meta import meta_device
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
        with meta_device():
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
    "accepts the data that a dataset states",
    "`on(data)` is called before anything is opened, and the networks, given tensors and directions are those of the "
    "run; the same method object may describe several runs",
    first=True,
    applies=lambda subject: type(subject.block()).on is not Method.on,
)
def accepts_data(subject: MethodSubject) -> None:
    """Two and three domains, without classes and with them; it may refuse some. A second call replaces the first."""
    _ = subject.setup
    accepted: list[tuple[StatedData, Method]] = []
    for data in data_for(subject.block()):
        try:
            accepted.append((data, on(subject.block, data).method))
        except UserError:
            continue
    method: Method = subject.block()
    for data, expected in [*accepted, accepted[0]]:
        method.on(data)
        new, again = tables_of(expected), tables_of(method)
        different = [name for name in new if new[name] != again[name]]
        if different:
            raise Broken(f"on(data) with {data}, called after other data, sets other {named(different)}")


@promise(
    "computes every tensor without reading values",
    "a recipe may name any tensor, and the shape check computes it on meta tensors before a run starts",
    first=True,
)
def computes_tensors(subject: MethodSubject) -> None:
    """From what the data give, with `target_<domain>` as test images may have; with the largest and the smallest
    numbers of `integer`, in each update. What the method's tables name also alone: a method may compute several tensors
    in one pass where the losses use all of them."""
    method = subject.setup.method
    names = method.tensor_names()
    drawn: list[int] = []

    def most(high: int) -> int:
        drawn.append(high)
        return largest(high)

    _compute_all(subject, names, {"integers": most})
    _compute_all(subject, names_in_tables(method), {"needed": frozenset()})
    for update in updates_of(method.order):
        if update.instead:
            _compute_all(subject, names, {"instead": update.instead})
    if drawn:
        _compute_all(subject, names, {"integers": smallest})


def _compute_all(subject: MethodSubject, names: Sequence[str], case: dict[str, Any]) -> None:
    batch = subject.build().batch(**{"targets": True, "integers": largest, **case})
    for name in names:
        value = _compute(batch, name, f"tensor '{name}'")
        if not tensors_in(value):
            raise Broken(f"tensor '{name}' is {type(value).__name__}, not a tensor or a list of them")


@promise(
    "calls no network in shared tensors",
    "a shared tensor is computed once in a step, without gradients, by whichever update comes first: a network behind "
    "it is not trained through it, and may have been updated since",
    applies=lambda subject: any(equation.shared for equation in _equations(subject)),
)
def shares_no_networks(subject: MethodSubject) -> None:
    """Nor in what they depend on."""
    for equation in _equations(subject):
        if equation.shared:
            built = subject.build()
            _compute(built.batch(targets=True, integers=largest), equation.names[0], f"tensor '{equation.names[0]}'")
            if built.calls.reached:
                raise Broken(f"the shared tensor '{equation.names[0]}' calls {named(sorted(built.calls.reached))}")


def _equations(subject: MethodSubject) -> list[Equation]:
    return list(dict.fromkeys(subject.setup.method._equations.values()))


@promise(
    "has adversarial pairs that fit its discriminators",
    "adversarial losses call each network in `adversarial_pairs` with its two tensors, and their conditions",
    applies=lambda subject: bool(subject.setup.method.adversarial_pairs),
)
def has_fitting_pairs(subject: MethodSubject) -> None:
    """With each real and each fake tensor; as many conditions as the role names."""
    built = subject.build()
    batch = built.batch(targets=True, integers=largest)
    roles = {role.name: role for role in subject.setup.method.roles}
    for name, pair in subject.setup.method.adversarial_pairs.items():
        declared = adversarial_pair(pair)
        for names in (declared.names("real"), declared.names("fake")):
            called = " and ".join(f"'{tensor}'" for tensor in names)
            arguments = [_compute(batch, tensor, f"tensor '{tensor}'") for tensor in names]
            if len(names) != 1 + len(roles[name].conditions):
                conditions = " and ".join(roles[name].conditions) or "no condition"
                raise Broken(f"{name} is called with {called}, and its role has {conditions}")
            try:
                with meta_device():
                    batch.network(name)(*arguments)
            except Exception as error:  # whatever a network raises
                raise Broken(f"{name} cannot be called with {called}: {explain(error)}") from None


@promise(
    "uses every network of its roles",
    "a network that nothing calls is not trained, and left out of a run; ignore this if a loss calls it that is not "
    "registered here",
    advice=True,
)
def uses_networks(subject: MethodSubject) -> None:
    """In a tensor, in `adversarial_pairs`, or in a registered loss."""
    idle = set(subject.setup.roles) - subject.setup.reached
    if idle:
        idle -= {call.role for call in calls_by_losses(subject.setup, subject.kit)}
    if idle:
        raise Broken(f"no tensor, no adversarial pair and no registered loss uses {named(sorted(idle))}")


@promise(
    "translates in each of its directions",
    "samples, metrics and translate-apply supply an image of the source domain and the labels of the direction, and "
    "nothing else",
    applies=lambda subject: bool(subject.setup.method.directions),
)
def translates(subject: MethodSubject) -> None:
    """The output from `given` alone, and the tensors that are always shown beside it."""
    built = subject.build()
    for name, direction in subject.setup.method.directions.items():
        batch = built.translation(direction)
        _check_output(built, direction, batch, f"direction {name}:")
        for shown in direction.always:
            _compute(batch, shown, f"direction {name}: '{shown}', which is always shown,")


def _check_output(built: BuiltMethod, direction: Direction, batch: Method, what: str) -> None:
    output = _compute(batch, direction.output, f"{what} '{direction.output}'")
    side = built.setup.side
    if not isinstance(output, Tensor) or output.dim() != 4 or output.shape[-2:] != (side, side):
        found = size(output) if isinstance(output, Tensor) else type(output).__name__
        raise Broken(f"{what} '{direction.output}' is {found}, not an image of the size of its input")


@promise(
    "accepts its choices",
    "translate-apply draws a choice, or computes it from an image of the user",
    applies=lambda subject: any(item.choices for item in subject.setup.method.directions.values()),
)
def takes_choices(subject: MethodSubject) -> None:
    """The value from an image replaces the drawn one."""
    built = subject.build()
    for name, direction in subject.setup.method.directions.items():
        for choice in direction.choices:
            what = f"direction {name}, choice {choice.name}:"
            drawn = _compute(built.translation(direction), choice.drawn, f"{what} '{choice.drawn}'")
            image = built.example(choice.given, choice.domain)
            example = {choice.given: image, **direction.labels(1, image.device)}
            taken = _compute(built.batch(given=example, grad=False), choice.taken, f"{what} '{choice.taken}'")
            if drawn.shape[1:] != taken.shape[1:]:
                raise Broken(
                    f"{what} the drawn '{choice.drawn}' is {size(drawn)}, and '{choice.taken}' is {size(taken)}"
                )
            chosen = built.translation(direction, more={choice.drawn: taken[:1]})
            _compute(chosen, direction.output, f"{what} '{direction.output}' with it")


_MOST = 64
"""The largest whole number that is tried for an option, unless its smallest or its default is larger."""


@promise(
    "translates with the smallest and the largest options",
    "a user of translate-apply may set any value that an option permits",
    applies=lambda subject: any(item.options for item in subject.setup.method.directions.values()),
)
def takes_options(subject: MethodSubject) -> None:
    """One option at a time. Of whole numbers, such as sampling steps, none above 64 but those declared below it."""
    built = subject.build()
    for name, direction in subject.setup.method.directions.items():
        for option in direction.options:
            for value in _extremes(option):
                batch = built.translation(direction, options={**direction.defaults(), option.name: value})
                _check_output(built, direction, batch, f"direction {name}, {option.name} {value}:")


def _extremes(option: Option) -> list[int | float]:
    """The smallest and the largest value of an option; its default in place of one that is not declared."""
    low = option.default if option.low is None else option.read(option.low)
    high = option.default if option.high is None else option.read(option.high)
    return [low, min(high, max(_MOST, low)) if isinstance(option.default, int) else high]


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
    "the draws of `self.rng`, `normal`, `uniform`, `permutation` and `integer` are determined by seed, step and name; "
    "those of an ambient generator change with every other draw, such as that of a loss",
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
    with torch.no_grad(), meta_device():
        for update in updates_of(subject.setup.method.order):
            side = [name for name, item in built.handles.items() if item.role.side == update.side]
            own = {name: built.handles[name] for name in update.networks or side}
            subject.setup.method.after_update(update, own)


PROMISES = (
    builds,
    accepts_data,
    computes_tensors,
    shares_no_networks,
    has_fitting_pairs,
    uses_networks,
    translates,
    takes_choices,
    takes_options,
    draws_from_the_batch,
    supports_after_update,
)
