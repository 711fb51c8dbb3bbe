"""The contract of methods: roles, tensors, order. A method reads like the paper's equations."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from translate_core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from translate_core.network import Calls, Network
    from translate_core.randomness import Draws

GENERATORS = "generators"
DISCRIMINATORS = "discriminators"


@dataclass(frozen=True)
class Role:
    """A network that a method needs.

    kind: the kind of component that can fill it, and the block of the recipe that describes it.
    side: the side of the game that trains it.
    inputs, outputs: the domains whose channels it takes and yields; several are concatenated.
    methods: what it must offer beyond being called.
    """

    name: str
    kind: str
    side: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()

    def given(self, channels: Mapping[str, int]) -> dict[str, int]:
        """The arguments that its constructor is given. channels: by domain."""
        given = {"in_channels": sum(channels[domain] for domain in self.inputs)}
        if self.outputs:
            given["out_channels"] = sum(channels[domain] for domain in self.outputs)
        return given


def generator(name: str, source: str, target: str, *, methods: tuple[str, ...] = ()) -> Role:
    """A generator from images of `source` to images of `target`."""
    return Role(name, "generator", GENERATORS, (source,), (target,), methods)


def discriminator(name: str, *domains: str, methods: tuple[str, ...] = ()) -> Role:
    """A discriminator on images of a domain, or of several concatenated along the channels."""
    return Role(name, "discriminator", DISCRIMINATORS, domains, (), methods)


@dataclass(frozen=True)
class Direction:
    """A translation that a trained run offers.

    source, target: domains.
    show: further tensors that a person wants to see beside source and output, those that depend on `given` alone.
    given, output: tensors, `real_<source>` and `fake_<target>` unless said otherwise.
    """

    source: str
    target: str
    show: tuple[str, ...] = ()
    given: str = ""
    output: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", self.given or f"real_{self.source}")
        object.__setattr__(self, "output", self.output or f"fake_{self.target}")

    @property
    def truth(self) -> str:
        """The tensor that holds the true translation, where a dataset has it."""
        return f"truth_{self.target}"


class UnknownTensorError(UserError):
    """A tensor that the method does not have."""


class MissingTensorError(UserError):
    """A tensor that this batch was not given, and that no equation computes."""


class tensor:  # noqa: N801 - a decorator
    """Marks a method of a `Method` as the equation of the tensor of its name: computed when asked for, then kept."""

    def __init__(self, equation: Callable[[Any], Tensor]) -> None:
        self.equation = equation
        self.name = equation.__name__
        self.__doc__ = equation.__doc__

    def __get__(self, batch: Method | None, owner: type[Method]) -> Any:
        return self if batch is None else batch[self.name]


class Method:
    """Base of every method. A method object is a plan; `tensors` makes of it one batch in flight.

    Subclasses set the class attributes, define tensors with `@tensor`, and may take options in their constructor.
    Networks and given tensors are attributes of a batch: `self.G_AB(self.real_A)`.

    roles: the networks.
    order: the sides in the order in which they are updated.
    given: what the data supplies.
    pairs: by topic, which tensor is compared with which; losses of that topic use it by default.
    judges: by discriminator, the real and the fake tensor that it tells apart.
    directions: the translations that a trained run offers, by the name that a user types.
    fresh_tensors: whether each phase computes its tensors anew, rather than sharing them.
    """

    roles: ClassVar[tuple[Role, ...]]
    order: ClassVar[tuple[str, ...]] = (GENERATORS, DISCRIMINATORS)
    given: ClassVar[tuple[str, ...]] = ("real_A", "real_B")
    pairs: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    judges: ClassVar[Mapping[str, tuple[str, str]]] = {}
    directions: ClassVar[Mapping[str, Direction]] = {}
    fresh_tensors: ClassVar[bool] = False

    needed: frozenset[str] = frozenset()
    """The tensors that the losses of this run ask for; known once the run is built."""

    _equations: ClassVar[Mapping[str, tensor]] = {}

    def __init_subclass__(cls) -> None:
        own = {name: value for name, value in vars(cls).items() if isinstance(value, tensor)}
        cls._equations = {**cls._equations, **own}

    @classmethod
    def tensor_names(cls) -> tuple[str, ...]:
        """Every tensor that a batch of this method can have, given ones first."""
        return (*cls.given, *cls._equations)

    def after_update(self, side: str, networks: Mapping[str, Network]) -> None:
        """Called after every update of a side, under no_grad: to clip a parameter, say. Does nothing by default."""

    def tensors(
        self, given: Mapping[str, Tensor], networks: Mapping[str, Network], calls: Calls, draws: Draws, *, grad: bool
    ) -> Self:
        """A batch in flight. grad: whether its tensors carry gradients, whoever asks for them first."""
        batch = copy.copy(self)
        batch._values = dict(given)
        batch._networks = networks
        batch._calls = calls
        batch._draws = draws
        batch._grad = grad
        batch._asked = set()
        return batch

    # What follows is meant for a batch in flight.

    _values: dict[str, Tensor]
    _networks: Mapping[str, Network]
    _calls: Calls
    _draws: Draws
    _grad: bool
    _asked: set[str]

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of that name.

        Raises UnknownTensorError for a name that the method lacks, MissingTensorError for one that was not given.
        """
        self._asked.add(name)
        value = self._values.get(name)
        if value is None:
            equation = self._equations.get(name)
            if equation is None:
                raise self._no_tensor(name)
            with torch.set_grad_enabled(self._grad), self._calls.by_loss_of(None):
                value = equation.equation(self)
            self._values[name] = value
        return value

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        if "_values" in state:
            if name in state["_networks"]:
                return state["_networks"][name]
            if name in state["_values"] or name in type(self).given:
                return self[name]
        raise AttributeError(f"{type(self).__name__} has no network, tensor or attribute '{name}'")

    def network(self, name: str) -> Network:
        """The handle of the network that fills the role of that name."""
        try:
            return self._networks[name]
        except KeyError:
            names = list(self._networks)
            raise UserError(
                f"the method has no network '{name}'{did_you_mean(name, names)} It has: {', '.join(names)}"
            ) from None

    def rng(self, *names: str | int) -> torch.Generator:
        """A CPU generator for a draw of this batch, decided by (seed, rank, step, micro-batch, names)."""
        return self._draws.generator(*names)

    def asked(self) -> frozenset[str]:
        """The tensors that were asked for so far."""
        return frozenset(self._asked)

    def detach(self) -> None:
        """Keeps the values and lets go of the graph behind them."""
        self._values = {name: value.detach() for name, value in self._values.items()}

    def _no_tensor(self, name: str) -> UserError:
        names = self.tensor_names()
        if name in names or name.startswith("truth_"):
            return MissingTensorError(f"tensor '{name}' was not given")
        return UnknownTensorError(
            f"the method has no tensor '{name}'{did_you_mean(name, names)} It has: {', '.join(names)}"
        )


def sides(roles: Iterable[Role]) -> tuple[str, ...]:
    """The sides of the game, in the order in which roles name them."""
    return tuple(dict.fromkeys(role.side for role in roles))
