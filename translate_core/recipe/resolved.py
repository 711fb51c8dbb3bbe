"""A resolved recipe: its blocks validated, its components known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from translate_core.components.blocks import Block
from translate_core.components.plugins import LoadedPlugins
from translate_core.components.weight import Ramp
from translate_core.contracts.length import Length
from translate_core.contracts.method import Method
from translate_core.contracts.metric import SetMetric
from translate_core.contracts.role import Role
from translate_core.contracts.update import Update
from translate_core.recipe.file import subject_of
from translate_core.recipe.overrides import flatten
from translate_core.recipe.training import Training


@dataclass(frozen=True)
class ResolvedNetwork:
    """The network of one role.

    init: draws its weights, None if no plugin registers a default. init_from: a file of weights that replaces them.
    optimizer: with the options that differ from those of its side, None if none do. freeze: how long it is not trained;
    True for the whole run. path: the block of the recipe that describes it, for messages.
    """

    role: Role
    block: Block
    init: Block | None
    init_from: str | None
    path: str
    optimizer: Block | None = None
    freeze: Length | bool = False

    def frozen(self, step: int, epoch: int) -> bool:
        """Whether it is not trained in a step, counted from 0. epoch: steps in an epoch."""
        return step < self.freeze.steps(epoch) if isinstance(self.freeze, Length) else self.freeze


@dataclass(frozen=True)
class ResolvedUpdate:
    """An update of the method. clip: the largest norm of its gradient, None for any."""

    update: Update
    clip: float | None


@dataclass(frozen=True)
class ResolvedLoss:
    """A loss with its weight. every: it is evaluated in every n-th run of its update."""

    block: Block
    weight: float | Ramp
    every: int


@dataclass(frozen=True)
class ResolvedMetric:
    """A metric.

    pairs: tensor -> reference, None for the output of each direction and its target or, for a metric over sets, the
    images of the target domain. images: at most so many test images of each source, None for all. references: which
    images of the target domain a metric over sets compares with. default: whether it is of the default set, and not in
    the recipe.
    """

    block: Block
    pairs: Mapping[str, str] | None
    images: int | None
    references: Literal["test", "train"]
    default: bool

    @property
    def over_sets(self) -> bool:
        """Whether it compares sets of images, not pairs."""
        component = self.block.registration.component
        return isinstance(component, type) and issubclass(component, SetMetric)


@dataclass(frozen=True)
class ResolvedRecipe:
    """A recipe whose every key is valid; nothing has been opened or allocated.

    record: the recipe as resolved, plain data. operation: dotted paths of the keys that may differ when a run is
    resumed.
    """

    name: str
    path: Path | None
    plugins: LoadedPlugins
    method: Method
    data: Block
    networks: Mapping[str, ResolvedNetwork]
    updates: tuple[ResolvedUpdate, ...]
    losses: Mapping[str, ResolvedLoss]
    optimizers: Mapping[str, Block]
    schedules: Mapping[str, Block]
    metrics: Mapping[str, ResolvedMetric]
    observers: Mapping[str, Block]
    training: Training
    record: Mapping[str, Any]
    operation: frozenset[str]

    @property
    def subject(self) -> str:
        """What messages call it."""
        return subject_of(self.path)

    def results(self) -> dict[str, Any]:
        """The result keys, flat: dotted path -> value. Two runs whose results() agree learn the same."""
        return {
            path: value
            for path, value in flatten(self.record).items()
            if not any(path == key or path.startswith(key + ".") for key in self.operation)
        }
