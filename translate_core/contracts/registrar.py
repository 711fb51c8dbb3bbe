"""The interface by which a plugin registers its components."""

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
    """The registry for one plugin, with a method for each kind of component.

    With `default=True` recipes use the component without naming it. Each kind has at most one default; metrics and
    observers may have several.
    """

    def _add(self, kind: str, name: str, component: Component, default: bool = False) -> None: ...

    def method(self, name: str, component: type[Method]) -> None:
        """A method: the networks of a run, the tensors of a batch, the order of updates."""
        self._add("method", name, component)

    def generator(self, name: str, component: type[nn.Module]) -> None:
        """A network from images to images; supplied arguments: `in_channels`, `out_channels`."""
        self._add("generator", name, component)

    def discriminator(self, name: str, component: type[nn.Module]) -> None:
        """A network from images to scores; supplied argument: `in_channels`."""
        self._add("discriminator", name, component)

    def head(self, name: str, component: type[nn.Module]) -> None:
        """A network on the features at a generator's taps; supplied argument: `channels`, one number for each tap."""
        self._add("head", name, component)

    def network(self, name: str, component: type[nn.Module]) -> None:
        """A network that neither makes images nor scores them: a mapping network, a style encoder.

        The method supplies its arguments: those that its constructor takes by position.
        """
        self._add("network", name, component)

    def loss(self, name: str, component: type[Loss]) -> None:
        """A function of the tensors with one scalar for each part, minimised by the networks of a side."""
        self._add("loss", name, component)

    def dataset(self, name: str, component: type[Dataset]) -> None:
        """A source of training and test images."""
        self._add("dataset", name, component)

    def pool(self, name: str, component: type[Pool]) -> None:
        """A pool of past fakes for a discriminator."""
        self._add("pool", name, component)

    def metric(self, name: str, component: type[Metric], *, default: bool = False) -> None:
        """A number computed over test images."""
        self._add("metric", name, component, default)

    def optimizer(self, name: str, component: Component) -> None:
        """A function or class that returns a `torch.optim.Optimizer`; supplied argument: `params`, the parameters."""
        self._add("optimizer", name, component)

    def schedule(self, name: str, component: type[Schedule], *, default: bool = False) -> None:
        """A factor of the learning rate by step; supplied arguments: `length` and `epoch`, both in steps."""
        self._add("schedule", name, component, default)

    def init(self, name: str, component: Component, *, default: bool = False) -> None:
        """A function that initialises a network in place; supplied argument: `network`."""
        self._add("init", name, component, default)

    def observer(self, name: str, component: type[Observer], *, default: bool = False) -> None:
        """An observer of a run, such as a progress display or a log."""
        self._add("observer", name, component, default)
