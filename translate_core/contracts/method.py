"""The contract of methods: networks, tensors, order of updates. A method reads like its paper's equations."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from translate_core.contracts.direction import Direction
from translate_core.contracts.network import Calls, Network
from translate_core.contracts.role import DISCRIMINATORS, GENERATORS, Role
from translate_core.contracts.tensor import MissingTensorError, UnknownTensorError, tensor
from translate_core.errors import UserError, did_you_mean
from translate_core.runtime.randomness import Draws


class Method:
    """Base class of methods. A method object describes a run; `tensors` binds it to one batch.

    Subclasses set the class attributes, define tensors with `@tensor`, and may take options in their constructor.
    Networks and given tensors are attributes of a bound method: `self.G_AB(self.real_A)`.

    roles: the networks; a constructor may replace them where they depend on an option.
    order: the sides in the order in which they are updated.
    given: names of the tensors that the data supply.
    pairs: by topic, which tensor is compared with which; losses of that topic use it by default.
    adversarial_pairs: by discriminator, the real and the fake tensor that it distinguishes.
    directions: the translations that a trained run offers, by the name that a user types.
    fresh_tensors: whether each phase computes its own tensors, with its own draws, instead of sharing them.
    """

    roles: tuple[Role, ...]
    order: ClassVar[tuple[str, ...]] = (GENERATORS, DISCRIMINATORS)
    given: ClassVar[tuple[str, ...]] = ("real_A", "real_B")
    pairs: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    adversarial_pairs: ClassVar[Mapping[str, tuple[str, str]]] = {}
    directions: ClassVar[Mapping[str, Direction]] = {}
    fresh_tensors: ClassVar[bool] = False

    _equations: ClassVar[Mapping[str, tensor]] = {}

    def __init_subclass__(cls) -> None:
        own = {name: item for item in vars(cls).values() if isinstance(item, tensor) for name in item.names}
        cls._equations = {**cls._equations, **own}

    @classmethod
    def tensor_names(cls) -> tuple[str, ...]:
        """The names of all tensors of this method, given ones first."""
        return (*cls.given, *cls._equations)

    def after_update(self, side: str, networks: Mapping[str, Network]) -> None:
        """Called after every update of a side, under no_grad.

        The default calls the method `after_update` of each network of that side that has one, which may clip a
        parameter.
        """
        for network in networks.values():
            if network.role.side == side:
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
    ) -> Self:
        """A copy of this method that is bound to one batch.

        given: tensors by name. grad: whether computed tensors carry gradients, wherever they are first used.
        needed: names of the tensors that the losses of the run use.
        """
        batch = copy.copy(self)
        batch._values = dict(given)
        batch._networks = networks
        batch._calls = calls
        batch._draws = draws
        batch._grad = grad
        batch.needed = needed
        batch._used = set()
        return batch

    # What follows is for a bound method.

    needed: frozenset[str]
    """The tensors that the losses of this run use. With it a method can fuse passes, as CUT does."""

    _values: dict[str, Any]
    _networks: Mapping[str, Network]
    _calls: Calls
    _draws: Draws
    _grad: bool
    _used: set[str]

    def __getitem__(self, name: str) -> Any:
        """The tensor of that name, or the list of tensors; computed on first use, then kept.

        Raises UnknownTensorError for a name that the method lacks, MissingTensorError for one that was not given.
        """
        self._used.add(name)
        value = self._values.get(name)
        if value is None:
            equation = self._equations.get(name)
            if equation is None:
                raise self._no_tensor(name)
            with torch.set_grad_enabled(self._grad), self._calls.by_loss_of(None):
                values = equation.values(self)
            for own, computed in values.items():
                self._values.setdefault(own, computed)  # a given tensor is not replaced
            value = self._values[name]
        return value

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        if "_values" in state:
            if name in state["_networks"]:
                return state["_networks"][name]
            if name in state["_values"] or name in type(self).given or name in type(self)._equations:
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
        return self._placed(torch.randn(*shape, generator=self.rng(*names), device="cpu"), like).to(like.dtype)

    def uniform(self, shape: Sequence[int], like: Tensor, *names: str | int) -> Tensor:
        """Draws from U[0, 1) with `rng(*names)`; device and dtype are those of `like`. Does not synchronise."""
        return self._placed(torch.rand(*shape, generator=self.rng(*names), device="cpu"), like).to(like.dtype)

    def permutation(self, count: int, like: Tensor, *names: str | int) -> Tensor:
        """A random permutation of 0 … count - 1 with `rng(*names)`, int64, on the device of `like`."""
        return self._placed(torch.randperm(count, generator=self.rng(*names), device="cpu"), like)

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

    def detach(self) -> None:
        """Detaches every tensor, which frees the graph."""
        self._values = {name: _detached(value) for name, value in self._values.items()}

    def _no_tensor(self, name: str) -> UserError:
        names = self.tensor_names()
        if name in names or name.startswith("target_"):
            return MissingTensorError(f"tensor '{name}' was not given")
        return UnknownTensorError(
            f"the method has no tensor '{name}'{did_you_mean(name, names)} It has: {', '.join(names)}"
        )


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else [_detached(item) for item in value]
