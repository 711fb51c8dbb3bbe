"""A method with a network for each role, on which networks, losses and methods are checked together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from translate_core.components.blocks import Block
from translate_core.conformance.kit import SIDE, Kit, ambient
from translate_core.conformance.plain import Build
from translate_core.conformance.search import Search
from translate_core.conformance.stated import MethodOnData, on_data
from translate_core.contracts.adversarial import adversarial_pair
from translate_core.contracts.direction import Direction
from translate_core.contracts.given import Given, given_of
from translate_core.contracts.method import Method
from translate_core.contracts.network import PRECISIONS, Calls, Network
from translate_core.contracts.role import Role
from translate_core.errors import UserError
from translate_core.runtime.meta import meta_device
from translate_core.runtime.randomness import Draws
from translate_core.training.failure import why_it_failed
from translate_core.training.size_constraint import SizeConstraint

_SIDES = (SIDE, 96, 128, 256, 512)

_COMBINATIONS = 12
"""Sets of networks that are tried for a method, at most."""


@dataclass(frozen=True)
class MethodSetup:
    """A method, on data, and what builds its networks.

    roles: role name -> what builds its network. side: height and width of images that fit every network.
    fault: why the method cannot be computed with these networks, in words; empty where it can. culprit: the role of
    the network that failed; empty if an equation did. reached: the networks that its tensors and its adversarial pairs
    call. needed: the tensors that are computed in the checks, None for all. losses: those of a recipe.
    """

    name: str
    stated: MethodOnData
    roles: Mapping[str, Build]
    side: int
    fault: str = ""
    culprit: str = ""
    reached: frozenset[str] = frozenset()
    needed: frozenset[str] | None = None
    losses: tuple[Block, ...] = ()

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """The tensors that are computed in the checks."""
        names = self.method.tensor_names()
        return names if self.needed is None else tuple(name for name in names if name in self.needed)

    @property
    def method(self) -> Method:
        """The method, on its data."""
        return self.stated.method

    @property
    def filled(self) -> tuple[Role, ...]:
        """The roles that have a network: all, or those that a recipe needs."""
        return tuple(role for role in self.method.roles if role.name in self.roles)

    @property
    def all_needed(self) -> frozenset[str]:
        """The needed tensors with which the method is bound by default."""
        return frozenset(self.method.tensor_names()) if self.needed is None else self.needed

    def build(self, device: str, seed: int = 0, precision: str = "fp32") -> BuiltMethod:
        """The networks on that device, the same for the same seed."""
        modules: dict[str, nn.Module] = {}
        for role in self.filled:
            with ambient(seed), torch.device(device):
                modules[role.name] = self.roles[role.name](**role.given(self.stated.channels, modules))
            modules[role.name].to(PRECISIONS[precision].dtype)
        return BuiltMethod(self, modules, device, precision)

    def given(self, seed: int = 0, *, targets: bool = False) -> dict[str, Tensor]:
        """What the data give for two examples. targets: with `target_<domain>`, as test images may have."""
        items = list(given_of(self.method.given))
        if targets:
            known = [item.name for item in items]
            more = [f"target_{domain}" for domain in self.stated.channels]
            items += [Given(name) for name in more if name not in known]
        return {item.name: self.stated.given(item, self.side, seed + place) for place, item in enumerate(items)}


class BuiltMethod:
    """The networks of a method, and batches on them."""

    def __init__(self, setup: MethodSetup, modules: Mapping[str, nn.Module], device: str, precision: str) -> None:
        self.setup = setup
        self.modules = modules
        self.device = device
        self.calls = Calls()
        self.precision = PRECISIONS[precision]
        self.handles = {
            role.name: Network(role, modules[role.name], self.calls, self.precision) for role in setup.filled
        }

    def placed(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Given tensors on the device of the networks; those of floating point in their dtype."""
        dtype = self.precision.dtype
        return {
            name: tensor.to(self.device, dtype if tensor.is_floating_point() else None)
            for name, tensor in given.items()
        }

    def batch(
        self,
        *,
        seed: int = 0,
        grad: bool = True,
        targets: bool = False,
        given: Mapping[str, Tensor] | None = None,
        needed: frozenset[str] | None = None,
        instead: Mapping[str, str] | None = None,
        options: Mapping[str, int | float] | None = None,
        integers: Callable[[int], int] | None = None,
    ) -> Method:
        """The method bound to a batch. seed: of what the data give, and of draws. given: in place of the former.

        The other arguments are those of `Method.tensors`; needed is by default every tensor.
        """
        return self.setup.method.tensors(
            self.placed(self.setup.given(seed, targets=targets) if given is None else given),
            self.handles,
            self.calls,
            Draws(seed, 0, 0, 0),
            grad=grad,
            needed=self.setup.all_needed if needed is None else needed,
            instead=instead,
            options=options,
            integers=integers,
        )

    def translation(self, direction: Direction, **others: Any) -> Method:
        """A batch as in translation: one test image, and labels; no gradients, evaluation mode.

        others: arguments of `batch`, and given tensors by the name `more`.
        """
        for module in self.modules.values():
            module.eval()
        more = others.pop("more", {})
        return self.batch(
            given={
                direction.given: self.example(direction.given, direction.source),
                **direction.labels(1, torch.device("cpu")),
                **more,
            },
            grad=False,
            **others,
        )

    def example(self, name: str, domain: str) -> Tensor:
        """A test image, or label map, of a domain, given under that name."""
        declared = next((item for item in given_of(self.setup.method.given) if item.name == name), Given(name))
        return self.setup.stated.given(replace(declared, domain=domain), self.setup.side, 0, count=1)


def largest(high: int) -> int:
    """Replaces the draws of `integer`: the largest number."""
    return high - 1


def smallest(high: int) -> int:
    """Replaces the draws of `integer`: 0."""
    return 0


def smallest_side(fits: Callable[[int], None], constraint: SizeConstraint) -> int | None:
    """The smallest of a few side lengths for which `fits` raises nothing; None if there is none.

    The declared size constraint comes first. A discriminator only sees images of the training size, so it need not
    declare one.
    """
    for side in _SIDES:
        fitting = fitted(side, constraint)
        try:
            fits(fitting)
        except Exception:  # whatever a network raises for images that are too small
            continue
        return fitting
    return None


def fitted(side: int, constraint: SizeConstraint) -> int:
    """The next side length that a size constraint permits."""
    return -(-max(side, constraint.smallest) // constraint.multiple) * constraint.multiple


def set_up(kit: Kit, block: Block, subject: Block | None = None) -> MethodSetup:
    """A method with networks for all its roles: the subject where it fits, else plain ones, else registered ones.

    Of several sets of networks it is the first with which all tensors can be computed.

    subject: the network component that is checked.
    Raises NotTested if no registered component fits a role, or the method accepts no data; Broken if it fails on them.
    """
    key = ("setup", block.registration.name)
    if subject is None and key in kit.kept:
        return kit.kept[key]
    stated = on_data(block)
    found: MethodSetup | None = None
    for roles in islice(Search(kit, stated, block.registration.name, subject).combinations(), _COMBINATIONS):
        setup = _sized(MethodSetup(block.registration.name, stated, roles, SIDE))
        if found is None or not setup.fault:
            found = setup
        if not setup.fault:
            break
    assert found is not None
    if subject is None:
        kit.kept[key] = found
    return found


def _sized(setup: MethodSetup) -> MethodSetup:
    """The setup with images of the smallest side with which it can be computed, or with its fault."""
    try:
        constraint = SizeConstraint.of(setup.build("meta").modules.values())
    except Exception as error:  # whatever a component's constructor raises
        return replace(setup, fault=why_it_failed(error))

    reached: set[str] = set()

    def fits(side: int) -> None:
        built = replace(setup, side=side).build("meta")
        with meta_device():
            for _, compute in computations(built.batch(targets=True, integers=largest), setup.tensor_names):
                compute()
        reached.update(built.calls.reached)

    side = smallest_side(fits, constraint)
    if side is not None:
        return replace(setup, side=side, reached=frozenset(reached))
    return _with_fault(replace(setup, side=fitted(SIDE, constraint)))


def _with_fault(setup: MethodSetup) -> MethodSetup:
    """The setup with the first fault and its culprit; and all networks that are reached in spite of it."""
    built = setup.build("meta")
    for what, compute in computations(built.batch(targets=True, integers=largest), setup.tensor_names):
        try:
            with meta_device():
                compute()
        except Exception as error:  # whatever a component raises
            reason = f"cannot be computed: {error}" if isinstance(error, UserError) else why_it_failed(error)
            if not setup.fault:
                setup = replace(setup, fault=f"{what} {reason}", culprit=_culprit(built, error))
    return replace(setup, reached=frozenset(built.calls.reached))


def _culprit(built: BuiltMethod, error: Exception) -> str:
    """The role of the network in which an exception was raised; empty if it was raised in none."""
    owners = {id(module): name for name, module in built.modules.items()}
    owners |= {id(handle): name for name, handle in built.handles.items()}
    found, place = "", error.__traceback__
    while place is not None:
        found = owners.get(id(place.tb_frame.f_locals.get("self")), found)
        place = place.tb_next
    return found


def computations(batch: Method, names: Sequence[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """These tensors of a batch, then every call of a discriminator: each in words, and what computes it."""
    for name in names:
        yield f"tensor '{name}'", partial(batch.__getitem__, name)
    for discriminator, pair in batch.adversarial_pairs.items():
        if discriminator not in batch._networks:
            continue
        declared = adversarial_pair(pair)
        for names in (declared.names("real"), declared.names("fake")):
            called = " and ".join(f"'{name}'" for name in names)
            yield f"{discriminator}, called with {called},", partial(_called, batch, discriminator, names)


def _called(batch: Method, network: str, names: Sequence[str]) -> Any:
    return batch.network(network)(*(batch[name] for name in names))
