"""What a plugin registers its components with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import nn

from translate_core.contracts.dataset import Dataset
from translate_core.contracts.loss import Loss
from translate_core.contracts.method import Method
from translate_core.contracts.metric import Metric
from translate_core.contracts.observer import Observer
from translate_core.contracts.pool import Pool
from translate_core.contracts.schedule import Schedule

Component = Callable[..., Any]


class Registrar(Protocol):
    """The registry as one plugin sees it: a method for each kind.

    `default=True` makes a component the one that is used where a recipe names none; of metrics and observers there
    may be several.
    """

    def _add(self, kind: str, name: str, component: Component, default: bool = False) -> None: ...

    def method(self, name: str, component: type[Method]) -> None:
        """A method: which networks a run has, and which tensors a batch gives rise to."""
        self._add("method", name, component)

    def generator(self, name: str, component: type[nn.Module]) -> None:
        """A network from images to images; given `in_channels`, `out_channels`."""
        self._add("generator", name, component)

    def discriminator(self, name: str, component: type[nn.Module]) -> None:
        """A network that judges images; given `in_channels`."""
        self._add("discriminator", name, component)

    def head(self, name: str, component: type[nn.Module]) -> None:
        """A network on features at the taps of a generator; given `channels`, a number for each tap."""
        self._add("head", name, component)

    def loss(self, name: str, component: type[Loss]) -> None:
        """A term of the game."""
        self._add("loss", name, component)

    def dataset(self, name: str, component: type[Dataset]) -> None:
        """A source of images."""
        self._add("dataset", name, component)

    def pool(self, name: str, component: type[Pool]) -> None:
        """A pool of past fakes."""
        self._add("pool", name, component)

    def metric(self, name: str, component: type[Metric], *, default: bool = False) -> None:
        """A number about test images."""
        self._add("metric", name, component, default)

    def optimizer(self, name: str, component: Component) -> None:
        """A function or class that makes a `torch.optim.Optimizer`; given `params`, a list of parameters."""
        self._add("optimizer", name, component)

    def schedule(self, name: str, component: type[Schedule], *, default: bool = False) -> None:
        """A factor on the learning rate; given `length` and `epoch`, both in steps."""
        self._add("schedule", name, component, default)

    def init(self, name: str, component: Component, *, default: bool = False) -> None:
        """A function that initialises a network in place; given `network`."""
        self._add("init", name, component, default)

    def observer(self, name: str, component: type[Observer], *, default: bool = False) -> None:
        """Something that watches a run."""
        self._add("observer", name, component, default)
