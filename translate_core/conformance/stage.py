"""A method with networks in its roles: where networks, losses and methods are tried together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from translate_core.components.blocks import Block
from translate_core.conformance.kit import SIDE, Kit, ambient, image
from translate_core.conformance.promise import NotTried
from translate_core.contracts.method import Method
from translate_core.contracts.network import PRECISIONS, Calls, Network
from translate_core.contracts.role import DISCRIMINATORS, Role
from translate_core.runtime.randomness import Draws
from translate_core.training.size_constraint import SizeConstraint

CHANNELS = 3
_SIDES = (SIDE, 96, 128, 256, 512)

Build = Callable[..., nn.Module]
"""What makes a network of the arguments that its role gives."""


class _Painter(nn.Module):
    """Stands in for a generator of which only images are asked."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, out_channels, 1), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class _Judge(nn.Module):
    """Stands in for a discriminator."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 4, 4, stride=2, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


_STAND_INS: Mapping[str, Build] = {"generator": _Painter, "discriminator": _Judge}


@dataclass(frozen=True)
class Casting:
    """A method and who plays which role.

    roles: role name -> what builds its network. side: of images that suit all of them.
    """

    name: str
    method: Method
    roles: Mapping[str, Build]
    side: int

    def stage(self, device: str, seed: int = 0, precision: str = "fp32") -> Stage:
        """The networks built there, the same for the same seed."""
        modules: dict[str, nn.Module] = {}
        for role in self.method.roles:
            with ambient(seed), torch.device(device):
                modules[role.name] = self.roles[role.name](**role.given(channels_of(self.method), modules))
            modules[role.name].to(PRECISIONS[precision].dtype)
        return Stage(self, modules, device, precision)


class Stage:
    """Networks that are there, and batches of the method on them."""

    def __init__(self, casting: Casting, modules: Mapping[str, nn.Module], device: str, precision: str) -> None:
        self.casting = casting
        self.modules = modules
        self.device = device
        self.calls = Calls()
        self.precision = PRECISIONS[precision]
        self.handles = {
            role.name: Network(role, modules[role.name], self.calls, self.precision) for role in casting.method.roles
        }

    def given(self, seed: int = 0, *, truths: bool = False) -> dict[str, Tensor]:
        """What the data supplies: images of two examples. truths: with their true counterparts, as test images may."""
        side = self.casting.side
        counterparts = [f"target_{domain}" for domain in channels_of(self.casting.method)] if truths else []
        images = {
            name: image(CHANNELS, side, side, seed=seed + place).to(self.precision.dtype)
            for place, name in enumerate([*self.casting.method.given, *counterparts])
        }
        return {name: tensor.to(self.device) for name, tensor in images.items()}

    def batch(
        self, *, seed: int = 0, grad: bool = True, truths: bool = False, given: Mapping[str, Tensor] | None = None
    ) -> Method:
        """A batch in flight. seed: of its images and of its draws. given: instead of what the data supplies."""
        images = self.given(seed, truths=truths) if given is None else given
        return self.casting.method.tensors(images, self.handles, self.calls, Draws(seed, 0, 0, 0), grad=grad)


def channels_of(method: Method) -> dict[str, int]:
    """Three for each domain of a method."""
    return {domain: CHANNELS for role in method.roles for domain in (*role.inputs, *role.outputs)}


def smallest_side(network: nn.Module, channels: int) -> int:
    """The smallest side of ours that a network on the meta device can compute; the greatest where it refuses them all.

    What it declares counts first. A discriminator is only ever given images of the size that is trained on, so it need
    not declare any.
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


def cast(kit: Kit, block: Block, subject: tuple[Block, Build] | None = None) -> Casting:
    """A method with networks for all its roles: the subject wherever it fits, else stand-ins, else registered ones.

    subject: a network component that is to be tried.
    Raises NotTried when a role asks for what no registered component has.
    """
    method: Method = block()
    name = block.registration.name
    roles: dict[str, Build] = {}
    modules: dict[str, nn.Module] = {}
    for role in method.roles:
        taps = tuple(tap for other in method.roles if other.tapped == role.name for tap in other.taps)
        found = _who_plays(kit, role, taps, modules, channels_of(method), subject)
        if found is None:
            wanted = [*(f"a method '{item}'" for item in role.methods), *(f"a tap '{tap}'" for tap in taps)]
            what = f"a {role.kind}{' with ' if wanted else ''}{', '.join(wanted)}"
            raise NotTried(f"method {name} needs {what}, and none that is registered is one")
        roles[role.name], modules[role.name] = found
    fit = SizeConstraint.of(modules.values())
    sides = [
        smallest_side(modules[role.name], CHANNELS * len(role.inputs))
        for role in method.roles
        if role.side == DISCRIMINATORS
    ]
    side = -(-max([SIDE, fit.smallest, *sides]) // fit.multiple) * fit.multiple
    return Casting(name, method, roles, side)


def _who_plays(
    kit: Kit,
    role: Role,
    taps: tuple[str, ...],
    modules: Mapping[str, nn.Module],
    channels: Mapping[str, int],
    subject: tuple[Block, Build] | None,
) -> tuple[Build, nn.Module] | None:
    candidates: list[Build] = []
    if subject is not None and subject[0].registration.kind == role.kind:
        candidates.append(subject[1])
    plain = not role.methods and not taps
    if plain and role.kind in _STAND_INS:
        candidates.append(_STAND_INS[role.kind])
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
    """The network on the meta device, if it can be built and has what the role asks for."""
    try:
        with torch.device("meta"):
            module = build(**role.given(channels, modules))
    except Exception:  # whatever a component's constructor raises; its own trials tell
        return None
    declared = getattr(module, "taps", {})
    fits = all(callable(getattr(module, name, None)) for name in role.methods) and all(tap in declared for tap in taps)
    return module if fits else None
