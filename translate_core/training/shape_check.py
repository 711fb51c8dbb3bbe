"""The shape check: everything that a run computes, once, on meta-device copies of its networks.

It finds tensors that the method lacks, channels and sizes that do not fit, values read while training, and networks
that no loss trains, before anything is allocated. It also records which tensors and networks this run needs.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from translate_core.components.blocks import Block
from translate_core.contracts.dataset import Dataset
from translate_core.contracts.direction import Direction
from translate_core.contracts.method import Method
from translate_core.contracts.network import Calls, Network, Precision
from translate_core.contracts.tensor import MissingTensorError
from translate_core.errors import Fault, UserError, explain
from translate_core.recipe.overrides import flatten
from translate_core.recipe.resolved import ResolvedNetwork, ResolvedRecipe
from translate_core.runtime.randomness import Draws, numpy_generator
from translate_core.training.failure import why_it_failed
from translate_core.training.meta_networks import MetaNetworks
from translate_core.training.phase import WeightedLoss

_ANY_SIZE = 256
"""Height and width that are tried where the images of a dataset differ in size."""


@dataclass(frozen=True)
class Comparison:
    """Two tensors of test images that a metric compares. metric: its name in the recipe."""

    metric: str
    output: str
    reference: str


@dataclass(frozen=True)
class ShapeCheck:
    """The result of the shape check.

    needed: the tensors that the losses use. networks: those that are trained, by role. parameters: their numbers.
    sides: the sides that have a loss, in the order of their updates. show: by direction, the tensors of sample grids.
    comparisons: by direction, what the metrics compare.
    """

    needed: frozenset[str]
    networks: Mapping[str, ResolvedNetwork]
    parameters: Mapping[str, int]
    sides: Sequence[str]
    show: Mapping[str, Sequence[str]]
    comparisons: Mapping[str, Sequence[Comparison]]


def check_shapes(recipe: ResolvedRecipe, dataset: Dataset) -> tuple[ShapeCheck | None, list[Fault]]:
    """The result for a recipe on its opened data, None if there are faults; and all faults."""
    checker = _Checker(recipe, dataset)
    result = checker.run()
    return (None if checker.faults else result), checker.faults


class _Checker:
    def __init__(self, recipe: ResolvedRecipe, dataset: Dataset) -> None:
        self.recipe = recipe
        self.dataset = dataset
        self.faults: list[Fault] = []
        self.calls = Calls()
        self.handles: dict[str, Network] = {}
        self.needed: frozenset[str] = frozenset()
        self.networks = MetaNetworks(recipe, dataset, self.fault)

    def fault(self, path: str, message: str) -> None:
        fault = Fault(path, message)
        if fault not in self.faults:
            self.faults.append(fault)

    def run(self) -> ShapeCheck | None:
        if not self._data_suffice():
            return None
        modules = self.networks.build()
        self._build_metrics_and_observers()
        if self.faults:
            return None
        self.handles = {
            name: Network(self.recipe.networks[name].role, module, self.calls, Precision())
            for name, module in modules.items()
        }
        losses = self._prepare_losses()
        # A method may compute a tensor in another way once it is known what the losses use (fused passes): the second
        # evaluation computes what the run will compute.
        self.needed = self._tensors_used(losses)
        totals = self._totals(losses)
        trained = {name for side, total in totals.items() for name in self._trained(side, modules, total)}
        if self.faults:
            return None
        reached = set(self.calls.reached)
        self.calls.reached.clear()
        directions = self.recipe.method.directions
        show = {name: self._show(direction) for name, direction in directions.items()}
        comparisons = {name: self._comparisons(direction) for name, direction in directions.items()}
        self._unused_metrics(comparisons)
        networks = self._trained_networks(modules, trained, reached | self.calls.reached)
        return ShapeCheck(
            needed=self.needed,
            networks=networks,
            parameters={name: sum(p.numel() for p in modules[name].parameters()) for name in networks},
            sides=tuple(totals),
            show=show,
            comparisons=comparisons,
        )

    # Data and networks

    def _data_suffice(self) -> bool:
        roles = [network.role for network in self.recipe.networks.values()]
        domains = {domain for role in roles for domain in (*role.inputs, *role.outputs)}
        for domain in sorted(domains - self.dataset.channels.keys()):
            self.fault(
                "data",
                f"the method needs images of domain {domain}; the dataset has: {', '.join(self.dataset.channels)}",
            )
        supplied = self._draw()
        for name in self.recipe.method.given:
            if name not in supplied:
                self.fault("data", f"the method needs '{name}'; the dataset supplies: {', '.join(supplied)}")
        return not self.faults

    def _build_metrics_and_observers(self) -> None:
        """Builds once what would otherwise first be built during training."""
        kinds: tuple[tuple[str, Mapping[str, Block]], ...] = (
            ("metrics", {name: metric.block for name, metric in self.recipe.metrics.items()}),
            ("observers", self.recipe.observers),
        )
        for key, blocks in kinds:
            for name, block in blocks.items():
                try:
                    block()
                except Exception as error:  # a component's constructor may raise anything
                    self.fault(f"{key}.{name}", explain(error))

    # Losses

    def _prepare_losses(self) -> list[WeightedLoss]:
        losses = []
        for name, item in self.recipe.losses.items():
            try:
                with torch.device("meta"):
                    loss = item.block()
                    loss.prepare(self.recipe.method)
            except Exception as error:  # a component's constructor may raise anything
                self.fault(f"losses.{name}", explain(error))
                continue
            losses.append(WeightedLoss(name, loss.to("meta"), item.weight))
        return losses

    def _tensors_used(self, losses: Sequence[WeightedLoss]) -> frozenset[str]:
        used: set[str] = set()
        for side in self.recipe.method.order:
            for loss in losses:
                used |= self._evaluate(loss, side)[1]
        return frozenset(used)

    def _totals(self, losses: Sequence[WeightedLoss]) -> dict[str, Tensor]:
        """The sum of the losses of each side that has any, in the order of updates."""
        totals = {}
        for side in self.recipe.method.order:
            parts = [part for loss in losses for part in self._evaluate(loss, side)[0]]
            if parts:
                totals[side] = torch.stack(parts).sum()
        return totals

    def _evaluate(self, loss: WeightedLoss, side: str) -> tuple[list[Tensor], frozenset[str]]:
        """The parts of a loss for a side, and the tensors that it used. A loss that fails has no parts."""
        batch = self._batch(self._training_batch(), grad=True)
        self.networks.mismatch = ""
        try:
            with torch.device("meta"), warnings.catch_warnings():
                # torch's losses only warn when shapes differ, and broadcast.
                warnings.filterwarnings("error", message="Using a target size", category=UserWarning)
                return list(loss.compute(side, batch, self.calls).values()), batch.used()
        except UserError as error:
            self.fault(self._path_of_unknown_tensor(f"losses.{loss.name}", batch), str(error))
        except Exception as error:  # a component's arithmetic may raise anything
            self.fault(f"losses.{loss.name}", self._why(error))
        return [], frozenset()

    def _trained(self, side: str, modules: Mapping[str, nn.Module], total: Tensor) -> Iterator[str]:
        """The networks of a side that get a gradient from its total loss."""
        for name, module in modules.items():
            if self.recipe.networks[name].role.side != side:
                continue
            parameters = [p for p in module.parameters() if p.requires_grad]
            with contextlib.suppress(RuntimeError):  # the total depends on nothing that is trained
                gradients = torch.autograd.grad(total, parameters, allow_unused=True, retain_graph=True)
                if any(gradient is not None for gradient in gradients):
                    yield name

    def _trained_networks(
        self, modules: Mapping[str, nn.Module], trained: set[str], reached: set[str]
    ) -> dict[str, ResolvedNetwork]:
        """The networks that are trained. reached: those that a loss, a metric or a direction calls."""
        untrained = [name for name in modules if name not in trained and name in reached]
        if untrained:
            self.fault(
                "losses",
                f"none of them trains {', '.join(untrained)}, which this run needs: add one that depends on it",
            )
        return {name: self.recipe.networks[name] for name in modules if name in trained}

    # Directions: what sample grids show and what metrics compare

    def _show(self, direction: Direction) -> tuple[str, ...]:
        shown = [name for name in direction.show if name in self.needed]
        candidates = dict.fromkeys((direction.given, direction.output, *direction.always, *shown))
        return tuple(name for name in candidates if self._computable(direction, name, "method"))

    def _comparisons(self, direction: Direction) -> tuple[Comparison, ...]:
        found = []
        for name, metric in self.recipe.metrics.items():
            pairs = metric.pairs if metric.pairs is not None else {direction.output: direction.target_tensor}
            for output, reference in pairs.items():
                path = f"metrics.{name}"
                if self._computable(direction, output, path) and self._computable(direction, reference, path):
                    found.append(Comparison(name, output, reference))
        return tuple(found)

    def _unused_metrics(self, comparisons: Mapping[str, Sequence[Comparison]]) -> None:
        """A fault for each metric that the recipe names and that no direction can compute."""
        used = {comparison.metric for found in comparisons.values() for comparison in found}
        for name, metric in self.recipe.metrics.items():
            has_fault = any(f"{fault.path}.".startswith(f"metrics.{name}.") for fault in self.faults)
            if name in used or metric.default or has_fault:
                continue
            directions = self.recipe.method.directions.values()
            pairs = metric.pairs or {direction.output: direction.target_tensor for direction in directions}
            wanted = ", ".join(f"{output} with {reference}" for output, reference in pairs.items())
            self.fault(
                f"metrics.{name}",
                f"compares {wanted}, and no test images give both: "
                f"set its `pairs` to tensors that they do give, or leave the metric out",
            )

    def _computable(self, direction: Direction, name: str, path: str) -> bool:
        """Whether a tensor follows from the test images of a direction. path: of the recipe, for faults."""
        batch = self._batch(self._test_images(direction), grad=False)
        self.networks.mismatch = ""
        try:
            with torch.device("meta"), torch.no_grad():
                _ = batch[name]
        except MissingTensorError:
            return False
        except UserError as error:
            self.fault(self._path_of_unknown_tensor(path, batch), str(error))
            return False
        except Exception as error:  # a component's arithmetic may raise anything
            self.fault(path, f"tensor '{name}' {self._why(error)}")
            return False
        return True

    # Batches on the meta device

    def _batch(self, given: Mapping[str, Tensor], *, grad: bool) -> Method:
        draws = Draws(0, 0, 0, 0)
        return self.recipe.method.tensors(given, self.handles, self.calls, draws, grad=grad, needed=self.needed)

    def _draw(self) -> Mapping[str, Tensor]:
        return self.dataset.train.draw(0, numpy_generator(0, "shape check"))

    def _training_batch(self) -> dict[str, Tensor]:
        drawn = self._draw()
        count = self.recipe.training.batch_size
        return {name: self._images(drawn[name].shape[0], count) for name in self.recipe.method.given}

    def _test_images(self, direction: Direction) -> dict[str, Tensor]:
        split = self.dataset.test.get(direction.source)
        supplied = tuple(split[0]) if split is not None and len(split) else ()
        domains = {direction.given: direction.source}
        domains.update({name: name.rpartition("_")[2] for name in supplied if name not in domains})
        return {name: self._images(self.dataset.channels[domain], 1) for name, domain in domains.items()}

    def _images(self, channels: int, count: int) -> Tensor:
        height, width = self.dataset.size or (_ANY_SIZE, _ANY_SIZE)
        return torch.empty(count, channels, height, width, device="meta")

    # Messages

    def _path_of_unknown_tensor(self, path: str, batch: Method) -> str:
        """The key below `path` in which the recipe names a tensor that does not exist; `path` if there is none."""
        unknown = batch.used() - set(batch.tensor_names())
        for key, value in flatten(self.recipe.record).items():
            named = isinstance(value, str) and value in unknown
            if key.startswith(f"{path}.") and (named or key.rpartition(".")[2] in unknown):
                return key
        return path

    def _why(self, error: Exception) -> str:
        mismatch = self.networks.mismatch
        if not mismatch:
            return why_it_failed(error)
        remedy = "give the domains equal numbers of channels under `data`, or leave this out"
        return f"cannot be computed: {mismatch}; {remedy}"
