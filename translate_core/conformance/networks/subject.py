"""A network component, and the calls that it receives in a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate_core.components.blocks import Block
from translate_core.components.registry import KINDS
from translate_core.conformance.kit import SIDE, Kit, ambient, image, scalar_of
from translate_core.conformance.promise import Broken, NotTested
from translate_core.conformance.recording import Call, calls_by_losses, recorded_calls
from translate_core.conformance.search import accepts
from translate_core.conformance.setup import MethodSetup, fitted, set_up, smallest_side
from translate_core.conformance.stated import CHANNELS, on_data
from translate_core.contracts.network import PRECISIONS, Calls, Network
from translate_core.contracts.role import Role
from translate_core.training.size_constraint import SizeConstraint

ODD = (37, 51)
"""Height and width that are multiples of nothing."""


@dataclass(frozen=True)
class Fit:
    """A method with the network in roles that call more of it than `forward` on an image. block: None in a recipe."""

    block: Block | None
    setup: MethodSetup
    roles: tuple[Role, ...]


class NetworkSubject:
    """A network component, and the calls that it receives in a run."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.kit = kit
        self.block = block
        self.kind = block.registration.kind

    @cached_property
    def needs_method(self) -> bool:
        """Whether only a method decides how it is built or called: it takes more than an image, or none.

        In a recipe its method always does.
        """
        if self.kit.recipe is not None:
            return True
        usual = set(self.block.registration.supplied) == set(KINDS[self.kind].given)
        return self.kind in ("head", "network") or not usual or not accepts(self.block, 1)

    @cached_property
    def attempts(self) -> list[Fit]:
        """The registered methods that have a role for it which calls more of it than `forward` on an image.

        In a recipe only that of the recipe.
        """
        recipe = self.kit.recipe
        if recipe is not None:
            return [Fit(None, recipe, tuple(role for role in recipe.filled if recipe.roles[role.name] is self.block))]
        found = []
        for block in self.kit.blocks("method"):
            try:
                roles = [role for role in on_data(block).method.roles if self._is_for(role)]
                setup = set_up(self.kit, block, self.block) if roles else None
            except (NotTested, Broken, ValueError):
                continue
            roles = [role for role in roles if setup is not None and setup.roles[role.name] is self.block]
            if setup is not None and roles:
                found.append(Fit(block, setup, tuple(roles)))
        return found

    def _is_for(self, role: Role) -> bool:
        if role.kind != self.kind or set(role.supplied()) != set(self.block.registration.supplied):
            return False
        return bool(role.methods or role.tapped or role.conditions or role.extra or self.needs_method)

    @cached_property
    def fits(self) -> list[Fit]:
        """Those of `attempts` whose tensors can all be computed."""
        return [fit for fit in self.attempts if not fit.setup.fault]

    def is_at_fault(self, attempt: Fit) -> bool:
        """Whether it is the network that fails, of its plugin's own method, and not the method or another network."""
        if attempt.block is None or attempt.block.registration.owner != self.block.registration.owner:
            return False
        if attempt.setup.culprit:
            return attempt.setup.culprit in [role.name for role in attempt.roles]
        try:
            return not set_up(self.kit, attempt.block).fault
        except NotTested:
            return False

    @cached_property
    def usual(self) -> dict[str, Any]:
        """The arguments that the engine supplies: those of its role in the first method that it fits, if it needs one.

        Raises NotTested if there is no such method and the engine alone does not supply them.
        """
        if self.needs_method:
            for fit in [*self.fits, *self.attempts]:
                return fit.roles[0].given(fit.setup.stated.channels, fit.setup.build("meta").modules)
        given = KINDS[self.kind].given
        if set(self.block.registration.supplied) != set(given):
            raise NotTested(self.without_method())
        channels: dict[str, Any] = {"in_channels": CHANNELS, "out_channels": CHANNELS, "channels": (CHANNELS, 8)}
        return {name: channels[name] for name in given}

    def without_method(self) -> str:
        """Why no method calls it, and what to do."""
        failed = [f"{fit.setup.name}: {fit.setup.fault}" for fit in self.attempts]
        return "\n".join(
            [
                f"only a method decides how this {self.kind} is built and called, and it fits no registered one",
                *failed,
                "Register the method that it is for, or check it in a recipe that trains it: --recipe FILE",
            ]
        )

    def build(self, device: str = "cpu", seed: int = 0, **given: Any) -> nn.Module:
        """A new network, the same for the same seed. given: supplied arguments that differ from the usual ones.

        Weights that begin as 0, such as those of a last layer, are drawn, as an init does: else nothing would depend on
        the layers before them.
        """
        with ambient(seed), torch.device(device):
            module: nn.Module = self.block(**{**self.usual, **given})
            if device != "meta":
                _draw_zeros(module)
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
    def recorded(self) -> list[Call]:
        """The calls of networks that are built with the usual arguments, by the methods that it fits."""
        found: list[Call] = []
        for fit in self.fits:
            modules = fit.setup.build("meta").modules
            channels = fit.setup.stated.channels
            names = {role.name for role in fit.roles if role.given(channels, modules) == self.usual}
            calls = [call for call in recorded_calls(fit.setup) if call.role in names]
            if self.kit.recipe is not None or not calls:
                calls += [call for call in calls_by_losses(fit.setup, self.kit) if call.role in names]
            found += calls
        return found

    @cached_property
    def calls(self) -> list[Call]:
        """The calls in a run, one of each of its methods: of `forward`, and what else the methods that it fits call.

        Raises NotTested if none calls it.
        """
        calls: dict[str, Call] = {}
        on_images = self.kind in ("generator", "discriminator") and self.kit.recipe is None
        if on_images and (not self.needs_method or self.conditions is not None):
            calls[""] = Call("", "", self.on(self.image), {})
        for call in self.recorded:
            calls.setdefault(call.entry, call)
        if not calls:
            raise NotTested(self.without_method())
        return list(calls.values())

    @cached_property
    def conditions(self) -> tuple[Any, ...] | None:
        """What `forward` receives after the image; None if no method calls it and it needs more than an image."""
        for call in self.recorded:
            if not call.entry and not call.keywords and (self.needs_method or len(call.arguments) > 1):
                return call.arguments[1:]
        return None if self.needs_method else ()

    def on(self, images: Tensor) -> tuple[Any, ...]:
        """The arguments of `forward` for these images: with the conditions of a recorded call.

        Raises NotTested if no method calls `forward`.
        """
        if self.conditions is None:
            raise NotTested("its `forward` takes more than an image, and no registered method calls it")
        return (images, *(_for_images(condition, images) for condition in self.conditions))

    @cached_property
    def image(self) -> Tensor:
        """Images of a size that it accepts: two, or one if they are large."""
        channels = self.usual["in_channels"]
        if self.kind == "discriminator":

            def fits(side: int) -> None:
                with torch.no_grad():
                    self.meta(*self.on(torch.empty(2, channels, side, side, device="meta")))

            side = smallest_side(fits, self.fit) or fitted(SIDE, self.fit)
            return image(channels, side, side + self.fit.multiple)
        padded = self.fit.pad(image(channels, *ODD))
        return padded if padded[0].numel() <= channels * 128**2 else padded[:1]

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
        handle = Network(Role("checked", self.kind, "checked"), module, Calls(), PRECISIONS[precision])
        with ambient(draw, elsewhere=elsewhere):
            return [call.changed(change).on(handle) for call in self.calls]

    def entry(self, place: int) -> str:
        """The name of a call, for messages."""
        return f"{self.calls[place].entry or 'forward'}()"


def _for_images(condition: Any, images: Tensor) -> Any:
    """A condition for other images than those that it was recorded with: as many, of their size, on their device."""
    if not isinstance(condition, Tensor):
        return condition
    if condition.dim():
        condition = condition[torch.arange(len(images)) % len(condition)]
    if condition.dim() == 4:
        size = images.shape[-2:]
        resized = F.interpolate(condition.to(torch.float64), size, mode="nearest")
        condition = resized.to(condition.dtype)
    return condition.to(images.device)


@torch.no_grad()
def _draw_zeros(module: nn.Module) -> None:
    """Draws the weights, and the single factors, that are 0; biases stay."""
    for parameter in module.parameters():
        if (parameter.dim() > 1 or parameter.numel() == 1) and not parameter.any():
            parameter.normal_(0.0, 0.1)
