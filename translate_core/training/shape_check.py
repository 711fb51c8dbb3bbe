"""A rehearsal of a run on meta-device copies: every term once, before anything is allocated.

It finds tensors that the method lacks, channels and sizes that do not fit, values read while training, and networks
that nothing trains; and it learns which tensors and networks this run needs.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from translate_core.components.blocks import Block
from translate_core.contracts.dataset import Dataset
from translate_core.contracts.direction import Direction
from translate_core.contracts.method import Method
from translate_core.contracts.network import Calls, Network, Precision
from translate_core.contracts.role import Role
from translate_core.contracts.tensor import MissingTensorError
from translate_core.errors import Fault, UserError, explain, raised_at
from translate_core.recipe.overrides import flatten
from translate_core.recipe.resolved import ResolvedNetwork, ResolvedRecipe
from translate_core.runtime.randomness import Draws, numpy_generator
from translate_core.training.phase import WeightedLoss

_ANY_SIZE = 256


@dataclass(frozen=True)
class ShapeCheck:
    """What a rehearsal learnt.

    needed: the tensors that the losses ask for. networks: the roles that are trained, by name.
    parameters: parameter counts of them.
    show: by direction, the tensors to draw. compared: by direction, (metric, tensor, reference).
    sides: the sides that have something to minimise, in the method's order.
    """

    needed: frozenset[str]
    networks: Mapping[str, ResolvedNetwork]
    parameters: Mapping[str, int]
    show: Mapping[str, tuple[str, ...]]
    compared: Mapping[str, tuple[tuple[str, str, str], ...]]
    sides: tuple[str, ...]


def rehearse(resolved: ResolvedRecipe, dataset: Dataset) -> tuple[ShapeCheck | None, list[Fault]]:
    """The shapes of a run, and every fault found on the way; None where there are faults."""
    rehearsal = _Rehearsal(resolved, dataset)
    shapes = rehearsal.run()
    return (None if rehearsal.faults else shapes), rehearsal.faults


class _Rehearsal:
    def __init__(self, resolved: ResolvedRecipe, dataset: Dataset) -> None:
        self.recipe = resolved
        self.dataset = dataset
        self.faults: list[Fault] = []
        self.calls = Calls()
        self.mismatch = ""

    def fault(self, path: str, message: str) -> None:
        fault = Fault(path, message)
        if fault not in self.faults:
            self.faults.append(fault)

    def run(self) -> ShapeCheck | None:
        if not self._domains_exist():
            return None
        modules = self._networks()
        self._buildable()
        if self.faults:
            return None
        self.handles = {
            name: Network(self.recipe.networks[name].role, module, self.calls, Precision())
            for name, module in modules.items()
        }
        terms = self._terms()
        needed: set[str] = set()
        trained: set[str] = set()
        sides = []
        for side in self.recipe.method.order:
            played = self._play(side, terms, needed)
            if played is None:
                continue
            sides.append(side)
            trained |= self._trained(side, modules, played)
        if self.faults:
            return None
        by_losses = frozenset(self.calls.reached)
        self.calls.reached.clear()
        show, compared = self._directions(needed)
        networks = self._used(modules, trained, by_losses | self.calls.reached)
        counts = {name: sum(p.numel() for p in modules[name].parameters()) for name in networks}
        return ShapeCheck(frozenset(needed), networks, counts, show, compared, tuple(sides))

    def _domains_exist(self) -> bool:
        domains = {
            domain
            for resolved in self.recipe.networks.values()
            for domain in (*resolved.role.inputs, *resolved.role.outputs)
        }
        for domain in sorted(domains - self.dataset.channels.keys()):
            self.fault(
                "data",
                f"the method needs images of domain {domain}; the data set has: {', '.join(self.dataset.channels)}",
            )
        supplied = self.dataset.train.draw(0, _zero_rng())
        for name in self.recipe.method.given:
            if name not in supplied:
                self.fault("data", f"the method needs '{name}'; the data set supplies: {', '.join(supplied)}")
        return not self.faults

    def _networks(self) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {}
        for name, resolved in self.recipe.networks.items():
            if resolved.role.tapped and resolved.role.tapped not in modules:
                continue  # told already
            try:
                given = resolved.role.given(self.dataset.channels, modules)
            except UserError as error:
                self.fault(self._place_of_taps(resolved.role), str(error))
                continue
            try:
                with torch.device("meta"):
                    module = resolved.block(**given)
            except Exception as error:  # whatever a component's constructor raises
                self.fault(
                    resolved.path, f"{resolved.block.registration.name} cannot be built as {name}: {explain(error)}"
                )
                continue
            for method in resolved.role.methods:
                if not callable(getattr(module, method, None)):
                    self.fault(
                        resolved.path, f"{name} needs a {resolved.role.kind} with a method '{method}', "
                        f"which {resolved.block.registration.name} does not have",
                    )  # fmt: skip
            self._size_fits(resolved, module)
            if resolved.role.inputs:
                self._watch(resolved, module, given["in_channels"])
            modules[name] = module
        return modules

    def _place_of_taps(self, role: Role) -> str:
        """The option of the method that names the taps of a head, if it is one."""
        options = flatten({"method": self.recipe.record["method"]})
        return next((key for key, value in options.items() if value == list(role.taps)), "method")

    def _watch(self, resolved: ResolvedNetwork, module: nn.Module, expected: int) -> None:
        """Remembers a call with other channels than the network was built for: should it fail, this is why."""
        role = resolved.role

        def look(_: nn.Module, arguments: tuple[Any, ...]) -> None:
            image = arguments[0] if arguments else None
            if isinstance(image, Tensor) and image.dim() == 4 and image.shape[1] != expected:
                self.mismatch = (
                    f"{role.name} takes images of {' and '.join(role.inputs)} with {expected} "
                    f"channel{'s' if expected > 1 else ''}, and was given {image.shape[1]}"
                )

        module.register_forward_pre_hook(look)

    def _buildable(self) -> None:
        """What would only be built when training is under way is built once before."""
        kinds: tuple[tuple[str, Mapping[str, Block]], ...] = (
            ("metrics", {name: resolved.block for name, resolved in self.recipe.metrics.items()}),
            ("observers", self.recipe.observers),
        )
        for key, blocks in kinds:
            for name, block in blocks.items():
                try:
                    block()
                except Exception as error:  # whatever a component's constructor raises
                    self.fault(f"{key}.{name}", explain(error))

    def _size_fits(self, resolved: ResolvedNetwork, module: nn.Module) -> None:
        multiple, smallest = int(getattr(module, "multiple", 1)), int(getattr(module, "smallest", 1))
        size = self.dataset.size
        if size is None:
            return
        height, width = size
        name = resolved.block.registration.name
        if height % multiple or width % multiple:
            needs = f"sides that are multiples of {multiple}"
        elif min(size) < smallest:
            needs = f"sides of at least {smallest}"
        else:
            return
        self.fault(
            resolved.path,
            f"{name} needs images with {needs}, and they are {height}×{width}: "
            f"change their size under `data`, or the options of {name}",
        )

    def _terms(self) -> list[WeightedLoss]:
        terms = []
        for name, loss in self.recipe.losses.items():
            try:
                with torch.device("meta"):
                    module = loss.block()
                    module.prepare(self.recipe.method)
            except Exception as error:  # whatever a component's constructor raises
                self.fault(f"losses.{name}", explain(error))
                continue
            terms.append(WeightedLoss(name, module.to("meta"), loss.weight))
        return terms

    def _batch(self, given: Mapping[str, Tensor], *, grad: bool) -> Method:
        return self.recipe.method.tensors(given, self.handles, self.calls, Draws(0, 0, 0, 0), grad=grad)

    def _images(self, domain: str, count: int) -> Tensor:
        height, width = self.dataset.size or (_ANY_SIZE, _ANY_SIZE)
        return torch.empty(count, self.dataset.channels[domain], height, width, device="meta")

    def _given(self) -> dict[str, Tensor]:
        """What the data supplies, by the shape of a draw."""
        drawn = self.dataset.train.draw(0, _zero_rng())
        count = self.recipe.training.batch_size
        fallback = (_ANY_SIZE, _ANY_SIZE)
        return {
            name: torch.empty(count, drawn[name].shape[0], *(self.dataset.size or fallback), device="meta")
            for name in self.recipe.method.given
        }

    def _play(self, side: str, terms: list[WeightedLoss], needed: set[str]) -> Tensor | None:
        """The sum of a side's losses, None where nothing plays for it."""
        total = None
        for term in terms:
            batch = self._batch(self._given(), grad=True)
            self.mismatch = ""
            try:
                with torch.device("meta"), warnings.catch_warnings():
                    # torch's losses warn and broadcast, which trains on nonsense.
                    warnings.filterwarnings("error", message="Using a target size", category=UserWarning)
                    parts = term.compute(side, batch, self.calls)
            except UserError as error:
                self.fault(self._place_of(f"losses.{term.name}", batch), str(error))
                continue
            except Exception as error:  # whatever a component's arithmetic raises
                self.fault(f"losses.{term.name}", self._arithmetic(error))
                continue
            needed |= batch.asked()
            for value in parts.values():
                total = value if total is None else total + value
        return total

    def _trained(self, side: str, modules: Mapping[str, nn.Module], total: Tensor) -> set[str]:
        """Networks of that side that the sum of its losses sends a gradient to."""
        names = [name for name in modules if self.recipe.networks[name].role.side == side]
        trained = set()
        with contextlib.suppress(RuntimeError):  # the total depends on nothing that is trained
            for name in names:
                parameters = [p for p in modules[name].parameters() if p.requires_grad]
                gradients = torch.autograd.grad(total, parameters, allow_unused=True, retain_graph=True)
                if any(gradient is not None for gradient in gradients):
                    trained.add(name)
        return trained

    def _used(
        self, modules: Mapping[str, nn.Module], trained: set[str], reached: frozenset[str]
    ) -> dict[str, ResolvedNetwork]:
        """The networks that are trained. reached: by a loss, a metric or a translation; those must be among them."""
        untrained = [name for name in modules if name not in trained and name in reached]
        if untrained:
            self.fault(
                "losses",
                f"none of them trains {', '.join(untrained)}, which this run needs: add one that depends on it",
            )
        return {name: self.recipe.networks[name] for name in modules if name in trained}

    def _directions(
        self, needed: set[str]
    ) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[tuple[str, str, str], ...]]]:
        show = {}
        compared: dict[str, tuple[tuple[str, str, str], ...]] = {}
        computable: set[str] = set()
        for name, direction in self.recipe.method.directions.items():
            given = {direction.given: self._images(direction.source, 1)}
            for key in self._test_keys(direction):
                given.setdefault(key, self._images(key.rpartition("_")[2], 1))
            shown = [item for item in direction.show if item in needed]
            wanted = dict.fromkeys((direction.given, direction.output, *direction.always, *shown))
            show[name] = tuple(item for item in wanted if self._computable(given, item))
            compared[name], asked = self._compared(direction, given)
            computable |= asked
        for name, resolved in self.recipe.metrics.items():
            told = any(f"{fault.path}.".startswith(f"metrics.{name}.") for fault in self.faults)
            if name not in computable and not resolved.default and not told:
                pairs = resolved.pairs or {
                    direction.output: direction.target_tensor for direction in self.recipe.method.directions.values()
                }
                wants = ", ".join(f"{output} with {reference}" for output, reference in pairs.items())
                self.fault(
                    f"metrics.{name}",
                    f"compares {wants}, and no test images give both: "
                    f"set its `pairs` to tensors that they do give, or leave the metric out",
                )
        return show, compared

    def _compared(
        self, direction: Direction, given: Mapping[str, Tensor]
    ) -> tuple[tuple[tuple[str, str, str], ...], set[str]]:
        found = []
        for name, resolved in self.recipe.metrics.items():
            pairs = resolved.pairs if resolved.pairs is not None else {direction.output: direction.target_tensor}
            for output, reference in pairs.items():
                if self._computable(given, output, f"metrics.{name}") and self._computable(
                    given, reference, f"metrics.{name}"
                ):
                    found.append((name, output, reference))
        return tuple(found), {name for name, _, _ in found}

    def _test_keys(self, direction: Direction) -> tuple[str, ...]:
        split = self.dataset.test.get(direction.source)
        return tuple(split[0]) if split is not None and len(split) else ()

    def _computable(self, given: Mapping[str, Tensor], name: str, path: str = "method") -> bool:
        batch = self._batch(given, grad=False)
        self.mismatch = ""
        try:
            with torch.device("meta"), torch.no_grad():
                _ = batch[name]
        except MissingTensorError:
            return False
        except UserError as error:
            self.fault(self._place_of(path, batch), str(error))
            return False
        except Exception as error:  # whatever a component's arithmetic raises
            self.fault(path, f"tensor '{name}' {self._arithmetic(error)}")
            return False
        return True

    def _place_of(self, path: str, batch: Method) -> str:
        """The key below `path` in which the recipe names a tensor that does not exist, else `path` itself."""
        unknown = batch.asked() - set(batch.tensor_names())
        for key, value in flatten(self.recipe.record).items():
            named = isinstance(value, str) and value in unknown
            if key.startswith(f"{path}.") and (named or key.rpartition(".")[2] in unknown):
                return key
        return path

    def _arithmetic(self, error: Exception) -> str:
        """Why a component's equations failed in the rehearsal, in words for who wrote the recipe or the component."""
        if self.mismatch:
            return (
                f"cannot be computed: {self.mismatch}; give the domains equal numbers of channels under `data`, "
                f"or leave this out"
            )
        return why_it_failed(error)


def why_it_failed(error: Exception) -> str:
    """Why a component's equations failed, in words for who wrote it; mostly on meta tensors, which have no values."""
    text = str(error).strip().partition("\n")[0]
    where = raised_at(error)
    if any(part in text for part in _READS_VALUE):
        return (
            f"reads the value of a tensor, so every step would wait for the device: use tensor operations in place "
            f"of .item(), float(), .cpu(), `if` and masks as indices{where}"
        )
    if "no fake impl or Meta kernel" in text:
        return (
            f"uses the operator {text.partition(': ')[0]}, which torch cannot compute without values: write it "
            f"with others, or give it a fake implementation (torch.library.register_fake){where}"
        )
    if "is not on the expected device meta" in text:
        return f"uses a tensor that stays on the CPU: register it as a buffer, or make it on images.device{where}"
    if isinstance(error, UserWarning):
        sizes = [size.replace(", ", "×") for size in re.findall(r"Size\(\[([\d, ]*)\]\)", text)]
        return f"compares tensors of different shapes, {' and '.join(reversed(sizes))}{where}"
    if isinstance(error, RuntimeError | ValueError):
        return f"cannot be computed with these networks and images: {text}{where}"
    return f"failed: {type(error).__name__}: {text}{where}"


_READS_VALUE = (
    "on meta tensors",
    "out of meta tensor",
    "meta device type tensor to numpy",
    "torch.nonzero()",
    "aten::nonzero:",  # the same in torch 2.6
)
"""What torch says where a value is asked of a tensor that has none."""


def _zero_rng() -> Any:
    return numpy_generator(0, "rehearsal")
