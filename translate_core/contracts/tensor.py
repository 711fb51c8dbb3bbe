"""The equations of a method: each computes one named tensor, or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from translate_core.errors import UserError


class UnknownTensorError(UserError):
    """A tensor that the method does not have."""


class MissingTensorError(UserError):
    """A tensor that was not given and that no equation computes."""


class tensor:  # noqa: N801 - a decorator
    """Decorator: the function computes the tensor of its name. It runs on first use; the value is kept.

    It returns a tensor, or a list of tensors (features, scales).
    """

    def __init__(self, equation: Callable[[Any], Any]) -> None:
        self.equation = equation
        self.name = equation.__name__
        self.names: tuple[str, ...] = (self.name,)
        self.__doc__ = equation.__doc__

    def __get__(self, batch: Any, owner: type) -> Any:
        return self if batch is None else batch[self.name]

    def values(self, batch: Any) -> Mapping[str, Any]:
        """The computed tensors by name."""
        return {self.name: self.equation(batch)}


def tensors(*names: str) -> Callable[[Callable[[Any], Any]], Any]:
    """Decorator: the function computes several tensors at once and returns them in the order of `names`.

    The name of the function is free:

        @tensors("content_A", "style_real_A")
        def encoded_A(self): return self.AE_A.encode(self.real_A)
    """
    return lambda equation: _Several(equation, names)


class _Several(tensor):
    def __init__(self, equation: Callable[[Any], Any], names: tuple[str, ...]) -> None:
        super().__init__(equation)
        self.names = names

    def __get__(self, batch: Any, owner: type) -> Any:
        return self if batch is None else tuple(batch[name] for name in self.names)

    def values(self, batch: Any) -> Mapping[str, Any]:
        values = tuple(self.equation(batch))
        if len(values) != len(self.names):
            raise UserError(f"{self.name} must return {', '.join(self.names)}, and returns {len(values)} values")
        return dict(zip(self.names, values, strict=True))
