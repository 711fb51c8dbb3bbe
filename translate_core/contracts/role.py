"""The networks of a method: roles, and the sides that train them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    """

    name: str
    kind: str
    side: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    tapped: str = ""
    taps: tuple[str, ...] = ()

    def given(self, channels: Mapping[str, int], networks: Mapping[str, nn.Module]) -> dict[str, Any]:
        """The arguments that the engine passes to its constructor.

        channels: by domain. networks: those built so far, by role.
        Raises UserError for taps that the tapped network does not have.
        """
        if self.tapped:
            return {"channels": _tap_channels(self.tapped, networks[self.tapped], self.taps)}
        given = {"in_channels": sum(channels[domain] for domain in self.inputs)}
        if self.outputs:
            given["out_channels"] = sum(channels[domain] for domain in self.outputs)
        return given


def _tap_channels(role: str, network: nn.Module, taps: tuple[str, ...]) -> tuple[int, ...]:
    declared: Mapping[str, int] | None = getattr(network, "taps", None)
    if declared is None or not callable(getattr(network, "features", None)):
        raise UserError(
            f"needs features of {role}, and {type(network).__name__} declares no taps: "
            f"use a generator with an attribute `taps` and a method `features`"
        )
    for tap in taps:
        if tap not in declared:
            raise UserError(
                f"{role} has no tap '{tap}'{did_you_mean(tap, list(declared))} "
                f"{type(network).__name__} has: {', '.join(declared)}"
            )
    return tuple(declared[tap] for tap in taps)


def generator(name: str, source: str, target: str, *, methods: tuple[str, ...] = ()) -> Role:
    """A generator from images of `source` to images of `target`."""
    return Role(name, "generator", GENERATORS, (source,), (target,), methods)


def discriminator(name: str, *domains: str, methods: tuple[str, ...] = ()) -> Role:
    """A discriminator on images of a domain, or of several concatenated along the channels."""
    return Role(name, "discriminator", DISCRIMINATORS, domains, (), methods)


def head(name: str, tapped: str, taps: tuple[str, ...], *, methods: tuple[str, ...] = ()) -> Role:
    """A head on features at the taps of the generator `tapped`, trained beside it."""
    return Role(name, "head", GENERATORS, methods=methods, tapped=tapped, taps=taps)


def sides(roles: Iterable[Role]) -> tuple[str, ...]:
    """The sides of these roles, in the order in which they first occur."""
    return tuple(dict.fromkeys(role.side for role in roles))
