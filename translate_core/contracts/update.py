"""The updates of a method: which side is updated, when, and on which tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Update:
    """One update of a side.

    Updates with equal `instead` that are not `fresh` share their tensors. At most one of them may send gradients
    through shared tensors, and no network behind these tensors may be updated in between; the shape check reports both.

    side: the set of networks whose optimizer takes the step.
    name: its name in messages, logs and the `updates` block of a recipe; by default that of the side.
    networks: the networks of the side that it trains; all of them where empty. Those left out are frozen.
    every: it takes place in every `every`-th step, the first time in step `every`.
    fresh: whether it has tensors of its own, computed with its own draws, instead of sharing them.
    instead: tensor -> the tensor whose value it has in this update.
    """

    side: str
    name: str = ""
    networks: tuple[str, ...] = ()
    every: int = 1
    fresh: bool = False
    instead: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        assert self.every >= 1, "an update takes place at most once in a step"
        object.__setattr__(self, "name", self.name or self.side)
        object.__setattr__(self, "instead", dict(self.instead))

    @property
    def draws(self) -> str:
        """The key of its draws: its own for fresh tensors, a common one for shared tensors."""
        return self.name if self.fresh else ""

    @property
    def group(self) -> tuple[object, ...]:
        """Equal for two updates that share their tensors."""
        return (self.draws, *sorted(self.instead.items()))


def updates_of(order: tuple[str | Update, ...]) -> tuple[Update, ...]:
    """The updates of an order; a text is the update of a whole side."""
    return tuple(item if isinstance(item, Update) else Update(item) for item in order)
