"""The contract of methods: roles, tensors, order. A method reads like the paper's equations."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from translate_core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from translate_core.network import Calls, Network
    from translate_core.randomness import Draws

GENERATORS = "generators"
"""The side of the game that makes images: generators, heads, and losses with parameters."""

DISCRIMINATORS = "discriminators"
"""The side of the game that judges them."""


@dataclass(frozen=True)
class Role:
    """A network that a method needs.

    kind: the kind of component that can fill it, and the block of the recipe that describes it.
    side: the side of the game that trains it.
    inputs, outputs: the domains whose channels it takes and yields; several are concatenated.
    methods: what it must offer beyond being called.
    tapped, taps: for a head, the role whose features it takes, and the names of the taps; that role stands before it.
    """

    name: str
    kind: str
    side: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    tapped: str = ""
    taps: tuple[str, ...] = ()

    def given(self, channels: Mapping[str, int], networks: Mapping[str, nn.Module]) -> dict[str, Any]:
        """The arguments that its constructor is given.

        channels: by domain. networks: those that are built already, by role.
        Raises UserError for taps that the tapped network does not have.
        """
        if self.tapped:
            return {"channels": _tap_channels(self.tapped, networks[self.tapped], self.taps)}
        given = {"in_channels": sum(channels[domain] for domain in self.inputs)}
        if self.outputs:
            given["out_channels"] = sum(channels[domain] for domain in self.outputs)
        return given


def _tap_channels(role: str, network: nn.Module, taps: tuple[str, ...]) -> tuple[int, ...]:
    declared: Mapping[str, int] | None = getattr(network, "taps", None)
    if declared is None or not callable(getattr(network, "features", None)):
        raise UserError(
            f"needs features of {role}, and {type(network).__name__} declares no taps: "
            f"take a generator that does, by an attribute `taps` and a method `features`"
        )
    for tap in taps:
        if tap not in declared:
            raise UserError(
                f"{role} has no tap '{tap}'{did_you_mean(tap, list(declared))} "
                f"{type(network).__name__} has: {', '.join(declared)}"
            )
    return tuple(declared[tap] for tap in taps)


def generator(name: str, source: str, target: str, *, methods: tuple[str, ...] = ()) -> Role:
    """A generator from images of `source` to images of `target`."""
    return Role(name, "generator", GENERATORS, (source,), (target,), methods)


def discriminator(name: str, *domains: str, methods: tuple[str, ...] = ()) -> Role:
    """A discriminator on images of a domain, or of several concatenated along the channels."""
    return Role(name, "discriminator", DISCRIMINATORS, domains, (), methods)


def head(name: str, tapped: str, taps: tuple[str, ...], *, methods: tuple[str, ...] = ()) -> Role:
    """A head on features at the taps of the generator `tapped`, trained beside it."""
    return Role(name, "head", GENERATORS, methods=methods, tapped=tapped, taps=taps)


@dataclass(frozen=True)
class Choice:
    """Something about a translation that is drawn, or taken from an image that a user gives.

    name: the user's word for it, such as style.
    drawn: the tensor that holds it; its equation draws it (`style_B`).
    domain: of the images that it can be taken from.
    taken: the tensor that holds what is found in such an image, given as `real_<domain>` (`style_real_B`).
    """

    name: str
    drawn: str
    domain: str
    taken: str


@dataclass(frozen=True)
class Direction:
    """A translation that a trained run offers.

    source, target: domains.
    show: further tensors that a person wants to see beside source and output where the losses ask for them; those that
        depend on `given` alone.
    always: the same, drawn whatever the losses ask for.
    choices: what a user may decide about a translation, and is drawn otherwise.
    given, output: tensors, `real_<source>` and `fake_<target>` unless said otherwise.
    """

    source: str
    target: str
    show: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
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
    """Marks a method of a `Method` as the equation of the tensor of its name: computed when asked for, then kept.

    What it returns is a tensor, or a list of them (features, scales).
    """

    def __init__(self, equation: Callable[[Any], Any]) -> None:
        self.equation = equation
        self.name = equation.__name__
        self.names: tuple[str, ...] = (self.name,)
        self.__doc__ = equation.__doc__

    def __get__(self, batch: Method | None, owner: type[Method]) -> Any:
        return self if batch is None else batch[self.name]

    def values(self, batch: Method) -> Mapping[str, Any]:
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

    def __get__(self, batch: Method | None, owner: type[Method]) -> Any:
        return self if batch is None else tuple(batch[name] for name in self.names)

    def values(self, batch: Method) -> Mapping[str, Any]:
        values = tuple(self.equation(batch))
        if len(values) != len(self.names):
            raise UserError(f"{self.name} must yield {', '.join(self.names)}, and yields {len(values)} values")
        return dict(zip(self.names, values, strict=True))


class Method:
    """Base of every method. A method object is a plan; `tensors` makes of it one batch in flight.

    Subclasses set the class attributes, define tensors with `@tensor`, and may take options in their constructor.
    Networks and given tensors are attributes of a batch: `self.G_AB(self.real_A)`.

    roles: the networks; a constructor may set them anew where they depend on an option.
    order: the sides in the order in which they are updated.
    given: what the data supplies.
    pairs: by topic, which tensor is compared with which; losses of that topic use it by default.
    judges: by discriminator, the real and the fake tensor that it tells apart.
    directions: the translations that a trained run offers, by the name that a user types.
    fresh_tensors: whether each phase computes its tensors anew, rather than sharing them.
    """

    roles: tuple[Role, ...]
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
        own = {name: item for item in vars(cls).values() if isinstance(item, tensor) for name in item.names}
        cls._equations = {**cls._equations, **own}

    @classmethod
    def tensor_names(cls) -> tuple[str, ...]:
        """Every tensor that a batch of this method can have, given ones first."""
        return (*cls.given, *cls._equations)

    def after_update(self, side: str, networks: Mapping[str, Network]) -> None:
        """Called after every update of a side, under no_grad.

        By default networks of that side that have a method `after_update` are called: to clip a parameter, say.
        """
        for network in networks.values():
            if network.role.side == side:
                network.after_update()

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

    _values: dict[str, Any]
    _networks: Mapping[str, Network]
    _calls: Calls
    _draws: Draws
    _grad: bool
    _asked: set[str]

    def __getitem__(self, name: str) -> Any:
        """The tensor of that name, or the list of tensors.

        Raises UnknownTensorError for a name that the method lacks, MissingTensorError for one that was not given.
        """
        self._asked.add(name)
        value = self._values.get(name)
        if value is None:
            equation = self._equations.get(name)
            if equation is None:
                raise self._no_tensor(name)
            with torch.set_grad_enabled(self._grad), self._calls.by_loss_of(None):
                values = equation.values(self)
            for own, computed in values.items():
                self._values.setdefault(own, computed)  # what was given stays
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

    def normal(self, shape: Sequence[int], like: Tensor, *names: str | int) -> Tensor:
        """Draws from N(0, 1), decided as `rng` says. Of the device and dtype of `like`, which is not waited for."""
        return self._placed(torch.randn(*shape, generator=self.rng(*names), device="cpu"), like).to(like.dtype)

    def uniform(self, shape: Sequence[int], like: Tensor, *names: str | int) -> Tensor:
        """Draws from U[0, 1), decided as `rng` says. Of the device and dtype of `like`, which is not waited for."""
        return self._placed(torch.rand(*shape, generator=self.rng(*names), device="cpu"), like).to(like.dtype)

    def permutation(self, count: int, like: Tensor, *names: str | int) -> Tensor:
        """The numbers 0 … count - 1 in a random order, int64, decided as `rng` says, on the device of `like`."""
        return self._placed(torch.randperm(count, generator=self.rng(*names), device="cpu"), like)

    def _placed(self, drawn: Tensor, like: Tensor) -> Tensor:
        if like.is_cuda:
            drawn = drawn.pin_memory()  # from pageable memory the copy would wait for the device
        return drawn.to(like.device, non_blocking=True)

    def has(self, *names: str) -> bool:
        """Whether this batch was given all of these tensors."""
        return all(name in self._values for name in names)

    @property
    def step(self) -> int:
        """Optimizer steps that were done before this batch."""
        return self._draws.step

    def asked(self) -> frozenset[str]:
        """The tensors that were asked for so far."""
        return frozenset(self._asked)

    def detach(self) -> None:
        """Keeps the values and lets go of the graph behind them."""
        self._values = {name: _detached(value) for name, value in self._values.items()}

    def _no_tensor(self, name: str) -> UserError:
        names = self.tensor_names()
        if name in names or name.startswith("truth_"):
            return MissingTensorError(f"tensor '{name}' was not given")
        return UnknownTensorError(
            f"the method has no tensor '{name}'{did_you_mean(name, names)} It has: {', '.join(names)}"
        )


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else [_detached(item) for item in value]


def sides(roles: Iterable[Role]) -> tuple[str, ...]:
    """The sides of the game, in the order in which roles name them."""
    return tuple(dict.fromkeys(role.side for role in roles))
