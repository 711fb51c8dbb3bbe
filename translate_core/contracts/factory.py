"""Nested components in a constructor's signature."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Factory(Protocol[T_co]):
    """A nested component in a signature: `pool: Factory[Pool] = NoPool`.

    In a recipe it is a block with a `type`. The constructor gets a callable that builds a new component at each call.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> T_co:
        """Builds a new component. The arguments are those that the engine passes to components of that kind."""
        ...
