"""A method with a network for each role, on which networks, losses and methods are checked together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from translate_core.components.blocks import Block
from translate_core.conformance.kit import SIDE, Kit, ambient, image
from translate_core.conformance.promise import NotTested
from translate_core.contracts.given import given_of
from translate_core.contracts.method import Method
from translate_core.contracts.network import PRECISIONS, Calls, Network
from translate_core.contracts.role import DISCRIMINATORS, Role
from translate_core.runtime.randomness import Draws
from translate_core.training.size_constraint import SizeConstraint

CHANNELS = 3
"""Channels of every domain in the checks."""

_SIDES = (SIDE, 96, 128, 256, 512)

Build = Callable[..., nn.Module]
"""Builds a network from the arguments that its role supplies."""


class _PlainGenerator(nn.Module):
    """A small generator for roles that need images only."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, out_channels, 1), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class _PlainDiscriminator(nn.Module):
    """A small discriminator for roles that need scores only."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 4, 4, stride=2, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


_PLAIN: Mapping[str, Build] = {"generator": _PlainGenerator, "discriminator": _PlainDiscriminator}


@dataclass(frozen=True)
class MethodSetup:
    """A method and what builds its networks.

    roles: role name -> what builds its network. side: height and width of images that fit every network.
    """

    name: str
    method: Method
    roles: Mapping[str, Build]
    side: int

    def build(self, device: str, seed: int = 0, precision: str = "fp32") -> BuiltMethod:
        """The networks on that device, the same for the same seed."""
        modules: dict[str, nn.Module] = {}
        for role in self.method.roles:
            with ambient(seed), torch.device(device):
                modules[role.name] = self.roles[role.name](**role.given(channels_of(self.method), modules))
            modules[role.name].to(PRECISIONS[precision].dtype)
        return BuiltMethod(self, modules, device, precision)


class BuiltMethod:
    """The networks of a method, and batches on them."""

    def __init__(self, setup: MethodSetup, modules: Mapping[str, nn.Module], device: str, precision: str) -> None:
        self.setup = setup
        self.modules = modules
        self.device = device
        self.calls = Calls()
        self.precision = PRECISIONS[precision]
        self.handles = {
            role.name: Network(role, modules[role.name], self.calls, self.precision) for role in setup.method.roles
        }

    def given(self, seed: int = 0, *, targets: bool = False) -> dict[str, Tensor]:
        """The images of two examples. targets: with `target_<domain>`, as test images may have."""
        side = self.setup.side
        more = [f"target_{domain}" for domain in channels_of(self.setup.method)] if targets else []
        images = {
            name: image(CHANNELS, side, side, seed=seed + place).to(self.precision.dtype)
            for place, name in enumerate([*(item.name for item in given_of(self.setup.method.given)), *more])
        }
        return {name: tensor.to(self.device) for name, tensor in images.items()}

    def batch(
        self, *, seed: int = 0, grad: bool = True, targets: bool = False, given: Mapping[str, Tensor] | None = None
    ) -> Method:
        """The method bound to a batch. seed: of its images and draws. given: images instead of those of `given`."""
        images = self.given(seed, targets=targets) if given is None else given
        return self.setup.method.tensors(images, self.handles, self.calls, Draws(seed, 0, 0, 0), grad=grad)


def channels_of(method: Method) -> dict[str, int]:
    """Domain -> channels, the same for each domain of the method."""
    return {domain: CHANNELS for role in method.roles for domain in (*role.inputs, *role.outputs)}


def smallest_side(network: nn.Module, channels: int) -> int:
    """The smallest of a few side lengths that a network on the meta device accepts; the largest if it accepts none.

    The size constraint that it declares comes first. A discriminator only sees images of the training size, so it need
    not declare one.
    """
    fit = SizeConstraint.of([network])
    for side in _SIDES:
        fitting = -(-max(side, fit.smallest) // fit.multiple) * fit.multiple
        try:
            with torch.no_grad():
                network(torch.empty(2, channels, fitting, fitting, device="meta"))
        except Exception:  # whatever a network raises for images that are too small
            continue
        return fitting
    return _SIDES[-1]


def set_up(kit: Kit, block: Block, subject: tuple[Block, Build] | None = None) -> MethodSetup:
    """A method with networks for all its roles: the subject where it fits, else plain ones, else registered ones.

    subject: the network component that is checked.
    Raises NotTested if a role needs what no registered component has.
    """
    method: Method = block()
    name = block.registration.name
    roles: dict[str, Build] = {}
    modules: dict[str, nn.Module] = {}
    for role in method.roles:
        taps = tuple(tap for other in method.roles if other.tapped == role.name for tap in other.taps)
        found = _builder_for(kit, role, taps, modules, channels_of(method), subject)
        if found is None:
            wanted = [*(f"a method '{item}'" for item in role.methods), *(f"a tap '{tap}'" for tap in taps)]
            what = f"a {role.kind}{' with ' if wanted else ''}{', '.join(wanted)}"
            raise NotTested(f"method {name} needs {what}, and no such component is registered")
        roles[role.name], modules[role.name] = found
    fit = SizeConstraint.of(modules.values())
    sides = [
        smallest_side(modules[role.name], CHANNELS * len(role.inputs))
        for role in method.roles
        if role.side == DISCRIMINATORS
    ]
    side = -(-max([SIDE, fit.smallest, *sides]) // fit.multiple) * fit.multiple
    return MethodSetup(name, method, roles, side)


def _builder_for(
    kit: Kit,
    role: Role,
    taps: tuple[str, ...],
    modules: Mapping[str, nn.Module],
    channels: Mapping[str, int],
    subject: tuple[Block, Build] | None,
) -> tuple[Build, nn.Module] | None:
    """The factory for a role's network, and that network on the meta device; None if no component fits."""
    candidates: list[Build] = []
    if subject is not None and subject[0].registration.kind == role.kind:
        candidates.append(subject[1])
    plain = not role.methods and not taps
    if plain and role.kind in _PLAIN:
        candidates.append(_PLAIN[role.kind])
    for build in candidates:
        module = _fitting(build, role, taps, modules, channels)
        if module is not None:
            return build, module
    registered = [(block, _fitting(block, role, taps, modules, channels)) for block in kit.blocks(role.kind)]
    fitting = [(block, module) for block, module in registered if module is not None]
    return min(fitting, key=lambda item: sum(p.numel() for p in item[1].parameters()), default=None)


def _fitting(
    build: Build, role: Role, taps: tuple[str, ...], modules: Mapping[str, nn.Module], channels: Mapping[str, int]
) -> nn.Module | None:
    """The network on the meta device, if it can be built and has the methods and taps that the role needs."""
    try:
        with torch.device("meta"):
            module = build(**role.given(channels, modules))
    except Exception:  # whatever a component's constructor raises; the component's own check reports it
        return None
    declared = getattr(module, "taps", {})
    fits = all(callable(getattr(module, name, None)) for name in role.methods) and all(tap in declared for tap in taps)
    return module if fits else None
