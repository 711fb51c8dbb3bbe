"""The parameters of a component."""

from __future__ import annotations

from torch import nn

from translate_core.errors import UserError, written_in


def parameters_of(module: nn.Module) -> list[nn.Parameter]:
    """All parameters of a network or a loss. Raises UserError where a component returns anything else for them."""
    try:
        found: list[object] = list(module.parameters())
    except TypeError as error:
        raise UserError(f"`parameters` of {written_in(module)} must return parameters: {error}") from error
    for parameter in found:
        if not isinstance(parameter, nn.Parameter):
            raise UserError(
                f"`parameters` of {written_in(module)} must return parameters, not {type(parameter).__name__}"
            )
    return found  # type: ignore[return-value]  # each was looked at
