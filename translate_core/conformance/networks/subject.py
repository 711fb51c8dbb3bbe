"""A network component, and the calls that it receives in a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from translate_core.components.blocks import Block
from translate_core.components.registry import KINDS
from translate_core.conformance.kit import Kit, ambient, image, scalar_of
from translate_core.conformance.networks.calls import Call, mapped, recorded_calls
from translate_core.conformance.promise import NotTested
from translate_core.conformance.setup import CHANNELS, MethodSetup, channels_of, set_up, smallest_side
from translate_core.contracts.network import PRECISIONS, Calls, Network
from translate_core.contracts.role import DISCRIMINATORS, GENERATORS, Role
from translate_core.training.size_constraint import SizeConstraint

ODD = (37, 51)
"""Height and width that are multiples of nothing."""


class NetworkSubject:
    """A generator, discriminator or head, and the calls that it receives in a run."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.kit = kit
        self.block = block
        self.kind = block.registration.kind

    @cached_property
    def usual(self) -> dict[str, Any]:
        """The arguments that the engine supplies by default: for a head, those in the first method that has a head."""
        if self.kind == "head" and self.setups:
            setup = self.setups[0]
            role = next(role for role in setup.method.roles if setup.roles[role.name] is self.block)
            return role.given(channels_of(setup.method), setup.build("meta").modules)
        channels: dict[str, Any] = {"in_channels": CHANNELS, "out_channels": CHANNELS, "channels": (CHANNELS, 8)}
        return {name: channels[name] for name in KINDS[self.kind].given}

    def build(self, device: str = "cpu", seed: int = 0, **given: Any) -> nn.Module:
        """A new network, the same for the same seed. given: supplied arguments that differ from the usual ones."""
        with ambient(seed), torch.device(device):
            module: nn.Module = self.block(**{**self.usual, **given})
        return module

    @cached_property
    def meta(self) -> nn.Module:
        """A network on the meta device."""
        return self.build("meta")

    @cached_property
    def fit(self) -> SizeConstraint:
        """The size constraint that it declares."""
        return SizeConstraint.of([self.meta])

    @cached_property
    def setups(self) -> list[MethodSetup]:
        """The registered methods that call other methods of the network than forward, or read its taps."""
        found = []
        for block in self.kit.blocks("method"):
            roles = block.registration.component.roles  # type: ignore[attr-defined]
            mine = [role for role in roles if role.kind == self.kind and (role.methods or role.tapped)]
            if not mine:
                continue
            try:
                setup = set_up(self.kit, block, (self.block, self.block))
            except (NotTested, ValueError):
                continue
            if any(setup.roles[role.name] is self.block for role in mine):
                found.append(setup)
        return found

    @cached_property
    def calls(self) -> list[Call]:
        """The calls in a run: forward on an image, and the further calls of the methods in `setups`.

        Raises NotTested for a head that no registered method calls.
        """
        calls: dict[str, Call] = {}
        if self.kind != "head":
            calls[""] = ("", (self.image,))
        for setup in self.setups[:1] if self.kind == "head" else self.setups:
            for entry, arguments in recorded_calls(setup, self.block):
                calls.setdefault(entry, (entry, arguments))
        if not calls:
            raise NotTested(f"no registered method calls this {self.kind}: register one and check both together")
        return list(calls.values())

    @cached_property
    def image(self) -> Tensor:
        """Images of a size that it accepts: two, or one if they are large."""
        if self.kind == "discriminator":
            side = smallest_side(self.meta, CHANNELS)
            return image(CHANNELS, side, side + self.fit.multiple)
        padded = self.fit.pad(image(CHANNELS, *ODD))
        return padded if padded[0].numel() <= CHANNELS * 128**2 else padded[:1]

    @cached_property
    def trained(self) -> tuple[nn.Module, list[Any]]:
        """A network after a forward and a backward pass in float32, and its outputs."""
        module = self.build()
        outputs = self.run(module)
        scalar_of(outputs).backward()  # type: ignore[no-untyped-call]
        return module, outputs

    def run(
        self,
        module: nn.Module,
        precision: str = "fp32",
        *,
        change: Callable[[Tensor], Tensor] = torch.clone,
        draw: int = 1,
        elsewhere: int | None = None,
    ) -> list[Any]:
        """The outputs of all calls, through the network handle of a run.

        change: applied to every input tensor. draw, elsewhere: seeds of the ambient generators.
        """
        side = DISCRIMINATORS if self.kind == "discriminator" else GENERATORS
        handle = Network(Role("tried", self.kind, side), module, Calls(), PRECISIONS[precision])
        outputs = []
        with ambient(draw, elsewhere=elsewhere):
            for entry, arguments in self.calls:
                given = mapped(arguments, change)
                outputs.append(getattr(handle, entry)(*given) if entry else handle(*given))
        return outputs

    def entry(self, place: int) -> str:
        """The name of a call, for messages."""
        return f"{self.calls[place][0] or 'forward'}()"
