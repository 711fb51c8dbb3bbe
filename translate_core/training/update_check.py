"""What the shape check finds of the updates: which losses they have, what these use, and where their gradients go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from translate_core.contracts.parameters import parameters_of
from translate_core.contracts.update import Update
from translate_core.errors import Fault
from translate_core.training.graph import Reach
from translate_core.training.phase import WeightedLoss


@dataclass(frozen=True)
class CheckedUpdate:
    """What the shape check found of one update.

    needed: by loss, the tensors that it uses. trained: by loss, the networks that it trains, and the losses with
    parameters (`of_loss`). through: whether its gradients pass through tensors of the method.
    """

    needed: Mapping[str, frozenset[str]]
    trained: Mapping[str, frozenset[str]]
    through: bool


def of_loss(name: str) -> str:
    """The name under which what an update trains lists a loss with parameters."""
    return f"losses/{name}"


def has_parameters(loss: WeightedLoss) -> bool:
    """Whether a loss has parameters to train."""
    return any(parameter.requires_grad for parameter in parameters_of(loss.loss))


@dataclass(frozen=True)
class EvaluatedLoss:
    """A loss in an update: the names of its parts, the tensors that it used, and where its gradients go."""

    parts: frozenset[str]
    used: frozenset[str]
    reach: Reach

    def __or__(self, other: EvaluatedLoss) -> EvaluatedLoss:
        """What either of two evaluations used and reached."""
        one, two = self.reach, other.reach
        reach = Reach(one.networks | two.networks, one.through | two.through, one.behind | two.behind)
        return EvaluatedLoss(self.parts | other.parts, self.used | other.used, reach)


Losses = Mapping[str, EvaluatedLoss]
"""The losses of an update, by name."""


def merged(first: Mapping[str, Losses], second: Mapping[str, Losses]) -> dict[str, dict[str, EvaluatedLoss]]:
    """The losses by update of two evaluations."""
    both: dict[str, dict[str, EvaluatedLoss]] = {}
    for found in (first, second):
        for update, losses in found.items():
            for name, loss in losses.items():
                known = both.setdefault(update, {})
                known[name] = known[name] | loss if name in known else loss
    return both


def checked(losses: Losses) -> CheckedUpdate:
    """What a run needs of them."""
    return CheckedUpdate(
        needed={name: loss.used for name, loss in losses.items()},
        trained={name: loss.reach.networks for name, loss in losses.items()},
        through=_sends(losses),
    )


def sharing_faults(order: Sequence[Update], updates: Mapping[str, Losses]) -> Iterator[Fault]:
    """Faults of updates whose gradients pass through shared tensors after these cannot carry them any more.

    order: the updates that have a loss. updates: their losses.
    """
    first: dict[tuple[object, ...], int] = {}
    for place, update in enumerate(order):
        beginning = first.setdefault(update.group, place)
        reaches = [loss.reach for loss in updates[update.name].values()]
        behind = frozenset().union(*(reach.behind for reach in reaches))
        through = ", ".join(sorted(frozenset().union(*(reach.through for reach in reaches))))
        for earlier in order[beginning:place] if _sends(updates[update.name]) else ():
            trained = frozenset().union(*(loss.reach.networks for loss in updates[earlier.name].values()))
            if earlier.group == update.group and _sends(updates[earlier.name]):
                problem = f"and so does '{earlier.name}': of the updates that share tensors one may"
            elif trained & behind:
                names = " and ".join(sorted(trained & behind))
                problem = f"and '{earlier.name}' has updated {names} since they were computed"
            else:
                continue
            yield Fault(
                "method",
                f"update '{update.name}' sends gradients through shared tensors ({through}), {problem}. "
                f"Declare it with fresh=True",
            )


def part_faults(order: Sequence[Update], updates: Mapping[str, Losses]) -> Iterator[Fault]:
    """Faults of losses that return parts of one name for two sides: they would be logged as one value."""
    sides: dict[tuple[str, str], dict[str, None]] = {}
    for update in order:
        for name, loss in updates[update.name].items():
            for part in sorted(loss.parts):
                sides.setdefault((name, part), {})[update.side] = None
    for (name, part), found in sides.items():
        if len(found) > 1:
            both = " and ".join(found)
            yield Fault(f"losses.{name}", f"returns a part '{part}' for the sides {both}: name them differently")


def _sends(losses: Losses) -> bool:
    """Whether an update with these losses sends gradients through tensors to networks that it trains."""
    return any(loss.reach.behind & loss.reach.networks for loss in losses.values())
