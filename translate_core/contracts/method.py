"""The contract of methods: networks, tensors, order of updates. A method reads like its paper's equations."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from translate_core.contracts.adversarial import AdversarialPair, Which, adversarial_pair
from translate_core.contracts.dataset import Dataset
from translate_core.contracts.direction import Direction
from translate_core.contracts.given import Given, given_of
from translate_core.contracts.network import Calls, Network, evaluation_mode
from translate_core.contracts.role import DISCRIMINATORS, GENERATORS, Role
from translate_core.contracts.tensor import Equation, MissingTensorError, UnknownTensorError
from translate_core.contracts.update import Update
from translate_core.errors import UserError, did_you_mean
from translate_core.runtime.randomness import Draws


class Method:
    """Base class of methods. A method object describes a run; `tensors` binds it to one batch.

    Subclasses set the class attributes, define tensors with `@tensor`, and may take options in their constructor.
    Networks and given tensors are attributes of a bound method: `self.G_AB(self.real_A)`.

    A constructor or `on` may replace roles, given tensors and directions where they depend on an option or the data.

    roles: the networks.
    order: the updates of a step in their order; a text is the update of a whole side.
    given: the tensors that the data supply; a text is an image of that name.
    pairs: by topic, which tensor is compared with which; losses of that topic use it by default.
    adversarial_pairs: by discriminator, the real and the fake tensor that it distinguishes.
    directions: the translations that a trained run offers, by the name that a user types.
    """

    roles: tuple[Role, ...]
    order: tuple[str | Update, ...] = (GENERATORS, DISCRIMINATORS)
    given: tuple[str | Given, ...] = ("real_A", "real_B")
    pairs: Mapping[str, Mapping[str, str]] = {}
    adversarial_pairs: Mapping[str, tuple[str, str] | AdversarialPair] = {}
    directions: Mapping[str, Direction] = {}

    _equations: ClassVar[Mapping[str, Equation]] = {}

    def __init_subclass__(cls) -> None:
        for name in vars(cls):
            if name.startswith("_") and not name.startswith("__") and name in vars(Method):
                raise UserError(f"method {cls.__name__} defines `{name}`, which the base class uses itself: rename it")
        own = {name: item for item in vars(cls).values() if isinstance(item, Equation) for name in item.names}
        cls._equations = {**cls._equations, **own}

    def on(self, data: Dataset) -> None:
        """Called once, before anything is opened, for methods whose networks or directions depend on the data.

        data: as constructed; its `domains` and `classes` are those that the `data` block states.
        Raises UserError for data that the method cannot use. Does nothing by default.
        """

    @classmethod
    def computed_names(cls) -> tuple[str, ...]:
        """The names of the tensors that equations compute."""
        return tuple(cls._equations)

    def tensor_names(self) -> tuple[str, ...]:
        """The names of all tensors of this method, given ones first."""
        return (*(item.name for item in given_of(self.given)), *self._equations)

    def after_update(self, update: Update, networks: Mapping[str, Network]) -> None:
        """Called after every update, under no_grad. networks: those that it has trained.

        The default calls the method `after_update` of each that has one, which may clip a parameter.
        """
        for network in networks.values():
            network.after_update()

    def tensors(
        self,
        given: Mapping[str, Tensor],
        networks: Mapping[str, Network],
        calls: Calls,
        draws: Draws,
        *,
        grad: bool,
        needed: frozenset[str] = frozenset(),
        instead: Mapping[str, str] | None = None,
        shared: dict[str, Any] | None = None,
        options: Mapping[str, int | float] | None = None,
        integers: Callable[[int], int] | None = None,
    ) -> Self:
        """A copy of this method that is bound to one batch.

        given: tensors by name. grad: whether computed tensors carry gradients, wherever they are first used.
        needed: names of the tensors that the losses use. instead: as in `Update`. shared: keeps the values of shared
        tensors, for all copies that are bound to the same batch. options: of the direction. integers: replaces the
        draws of `integer`.
        """
        batch = copy.copy(self)
        batch._values = dict(given)
        batch._networks = networks
        batch._calls = calls
        batch._draws = draws
        batch._grad = grad
        batch.needed = needed
        batch._instead = instead or {}
        batch._shared = {} if shared is None else shared
        batch._options = options or {}
        batch._integers = integers
        batch._used = set()
        batch._underway = []
        batch._passes = {}
        return batch

    # What follows is for a bound method.

    needed: frozenset[str]
    """The tensors that the losses use which are due. With it a method can fuse passes, as CUT does."""

    _values: dict[str, Any]
    _networks: Mapping[str, Network]
    _calls: Calls
    _draws: Draws
    _grad: bool
    _instead: Mapping[str, str]
    _shared: dict[str, Any]
    _options: Mapping[str, int | float]
    _integers: Callable[[int], int] | None
    _used: set[str]
    _underway: list[str]
    _passes: dict[tuple[str, Which], tuple[Any, Mapping[str, Tensor] | None]]

    def __getitem__(self, name: str) -> Any:
        """The tensor of that name, or the list of tensors; computed on first use, then kept.

        Raises UnknownTensorError for a name that the method lacks, MissingTensorError for one that was not given, and
        UserError for one whose equation needs itself.
        """
        self._used.add(name)
        name = self._instead.get(name, name)
        value = self._values.get(name)
        if value is None:
            equation = self._equations.get(name)
            if equation is None:
                raise self._no_tensor(name)
            with self._computing(name):
                values = self._shared_values(equation) if equation.shared else self._computed(equation)
            for own, computed in values.items():
                self._values.setdefault(own, computed)  # a given tensor is not replaced
            value = self._values[name]
        return value

    @contextmanager
    def _computing(self, name: str) -> Iterator[None]:
        if name in self._underway:
            way = " → ".join([*self._underway[self._underway.index(name) :], name])
            raise UserError(f"the equation of tensor '{name}' needs itself: {way}")
        self._underway.append(name)
        try:
            yield
        finally:
            self._underway.pop()

    def _computed(self, equation: Equation) -> Mapping[str, Any]:
        with torch.set_grad_enabled(self._grad), self._calls.by_loss(None):
            return equation.values(self)

    def _shared_values(self, equation: Equation) -> Mapping[str, Any]:
        """The values of a shared equation, which the first of the updates computes, with the draws that all share."""
        if equation.names[0] not in self._shared:
            common = copy.copy(self)
            common._draws = replace(self._draws, phase="")
            with torch.no_grad(), self._calls.by_loss(None):
                self._shared.update(equation.values(common))
        return {name: self._shared[name] for name in equation.names}

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        if "_values" in state:
            if name in state["_networks"]:
                return state["_networks"][name]
            if name in state["_values"] or name in self.tensor_names():
                return self[name]
        raise AttributeError(f"{type(self).__name__} has no network, tensor or attribute '{name}'")

    def network(self, name: str) -> Network:
        """The handle of the network in that role."""
        try:
            return self._networks[name]
        except KeyError:
            names = list(self._networks)
            raise UserError(
                f"the method has no network '{name}'{did_you_mean(name, names)} It has: {', '.join(names)}"
            ) from None

    def rng(self, *names: str | int) -> torch.Generator:
        """A CPU generator for one draw; its seed depends on (seed, rank, step, micro-batch, names) only."""
        return self._draws.generator(*names)

    def normal(self, shape: Sequence[int], like: Tensor, *names: str | int) -> Tensor:
        """Draws from N(0, 1) with `rng(*names)`; device and dtype are those of `like`. Does not synchronise."""
        return self._placed(torch.randn(tuple(shape), generator=self.rng(*names), device="cpu"), like).to(like.dtype)

    def uniform(self, shape: Sequence[int], like: Tensor, *names: str | int) -> Tensor:
        """Draws from U[0, 1) with `rng(*names)`; device and dtype are those of `like`. Does not synchronise."""
        return self._placed(torch.rand(tuple(shape), generator=self.rng(*names), device="cpu"), like).to(like.dtype)

    def permutation(self, count: int, like: Tensor, *names: str | int) -> Tensor:
        """A random permutation of 0 … count - 1 with `rng(*names)`, int64, on the device of `like`."""
        return self._placed(torch.randperm(count, generator=self.rng(*names), device="cpu"), like)

    def integer(self, high: int, *names: str | int) -> int:
        """Draws a number of 0 … high - 1 with `rng(*names)`, on the host: what an equation computes may depend on it.

        The shape check computes with 0 and with high - 1.
        """
        if self._integers is not None:
            return self._integers(high)
        return int(torch.randint(high, (), generator=self.rng(*names), device="cpu"))

    def option(self, name: str) -> int | float:
        """The value of an option of the direction; its default where the user set none, and in training."""
        if name in self._options:
            return self._options[name]
        for direction in self.directions.values():
            if name in direction.defaults():
                return direction.defaults()[name]
        raise UserError(f"no direction of the method has an option '{name}'")

    @contextmanager
    def inference(self, *networks: Network) -> Iterator[None]:
        """Inside, these networks are in evaluation mode, and no gradients are recorded."""
        with torch.no_grad(), evaluation_mode(network.module for network in networks):
            yield

    def inputs_of(self, discriminator: str, which: Which) -> tuple[Tensor, ...]:
        """What a discriminator is called with: the real or the fake image of its pair, and the conditions."""
        pair = adversarial_pair(self.adversarial_pairs[discriminator])
        return tuple(self[name] for name in pair.names(which))

    def score(self, discriminator: str, which: Which) -> Any:
        """The discriminator's output for the real or the fake image of its adversarial pair, with the conditions.

        All losses of an update share one pass.
        """
        return self._passed(discriminator, which)[0]

    def features(self, discriminator: str, which: Which) -> Mapping[str, Tensor]:
        """The discriminator's features at all its taps, of the pass whose output `score` returns.

        Raises UserError for a discriminator that has none.
        """
        module = self.network(discriminator).module
        if getattr(module, "taps", None) is None or not callable(getattr(module, "with_features", None)):
            raise UserError(
                f"needs features of {discriminator}, and {type(module).__name__} declares no taps: "
                f"use a discriminator with an attribute `taps` and a method `with_features`"
            )
        self._used.add(_features(discriminator))
        features = self._passed(discriminator, which)[1]
        assert features is not None
        return features

    def _passed(self, discriminator: str, which: Which) -> tuple[Any, Mapping[str, Tensor] | None]:
        key = (discriminator, which)
        with_features = bool({_features(discriminator)} & (self.needed | self._used))
        if key not in self._passes or (with_features and self._passes[key][1] is None):
            network, (image, *conditions) = self.network(discriminator), self.inputs_of(discriminator, which)
            if with_features:
                taps = tuple(network.taps)
                output, features = network.with_features(image, taps, *conditions)
                self._passes[key] = (output, dict(zip(taps, features, strict=True)))
            else:
                self._passes[key] = (network(image, *conditions), None)
        return self._passes[key]

    def begin_update(self) -> None:
        """Called before the losses of an update: passes of earlier updates are not used again."""
        self._passes = {}

    def _placed(self, drawn: Tensor, like: Tensor) -> Tensor:
        if like.is_cuda:
            drawn = drawn.pin_memory()  # a copy from pageable memory would synchronise
        return drawn.to(like.device, non_blocking=True)

    def has(self, *names: str) -> bool:
        """Whether this batch was given all of these tensors."""
        return all(name in self._values for name in names)

    @property
    def step(self) -> int:
        """The number of optimizer steps before this batch."""
        return self._draws.step

    def used(self) -> frozenset[str]:
        """The tensors that were used so far."""
        return frozenset(self._used)

    def computed(self) -> Mapping[str, Any]:
        """The tensors that were computed or given so far, by name."""
        return self._values

    def detach(self) -> None:
        """Detaches every tensor, which frees the graph."""
        self._values = {name: _detached(value) for name, value in self._values.items()}
        self._passes = {}

    def _no_tensor(self, name: str) -> UserError:
        names = self.tensor_names()
        if name in names or name.startswith("target_"):
            return MissingTensorError(f"tensor '{name}' was not given")
        return UnknownTensorError(
            f"the method has no tensor '{name}'{did_you_mean(name, names)} It has: {', '.join(names)}"
        )


def _features(discriminator: str) -> str:
    """The name under which `used` and `needed` list the features of a discriminator."""
    return f"features of {discriminator}"


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else [_detached(item) for item in value]
