"""The promise about conditions: what `forward` takes beside an image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from translate_core.conformance.kit import ambient, same, tensors_in
from translate_core.conformance.networks.subject import NetworkSubject
from translate_core.conformance.promise import Broken, NotTested, promise
from translate_core.conformance.recording import Call


def _conditioned(subject: NetworkSubject) -> list[Call]:
    """The recorded calls of `forward` that pass more than one tensor."""
    return [call for call in subject.recorded if not call.entry and len(call.arguments) > 1]


@promise(
    "depends on each of its conditions",
    "a condition without effect is usually an oversight; ignore this if it is intended, as in published networks that "
    "ignore one",
    advice=True,
    applies=lambda subject: subject.kind != "head" and bool(_conditioned(subject)),
)
def depends_on_conditions(subject: NetworkSubject) -> None:
    """The output in evaluation mode changes with each argument of `forward`, one at a time."""
    calls = _conditioned(subject)
    module = subject.build().eval()
    before = _output(module, calls[0].arguments)
    untried = []
    for place, name in zip(range(len(calls[0].arguments)), _names(subject, calls[0]), strict=False):
        others = list(_others(calls, place))
        if not others:
            untried.append(name)
        elif all(same(before, _output(module, changed)) for changed in others):
            raise Broken(f"its output does not depend on the {name}")
    if untried:
        raise NotTested(f"all calls have the same {' and '.join(untried)}")


def _names(subject: NetworkSubject, call: Call) -> list[str]:
    """What each argument is: the image, if it has one, and the conditions that its role names."""
    role = next(role for fit in subject.fits for role in fit.roles if role.name == call.role)
    return [*(["image"] if role.inputs else []), *role.conditions]


def _others(calls: list[Call], place: int) -> Iterator[tuple[Any, ...]]:
    """The arguments of the first call with another value at one place: of another image, or from another call."""
    arguments = calls[0].arguments
    own = arguments[place]
    if not isinstance(own, Tensor):
        return
    values = [own.roll(1, 0)] if own.dim() else []
    values += [call.arguments[place] for call in calls[1:] if len(call.arguments) > place]
    for value in values:
        if isinstance(value, Tensor) and value.shape == own.shape and not same(value, own):
            yield (*arguments[:place], value, *arguments[place + 1 :])


def _output(module: nn.Module, arguments: tuple[Any, ...]) -> list[Tensor]:
    with ambient(1), torch.no_grad():
        return tensors_in(module(*arguments))
