"""The equations of a method: each computes one named tensor, or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, overload

from torch import Tensor

from translate_core.errors import UserError, written_in


class UnknownTensorError(UserError):
    """A tensor that the method does not have."""


class MissingTensorError(UserError):
    """A tensor that was not given and that no equation computes."""


class Equation:
    """A function that computes named tensors of a method. It runs on first use; the values are kept.

    names: of its tensors. shared: whether all updates of a step share its values, also those with fresh tensors.
    """

    def __init__(self, function: Callable[[Any], Any], names: tuple[str, ...], *, shared: bool) -> None:
        self.function = function
        self.names = names
        self.shared = shared
        self.__doc__ = function.__doc__

    def __get__(self, batch: Any, owner: type) -> Any:
        return self if batch is None else batch[self.names[0]]

    def values(self, batch: Any) -> Mapping[str, Any]:
        """The computed tensors by name."""
        return {self.names[0]: _checked(self.function(batch), self.names[0], batch)}


def _checked(value: Any, name: str, batch: object) -> Any:
    if isinstance(value, Tensor) or (
        isinstance(value, list | tuple) and all(isinstance(item, Tensor | list | tuple) for item in value)
    ):
        return value
    raise UserError(
        f"the equation of tensor '{name}' of {written_in(batch)} must return a tensor or a list of tensors, not "
        f"{type(value).__name__}"
    )


class _Several(Equation):
    def __get__(self, batch: Any, owner: type) -> Any:
        return self if batch is None else tuple(batch[name] for name in self.names)

    def values(self, batch: Any) -> Mapping[str, Any]:
        values = tuple(self.function(batch))
        if len(values) != len(self.names):
            name = getattr(self.function, "__name__", "an equation")
            raise UserError(f"{name} must return {', '.join(self.names)}, and returns {len(values)} values")
        return dict(zip(self.names, values, strict=True))


@overload
def tensor(function: Callable[[Any], Any], /) -> Any: ...


@overload
def tensor(*, shared: bool) -> Callable[[Callable[[Any], Any]], Any]: ...


def tensor(function: Callable[[Any], Any] | None = None, /, *, shared: bool = False) -> Any:
    """Decorator: the function computes the tensor of its name. It runs on first use; the value is kept.

    It returns a tensor, or a list of tensors (features, scales).

    shared: it is computed once in a step for all updates, also for those with fresh tensors: a draw that they have in
    common. It calls no network, and is computed without gradients.
    """

    def made(function: Callable[[Any], Any]) -> Equation:
        return Equation(function, (function.__name__,), shared=shared)

    return made if function is None else made(function)


def tensors(*names: str, shared: bool = False) -> Callable[[Callable[[Any], Any]], Any]:
    """Decorator: the function computes several tensors at once and returns them in the order of `names`.

    The name of the function is free:

        @tensors("content_A", "style_real_A")
        def encoded_A(self): return self.AE_A.encode(self.real_A)

    shared: as for `tensor`.
    """
    return lambda function: _Several(function, names, shared=shared)
