"""The equations of a method: each computes one named tensor, or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from translate_core.errors import UserError


class UnknownTensorError(UserError):
    """A tensor that the method does not have."""


class MissingTensorError(UserError):
    """A tensor that this batch was not given, and that no equation computes."""


class tensor:  # noqa: N801 - a decorator
    """Marks a method of a `Method` as the equation of the tensor of its name: computed when asked for, then kept.

    What it returns is a tensor, or a list of them (features, scales).
    """

    def __init__(self, equation: Callable[[Any], Any]) -> None:
        self.equation = equation
        self.name = equation.__name__
        self.names: tuple[str, ...] = (self.name,)
        self.__doc__ = equation.__doc__

    def __get__(self, batch: Any, owner: type) -> Any:
        return self if batch is None else batch[self.name]

    def values(self, batch: Any) -> Mapping[str, Any]:
        """What the equation yields, by name."""
        return {self.name: self.equation(batch)}


def tensors(*names: str) -> Callable[[Callable[[Any], Any]], Any]:
    """Marks a method of a `Method` as one equation that yields several tensors, in the order of `names`.

    One call of a network gives them all; its own name is none of theirs:

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
            raise UserError(f"{self.name} must yield {', '.join(self.names)}, and yields {len(values)} values")
        return dict(zip(self.names, values, strict=True))
