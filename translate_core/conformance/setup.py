"""A method with a network for each role, on which networks, losses and methods are checked together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from translate_core.components.blocks import Block
from translate_core.conformance.kit import SIDE, Kit, ambient
from translate_core.conformance.plain import PLAIN, Build
from translate_core.conformance.promise import NotTested
from translate_core.conformance.stated import MethodOnData, StatedMethod, on_data
from translate_core.contracts.adversarial import adversarial_pair
from translate_core.contracts.direction import Direction
from translate_core.contracts.given import Given, given_of
from translate_core.contracts.method import Method
from translate_core.contracts.network import PRECISIONS, Calls, Network
from translate_core.contracts.role import Role
from translate_core.errors import UserError
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
    for roles in islice(_Search(kit, stated, block.registration.name, subject).combinations(), _COMBINATIONS):
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
        with torch.device("meta"):
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
            with torch.device("meta"):
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


class _Search:
    """Searches networks for the roles of a method. Roles that need the same get the same component."""

    def __init__(self, kit: Kit, stated: StatedMethod, name: str, subject: Block | None) -> None:
        self.kit = kit
        self.stated = stated
        self.name = name
        self.subject = subject
        self.missing = ""
        self.groups: dict[tuple[Any, ...], list[Role]] = {}
        for role in stated.method.roles:
            self.groups.setdefault(self._needs(role), []).append(role)

    def combinations(self) -> Iterator[dict[str, Build]]:
        """What builds the network of each role, in the order of preference. Raises NotTested if there is none."""
        found = False
        for roles in self._filled(list(self.groups.values()), {}, {}):
            found = True
            yield roles
        if not found:
            raise NotTested(f"method {self.name} needs {self.missing}, and no such component is registered")

    def _needs(self, role: Role) -> tuple[Any, ...]:
        tapped = next((other.kind for other in self.stated.method.roles if other.name == role.tapped), "")
        return (role.kind, role.methods, role.conditions, role.supplied(), role.default, self._taps(role), tapped)

    def _taps(self, role: Role) -> tuple[str, ...]:
        return tuple(tap for other in self.stated.method.roles if other.tapped == role.name for tap in other.taps)

    def _filled(
        self, groups: Sequence[list[Role]], chosen: dict[str, Build], modules: dict[str, nn.Module]
    ) -> Iterator[dict[str, Build]]:
        if not groups:
            yield chosen
            return
        roles = groups[0]
        tried = False
        for build in self._candidates(roles[0]):
            built = self._built(roles, build, modules)
            if built is None:
                continue
            tried = True
            yield from self._filled(
                groups[1:], {**chosen, **dict.fromkeys((role.name for role in roles), build)}, {**modules, **built}
            )
            if build is self.subject:
                return
        if not tried:
            self.missing = self.missing or self._wanted(roles[0])

    def _candidates(self, role: Role) -> Iterator[Build]:
        """Components for a role, the preferred first, without a check of what they build."""
        if self.subject is not None and self.subject.registration.kind == role.kind:
            yield self.subject
        if role.kind in PLAIN and not role.methods and not self._taps(role):
            yield PLAIN[role.kind]
        registered = [block for block in self.kit.blocks(role.kind) if _takes(block, role)]
        sizes: dict[str, int] = {}
        for block in registered:
            built = self._built([role], block, {}) if not role.tapped else None
            sizes[block.registration.name] = _size(built[role.name]) if built else 0
        yield from sorted(
            registered, key=lambda block: (block.registration.name != role.default, sizes[block.registration.name])
        )

    def _built(
        self, roles: Sequence[Role], build: Build, modules: Mapping[str, nn.Module]
    ) -> dict[str, nn.Module] | None:
        """The networks on the meta device, if they can be built and have what their roles need."""
        if isinstance(build, Block) and not _takes(build, roles[0]):
            return None
        built: dict[str, nn.Module] = {}
        for role in roles:
            try:
                with torch.device("meta"):
                    module = build(**role.given(self.stated.channels, {**modules, **built}))
            except Exception:  # whatever a component's constructor raises; the component's own check reports it
                return None
            declared = getattr(module, "taps", {})
            has_methods = all(callable(getattr(module, name, None)) for name in role.methods)
            if not has_methods or not all(tap in declared for tap in self._taps(role)):
                return None
            built[role.name] = module
        return built

    def _wanted(self, role: Role) -> str:
        wanted = [*(f"a method '{name}'" for name in role.methods), *(f"a tap '{tap}'" for tap in self._taps(role))]
        wanted += [f"the condition '{name}'" for name in role.conditions]
        wanted += [f"the argument '{name}'" for name in role.extra]
        return f"a {role.kind}{' with ' if wanted else ''}{', '.join(wanted)}"


def _takes(block: Block, role: Role) -> bool:
    """Whether a component takes what its role supplies to its constructor, and what the method passes to `forward`."""
    if set(block.registration.supplied) != set(role.supplied()):
        return False
    if role.kind == "head":
        return True
    return accepts(block, len(role.conditions) + (1 if role.inputs else 0))


def accepts(block: Block, count: int) -> bool:
    """Whether the `forward` of a network component accepts that number of positional arguments."""
    forward = getattr(block.registration.component, "forward", None)
    if forward is None:
        return False
    try:
        inspect.signature(forward).bind(None, *[None] * count)
    except TypeError:
        return False
    return True


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
