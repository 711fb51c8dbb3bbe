"""A loss, and the registered methods that it fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, ambient, size
from translate_core.conformance.promise import Broken, NotTested
from translate_core.conformance.setup import BuiltMethod, MethodSetup, largest, set_up
from translate_core.contracts.loss import Loss
from translate_core.contracts.method import Method
from translate_core.contracts.role import sides
from translate_core.errors import UserError
from translate_core.runtime.meta import meta_device
from translate_core.training.failure import why_it_failed


@dataclass(frozen=True)
class Fit:
    """A method that the loss fits. sides: the sides for which the loss is defined there."""

    setup: MethodSetup
    sides: tuple[str, ...]


class LossSubject:
    """A loss, and the registered methods that it fits."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.kit = kit
        self.block = block

    def build(self, setup: MethodSetup, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Loss:
        """A new loss, prepared for that method as in a run."""
        with ambient(0), torch.device(device):
            loss: Loss = self.block()
            loss.prepare(setup.method)
        return loss.to(device, dtype)

    @cached_property
    def setups(self) -> list[MethodSetup]:
        """Every registered method that can be set up, small networks first; or that of the recipe."""
        if self.kit.recipe is not None:
            return [self.kit.recipe]
        setups = []
        for block in self.kit.blocks("method"):
            try:
                setup = set_up(self.kit, block)
            except (Broken, NotTested, ValueError):
                continue  # the check of the method reports it
            if not setup.fault:
                setups.append(setup)
        return sorted(setups, key=_parameter_count)

    @cached_property
    def fits(self) -> list[Fit]:
        """The methods that it fits, by the shape check.

        Raises NotTested if there is none, Broken for equations that fail otherwise than by a UserError.
        """
        found, refused = [], []
        for setup in self.setups:
            try:
                defined = self._defined_sides(setup)
            except UserError as error:
                refused.append(f"{setup.name}: {error}")
                continue
            except (Broken, NotTested):
                raise
            except Exception as error:  # whatever a component raises
                raise Broken(f"with method {setup.name} it {why_it_failed(error)}") from None
            if defined:
                found.append(Fit(setup, defined))
            else:
                refused.append(f"{setup.name}: it returns no losses")
        if not found:
            raise NotTested("it fits no registered method with these options:\n" + "\n".join(refused))
        return found

    def _defined_sides(self, setup: MethodSetup) -> tuple[str, ...]:
        """The sides for which it returns losses, computed on the meta device.

        Raises UserError if it is defined for a side that the method lacks.
        """
        existing = sides(setup.method.roles)
        loss = self.build(setup, "meta")
        lacking = [side for side in type(loss).functions if side not in existing]
        if lacking:
            raise UserError(f"it is defined for the side {' and '.join(lacking)}, which the method lacks")
        found = []
        for side in existing:
            batch = setup.build("meta").batch(integers=largest)
            with meta_device():
                if compute(loss, side, batch, None):
                    found.append(side)
        return tuple(found)

    @property
    def first(self) -> Fit:
        """The fitting method with the smallest networks."""
        return self.fits[0]

    def values(self, *, draw: int = 0, precision: str = "fp32") -> dict[str, Tensor]:
        """All losses that a new one returns for one batch, in evaluation mode. draw: seed of the ambient generators."""
        built = self.first.setup.build("cpu", precision=precision)
        loss = self.build(self.first.setup, dtype=built.precision.dtype).eval()
        return self.losses(loss, built, draw=draw)

    def losses(self, loss: Loss, built: BuiltMethod, *, seed: int = 0, draw: int = 0) -> dict[str, Tensor]:
        """The losses for all sides, by side and name."""
        found = {}
        for side in self.first.sides:
            batch = built.batch(seed=seed)
            with ambient(draw):
                found.update({f"{side}: {name}": value for name, value in compute(loss, side, batch, built).items()})
        return found


def compute(loss: Loss, side: str, batch: Method, built: BuiltMethod | None) -> Mapping[str, Tensor]:
    """The losses for one side, as the trainer computes them. Raises Broken if they are not named scalars."""
    calls = batch._calls if built is None else built.calls
    trained = frozenset(name for name, network in batch._networks.items() if network.role.side == side)
    batch.begin_update()
    with calls.by_loss(trained):
        parts = loss.parts(side, batch)
    where = type(loss).functions[side].name if side in type(loss).functions else "it"
    if not isinstance(parts, Mapping):
        raise Broken(f"{where} returns {type(parts).__name__}, not named scalars such as {{'rec_A': tensor(0.5)}}")
    for name, value in parts.items():
        if not isinstance(value, Tensor) or value.dim() != 0:
            found = f"a tensor of {size(value)}" if isinstance(value, Tensor) else type(value).__name__
            raise Broken(f"{where} returns {found} as '{name}', not a scalar: average or sum it")
    return parts


def _parameter_count(setup: MethodSetup) -> int:
    modules = setup.build("meta").modules.values()
    return sum(parameter.numel() for module in modules for parameter in module.parameters())
