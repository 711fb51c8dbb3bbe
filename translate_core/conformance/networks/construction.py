"""Promises about building networks: arguments, methods that need them, the shape check, initial weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from translate_core.conformance.kit import ambient, named, same, scalar_of, tensors_in
from translate_core.conformance.networks.subject import NetworkSubject
from translate_core.conformance.promise import Broken, NotTested, promise
from translate_core.errors import explain
from translate_core.runtime.meta import meta_device
from translate_core.runtime.randomness import seeded
from translate_core.training.failure import why_it_failed

_OTHER_CHANNELS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "generator": ({"in_channels": 1, "out_channels": 3}, {"in_channels": 3, "out_channels": 1}),
    "discriminator": ({"in_channels": 1}, {"in_channels": 6}),
    "head": ({"channels": (16,)}, {"channels": (1, 64, 128)}),
    "network": ({"in_channels": 1}, {"in_channels": 6}),
}
"""By kind, supplied arguments that differ from the usual ones."""


def _in_words(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in given.items())


@promise("builds", "every run builds it on the meta device first and then on the training device", first=True)
def builds(subject: NetworkSubject) -> None:
    """With the usual arguments."""
    try:
        _ = subject.meta
        subject.build()
    except NotTested:
        raise
    except Exception as error:  # whatever a component's constructor raises
        raise Broken(f"cannot be built with {_in_words(subject.usual)}: {explain(error)}") from None


def _works_with_methods(subject: NetworkSubject) -> None:
    """Every tensor of those methods, on the meta device.

    Of the methods that could take it by the names in their roles, one must be computable with it. It is broken if it
    fails in a method of its own plugin; a method of another plugin may be for other networks.
    """
    if subject.fits:
        return
    for attempt in subject.attempts:
        if subject.is_at_fault(attempt):
            raise Broken(f"in method {attempt.setup.name} {attempt.setup.fault}")
    if subject.needs_method:
        raise NotTested(subject.without_method())
    failed = "\n".join(f"{attempt.setup.name}: {attempt.setup.fault}" for attempt in subject.attempts)
    raise NotTested(f"it has what these methods call, and they cannot be computed with it:\n{failed}")


_WORKS = "works with the methods that need it"
_WHY = "a method calls what its roles list (`encode`, `features`, `forward` with conditions …)"

works_with_its_method = promise(_WORKS, _WHY, first=True, applies=lambda subject: subject.needs_method)(
    _works_with_methods
)
works_with_methods = promise(_WORKS, _WHY, applies=lambda subject: not subject.needs_method and bool(subject.attempts))(
    _works_with_methods
)


@promise(
    "passes the shape check",
    "every equation is evaluated on the meta device before memory is allocated, and reading a value during training "
    "makes each step wait for the device",
    first=True,
)
def passes_shape_check(subject: NetworkSubject) -> None:
    """Forward and backward pass of every call on the meta device, in training mode."""
    module = subject.build("meta")
    _ = subject.calls  # recorded on the CPU
    with meta_device():
        outputs = subject.run(module, change=lambda tensor: tensor.to("meta"))
        scalar_of(outputs).backward()  # type: ignore[no-untyped-call]


@promise(
    "accepts any number of channels",
    "the dataset decides the channels of the domains, taps those of features; a constructor that does not support a "
    "number raises ValueError",
    applies=lambda subject: bool(set(_OTHER_CHANNELS[subject.kind][0]) & set(subject.usual)),
)
def accepts_channels(subject: NetworkSubject) -> None:
    """Grey and colour, two images concatenated; on the meta device."""
    for given in _OTHER_CHANNELS[subject.kind]:
        try:
            module = subject.build("meta", **given)
            if subject.kind in ("head", "network"):
                continue
            images = torch.empty(2, given["in_channels"], *subject.image.shape[-2:], device="meta")
            output = module(*subject.on(images))
        except ValueError:
            continue
        except Exception as error:  # whatever a component raises
            raise Broken(f"with {_in_words(given)} it {why_it_failed(error)}") from None
        if subject.kind == "generator" and tensors_in(output)[0].shape[1] != given["out_channels"]:
            raise Broken(f"with {_in_words(given)} it returns {tensors_in(output)[0].shape[1]} channels")


@promise(
    "has the same initial weights for the same seed",
    "`training.seed` decides every draw, and only the generators of torch and numpy are seeded",
)
def same_initial_weights(subject: NetworkSubject) -> None:
    """Built twice, with different states of Python's own generator."""
    states = []
    for place in (7, 8):
        with ambient(place), seeded(0, "conformance"):
            states.append(dict(subject.block(**subject.usual).state_dict()))
    one, other = states
    different = [name for name in one if name not in other or not same(one[name], other[name])]
    if different:
        raise Broken(f"{named(different)} differ between two networks of the same seed")
