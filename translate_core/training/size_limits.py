"""Limits on networks, so that a mistyped option ends in a message and not in hours of building."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from translate_core.errors import UserError

MOST_MODULES = 20_000
"""Modules of one network. The largest published network of this field has some thousands."""

MOST_TENSORS = 20_000
"""Tensors of parameters of one network."""

MOST_PARAMETERS = 10**11
"""Parameters of one network: 400 GB in float32, more than any device holds."""


@contextmanager
def limited() -> Iterator[None]:
    """Building a network inside raises UserError as soon as it has more modules or parameters than the limits."""
    modules = tensors = parameters = 0

    def count_module(parent: nn.Module, name: str, child: nn.Module | None) -> None:
        nonlocal modules
        modules += 1
        if modules > MOST_MODULES:
            raise UserError(f"it has more than {MOST_MODULES:,} modules: lower its options")

    def count_parameters(parent: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal tensors, parameters
        if parameter is None:
            return
        tensors += 1
        if tensors > MOST_TENSORS:  # modules in a list count only when the list is registered
            raise UserError(f"it has more than {MOST_TENSORS:,} tensors of parameters: lower its options")
        parameters += parameter.numel()
        if parameters > MOST_PARAMETERS:
            raise UserError(f"it has more than {MOST_PARAMETERS:,} parameters: lower its options")

    hooks = [
        register_module_module_registration_hook(count_module),
        register_module_parameter_registration_hook(count_parameters),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
