"""The networks of a recipe on the meta device, for the shape check."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from translate_core.contracts.dataset import Dataset
from translate_core.contracts.role import Role
from translate_core.errors import UserError, explain
from translate_core.recipe.overrides import flatten
from translate_core.recipe.resolved import ResolvedNetwork, ResolvedRecipe
from translate_core.runtime.meta import meta_device
from translate_core.training.size_limits import limited


class MetaNetworks:
    """Builds the networks without memory for their weights, and checks them against the data.

    mismatch: in words, the last call of a network with other channels than it was built for; empty if there was none.
    """

    def __init__(self, recipe: ResolvedRecipe, dataset: Dataset, fault: Callable[[str, str], None]) -> None:
        """fault: called with the path and the message of each fault."""
        self.mismatch = ""
        self._recipe = recipe
        self._dataset = dataset
        self._fault = fault

    def build(self) -> dict[str, nn.Module]:
        """The networks that could be built, by role; a fault for each of the others."""
        modules: dict[str, nn.Module] = {}
        for name, network in self._recipe.networks.items():
            role = network.role
            if role.tapped and role.tapped not in modules:
                continue  # its fault is in the list already
            module = self._build_one(name, network, modules)
            if module is None:
                continue
            if network.freeze is True:
                module.requires_grad_(False)
            self._has_methods(name, network, module)
            self._takes_conditions(name, network, module)
            self._size_fits(network, module)
            modules[name] = module
        return modules

    def _build_one(self, name: str, network: ResolvedNetwork, modules: Mapping[str, nn.Module]) -> nn.Module | None:
        try:
            given = network.role.given(self._dataset.channels, modules)
        except UserError as error:
            self._fault(self._option_with_taps(network.role), str(error))
            return None
        try:
            with meta_device(), limited():
                module: nn.Module = network.block(**given)
        except Exception as error:  # a component's constructor may raise anything
            component = network.block.registration.name
            self._fault(network.path, f"{component} cannot be built as {name}: {explain(error)}")
            return None
        if network.role.inputs:
            self._record_mismatches(network.role, module, given["in_channels"])
        return module

    def _option_with_taps(self, role: Role) -> str:
        """The path of the method's option that names the taps of a head, if there is one."""
        options = flatten({"method": self._recipe.record["method"]})
        return next((key for key, value in options.items() if value == list(role.taps)), "method")

    def _has_methods(self, name: str, network: ResolvedNetwork, module: nn.Module) -> None:
        for method in network.role.methods:
            if not callable(getattr(module, method, None)):
                self._fault(
                    network.path,
                    f"{name} needs a {network.role.kind} with a method '{method}', "
                    f"which {network.block.registration.name} does not have",
                )

    def _takes_conditions(self, name: str, network: ResolvedNetwork, module: nn.Module) -> None:
        conditions = network.role.conditions
        takes = inspect.signature(module.forward)
        try:
            takes.bind(*[None] * (len(conditions) + bool(network.role.inputs)))
        except TypeError:
            if conditions:
                self._fault(
                    network.path,
                    f"{name} needs a {network.role.kind} that takes {' and '.join(conditions)}"
                    f"{' after the image' if network.role.inputs else ''}, "
                    f"and {network.block.registration.name} takes {', '.join(takes.parameters)}",
                )

    def _size_fits(self, network: ResolvedNetwork, module: nn.Module) -> None:
        if self._dataset.size is None:
            return
        height, width = self._dataset.size
        multiple, smallest = int(getattr(module, "multiple", 1)), int(getattr(module, "smallest", 1))
        if height % multiple or width % multiple:
            needs = f"sides that are multiples of {multiple}"
        elif min(height, width) < smallest:
            needs = f"sides of at least {smallest}"
        else:
            return
        component = network.block.registration.name
        self._fault(
            network.path,
            f"{component} needs images with {needs}, and they are {height}×{width}: "
            f"change their size under `data`, or the options of {component}",
        )

    def _record_mismatches(self, role: Role, module: nn.Module, expected: int) -> None:
        """Records calls with a wrong number of channels: if such a call fails, this is the reason."""

        def record(_: nn.Module, arguments: tuple[Any, ...]) -> None:
            image = arguments[0] if arguments else None
            if isinstance(image, Tensor) and image.dim() == 4 and image.shape[1] != expected:
                self.mismatch = (
                    f"{role.name} takes images of {' and '.join(role.inputs)} with {expected} "
                    f"channel{'s' if expected > 1 else ''}, and was given {image.shape[1]}"
                )

        module.register_forward_pre_hook(record)
