"""The networks of a method: roles, and the sides that train them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from translate_core.errors import UserError, did_you_mean

GENERATORS = "generators"
"""The side of the networks that make images: generators, heads, and losses with parameters."""

DISCRIMINATORS = "discriminators"
"""The side of the networks that compute scores of images."""


@dataclass(frozen=True)
class Role:
    """A network that a method needs.

    kind: the kind of component that can fill it; also the block of the recipe that describes it.
    side: the set of networks that it is trained with.
    inputs: the domains of its input images; the channels of several are concatenated.
    outputs: the domains of its output images; the channels of several are concatenated.
    methods: names of methods that the network must have besides `forward`.
    tapped: of a head, the role whose features it takes; that role comes before it.
    taps: of a head, the names of the taps.
    conditions: what `forward` takes after the image, in that order: such as "time", "latent", "style", "label".
    extra: further arguments of its constructor, which the method decides and a recipe may not set.
    default: the component that fills the role where the recipe has no block for it.
    """

    name: str
    kind: str
    side: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    tapped: str = ""
    taps: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    default: str = ""

    def given(self, channels: Mapping[str, int], networks: Mapping[str, nn.Module]) -> dict[str, Any]:
        """The arguments that the engine passes to its constructor.

        channels: by domain. networks: those built so far, by role.
        Raises UserError for taps that the tapped network does not have.
        """
        given: dict[str, Any] = {}
        if self.tapped:
            given["channels"] = _tap_channels(self.tapped, networks[self.tapped], self.taps)
        if self.inputs:
            given["in_channels"] = sum(channels[domain] for domain in self.inputs)
        if self.outputs:
            given["out_channels"] = sum(channels[domain] for domain in self.outputs)
        return {**given, **self.extra}

    def supplied(self) -> tuple[str, ...]:
        """The names of the arguments that `given` returns."""
        names = (("channels", self.tapped), ("in_channels", self.inputs), ("out_channels", self.outputs))
        return (*(name for name, has in names if has), *self.extra)


def _tap_channels(role: str, network: nn.Module, taps: tuple[str, ...]) -> tuple[int, ...]:
    declared: Mapping[str, int] | None = getattr(network, "taps", None)
    if declared is None or not callable(getattr(network, "features", None)):
        raise UserError(
            f"needs features of {role}, and {type(network).__name__} declares no taps: "
            f"use a network with an attribute `taps` and a method `features`"
        )
    for tap in taps:
        if tap not in declared:
            raise UserError(
                f"{role} has no tap '{tap}'{did_you_mean(tap, list(declared))} "
                f"{type(network).__name__} has: {', '.join(declared)}"
            )
    return tuple(declared[tap] for tap in taps)


def generator(
    name: str,
    source: str,
    target: str,
    *,
    side: str = GENERATORS,
    methods: tuple[str, ...] = (),
    conditions: tuple[str, ...] = (),
    extra: Mapping[str, Any] | None = None,
) -> Role:
    """A generator from images of `source` to images of `target`."""
    return Role(
        name, "generator", side, (source,), (target,), methods=methods, conditions=conditions, extra=dict(extra or {})
    )


def discriminator(
    name: str,
    *domains: str,
    side: str = DISCRIMINATORS,
    methods: tuple[str, ...] = (),
    conditions: tuple[str, ...] = (),
    extra: Mapping[str, Any] | None = None,
) -> Role:
    """A discriminator on images of a domain, or of several concatenated along the channels."""
    return Role(name, "discriminator", side, domains, methods=methods, conditions=conditions, extra=dict(extra or {}))


def head(
    name: str,
    tapped: str,
    taps: tuple[str, ...],
    *,
    side: str = GENERATORS,
    methods: tuple[str, ...] = (),
    extra: Mapping[str, Any] | None = None,
) -> Role:
    """A head on features at the taps of the network `tapped`, trained beside it."""
    return Role(name, "head", side, methods=methods, tapped=tapped, taps=taps, extra=dict(extra or {}))


def network(
    name: str,
    *inputs: str,
    side: str = GENERATORS,
    methods: tuple[str, ...] = (),
    conditions: tuple[str, ...] = (),
    extra: Mapping[str, Any] | None = None,
    default: str = "",
) -> Role:
    """A network that neither makes images nor scores them, such as a mapping network or a style encoder.

    inputs: the domains of its input images, concatenated along the channels; none for a network without images.
    """
    return Role(
        name, "network", side, inputs, methods=methods, conditions=conditions, extra=dict(extra or {}), default=default
    )


def sides(roles: Iterable[Role]) -> tuple[str, ...]:
    """The sides of these roles, in the order in which they first occur."""
    return tuple(dict.fromkeys(role.side for role in roles))
