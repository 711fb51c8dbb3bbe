"""The shape check: everything that a run computes, once, on meta-device copies of its networks.

It finds tensors that the method lacks, channels and sizes that do not fit, values read while training, and networks
that no loss trains, before anything is allocated. It also records which tensors and networks this run needs.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from translate_core.components.blocks import Block
from translate_core.contracts.dataset import Dataset
from translate_core.contracts.direction import Direction
from translate_core.contracts.given import given_of
from translate_core.contracts.method import Method
from translate_core.contracts.network import Calls, Network, Precision
from translate_core.contracts.parameters import parameters_of
from translate_core.contracts.tensor import MissingTensorError
from translate_core.contracts.update import Update
from translate_core.errors import Fault, UserError, explain
from translate_core.recipe.overrides import flatten
from translate_core.recipe.resolved import ResolvedMetric, ResolvedNetwork, ResolvedRecipe
from translate_core.runtime.meta import meta_device
from translate_core.training.failure import why_it_failed
from translate_core.training.graph import NOWHERE, reach_of
from translate_core.training.meta_batches import MetaBatches
from translate_core.training.meta_networks import MetaNetworks
from translate_core.training.phase import WeightedLoss
from translate_core.training.update_check import (
    CheckedUpdate,
    EvaluatedLoss,
    checked,
    has_parameters,
    merged,
    of_loss,
    part_faults,
    sharing_faults,
)


@dataclass(frozen=True)
class Comparison:
    """Two tensors of test images that a metric compares.

    metric: its name in the recipe. reference: None for the set of images of the target domain.
    """

    metric: str
    output: str
    reference: str | None


@dataclass(frozen=True)
class ShapeCheck:
    """The result of the shape check.

    needed: the tensors that the losses use. updates: those that have a loss, by name, in their order. networks: those
    that the run needs, by role. parameters: their numbers. applied: the networks that the directions reach: those
    that are averaged, exported and applied. show: by direction, the tensors of sample grids. comparisons: by direction,
    what the metrics compare.
    """

    needed: frozenset[str]
    updates: Mapping[str, CheckedUpdate]
    networks: Mapping[str, ResolvedNetwork]
    parameters: Mapping[str, int]
    applied: tuple[str, ...]
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
        self.modules: dict[str, nn.Module] = {}
        self.handles: dict[str, Network] = {}
        self.needed: frozenset[str] = frozenset()
        self.tests: dict[tuple[str, str], Method] = {}
        self.networks = MetaNetworks(recipe, dataset, self.fault)
        self.batches = MetaBatches(recipe, dataset)

    def fault(self, path: str, message: str) -> None:
        fault = Fault(path, message)
        if fault not in self.faults:
            self.faults.append(fault)

    def run(self) -> ShapeCheck | None:
        if not self._data_suffice():
            return None
        self.modules = self.networks.build()
        self._build_metrics_and_observers()
        if self.faults:
            return None
        self.handles = {
            name: Network(self.recipe.networks[name].role, module, self.calls, Precision())
            for name, module in self.modules.items()
        }
        updates = self._check_updates(self._prepare_losses())
        if self.faults:
            return None
        order = [item.update for item in self.recipe.updates if item.update.name in updates]
        for fault in (*sharing_faults(order, updates), *part_faults(order, updates)):
            self.fault(fault.path, fault.message)
        reached = set(self.calls.reached)
        self.calls.reached.clear()
        directions = self.recipe.method.directions
        show = {name: self._show(direction) for name, direction in directions.items()}
        comparisons = {name: self._comparisons(direction) for name, direction in directions.items()}
        for direction in directions.values():
            self._choices(direction)
        self._unused_metrics(comparisons)
        applied = tuple(name for name in self.modules if name in self.calls.reached)
        networks = self._needed_networks(updates, reached | self.calls.reached)
        return ShapeCheck(
            needed=self.needed,
            updates={name: checked(losses) for name, losses in updates.items()},
            networks=networks,
            parameters={name: sum(p.numel() for p in parameters_of(self.modules[name])) for name in networks},
            applied=applied,
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
        supplied = self.batches.drawn
        for item in given_of(self.recipe.method.given):
            kind = self.dataset.kinds.get(item.of, "image")
            if item.of not in supplied:
                self.fault("data", f"the method needs '{item.of}'; the dataset supplies: {', '.join(supplied)}")
            elif kind != item.kind:
                self.fault("data", f"the method needs '{item.of}' as {item.kind}; the dataset supplies it as {kind}")
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
                with meta_device():
                    loss = item.block()
                    loss.prepare(self.recipe.method)
            except Exception as error:  # a component's constructor may raise anything
                self.fault(f"losses.{name}", explain(error))
                continue
            losses.append(WeightedLoss(name, loss.to("meta"), item.weight, item.every))
        return losses

    def _check_updates(self, losses: Sequence[WeightedLoss]) -> dict[str, dict[str, EvaluatedLoss]]:
        """By update that has a loss, the losses that it has.

        A method may compute a tensor in another way once it is known what the losses use (fused passes): the last
        evaluation computes what the run will compute. What an equation computes may depend on `integer`: it is
        evaluated with the largest number, and with 0.
        """
        first = self._evaluate_all(losses, {}, trace=False)
        groups: dict[tuple[object, ...], frozenset[str]] = {}
        for item in self.recipe.updates:
            used = (loss.used for loss in first.get(item.update.name, {}).values())
            groups[item.update.group] = groups.get(item.update.group, frozenset()).union(*used)
        self.needed = frozenset().union(*groups.values())
        found = self._evaluate_all(losses, groups)
        if self.batches.integers.called:
            self.batches.integers.smallest = True
            found = merged(found, self._evaluate_all(losses, groups))
        # An update whose networks are all frozen does not take place.
        return {name: losses for name, losses in found.items() if any(loss.reach.networks for loss in losses.values())}

    def _evaluate_all(
        self,
        losses: Sequence[WeightedLoss],
        needed: Mapping[tuple[object, ...], frozenset[str]],
        *,
        trace: bool = True,
    ) -> dict[str, dict[str, EvaluatedLoss]]:
        """Every loss in every update.

        needed: the tensors that the losses use, by group of updates. trace: whether to find where gradients go, too.
        """
        found: dict[str, dict[str, EvaluatedLoss]] = {}
        for item in self.recipe.updates:
            for loss in losses:
                known = needed.get(item.update.group, frozenset())
                evaluated = self._evaluate(loss, item.update, known, trace=trace)
                if evaluated is not None:
                    found.setdefault(item.update.name, {})[loss.name] = evaluated
        return found

    def _evaluate(
        self, loss: WeightedLoss, update: Update, needed: frozenset[str], *, trace: bool
    ) -> EvaluatedLoss | None:
        """A loss in an update; None if it has no parts for it, or fails."""
        given = self.batches.training()
        batch = self.batches.bound(given, self.handles, self.calls, grad=True, needed=needed, update=update)
        trained = self._trained_by(update)
        self.networks.mismatch = ""
        try:
            with meta_device(), warnings.catch_warnings():
                # torch's losses only warn when shapes differ, and broadcast.
                warnings.filterwarnings("error", message="Using a target size", category=UserWarning)
                parts = loss.compute(update.side, batch, self.calls, trained)
                if not parts:
                    return None
                total = torch.stack(list(parts.values())).sum()
                reach = reach_of(total, batch, self.modules) if trace else NOWHERE
        except UserError as error:
            self.fault(self._path_of_unknown_tensor(f"losses.{loss.name}", batch), str(error))
            return None
        except Exception as error:  # a component's arithmetic may raise anything
            self.fault(f"losses.{loss.name}", self._why(error))
            return None
        own = {of_loss(loss.name)} if loss.loss.trained_with() == update.side and has_parameters(loss) else set()
        return EvaluatedLoss(frozenset(parts), batch.used(), replace(reach, networks=(reach.networks & trained) | own))

    def _trained_by(self, update: Update) -> frozenset[str]:
        """The networks that an update trains, where its losses reach them."""
        side = [name for name, network in self.recipe.networks.items() if network.role.side == update.side]
        return frozenset(update.networks or side)

    def _needed_networks(
        self, updates: Mapping[str, Mapping[str, EvaluatedLoss]], reached: set[str]
    ) -> dict[str, ResolvedNetwork]:
        """The networks that the run needs. reached: those that a loss, a metric or a direction calls."""
        trained = frozenset().union(*(loss.reach.networks for losses in updates.values() for loss in losses.values()))
        frozen = {name for name, network in self.recipe.networks.items() if network.freeze is True and name in reached}
        untrained = [name for name in self.modules if name not in trained | frozen and name in reached]
        if untrained:
            self.fault(
                "losses",
                f"none of them trains {', '.join(untrained)}, which this run needs: add one that depends on it",
            )
        return {name: self.recipe.networks[name] for name in self.modules if name in trained | frozen}

    # Directions: what sample grids show and what metrics compare

    def _show(self, direction: Direction) -> tuple[str, ...]:
        shown = [name for name in direction.show if name in self.needed]
        candidates = dict.fromkeys((direction.given, direction.output, *direction.always, *shown))
        return tuple(name for name in candidates if self._computable(direction, name, "method"))

    def _comparisons(self, direction: Direction) -> tuple[Comparison, ...]:
        found = []
        for name, metric in self.recipe.metrics.items():
            for output, reference in self._compared(metric, direction):
                path = f"metrics.{name}"
                compared = (output,) if reference is None else (output, reference)
                if all(self._computable(direction, tensor, path) for tensor in compared):
                    found.append(Comparison(name, output, reference))
        return tuple(found)

    def _compared(self, metric: ResolvedMetric, direction: Direction) -> Sequence[tuple[str, str | None]]:
        """What a metric compares in a direction: tensors, and their references."""
        if metric.pairs is not None:
            return tuple(metric.pairs.items())
        if not metric.over_sets:
            return ((direction.output, direction.target_tensor),)
        if not self._has_references(metric, direction):
            return ()
        channels = self.dataset.channels
        comparable = channels.get(direction.source) == channels.get(direction.target)
        return tuple((tensor, None) for tensor in (direction.output, *([direction.given] if comparable else [])))

    def _has_references(self, metric: ResolvedMetric, direction: Direction) -> bool:
        """Whether the data have test images of a direction, and images of its target to compare with."""
        if direction.source not in self.dataset.test:
            return False
        if metric.references == "train":
            return f"real_{direction.target}" in self.batches.drawn
        return direction.target in self.dataset.test

    def _unused_metrics(self, comparisons: Mapping[str, Sequence[Comparison]]) -> None:
        """A fault for each metric that the recipe names and that no direction can compute."""
        used = {comparison.metric for found in comparisons.values() for comparison in found}
        for name, metric in self.recipe.metrics.items():
            has_fault = any(f"{fault.path}.".startswith(f"metrics.{name}.") for fault in self.faults)
            if name in used or metric.default or has_fault:
                continue
            directions = self.recipe.method.directions.values()
            if metric.over_sets and metric.pairs is None:
                wanted = ", ".join(
                    f"{direction.output} with the {metric.references} images of {direction.target}"
                    for direction in directions
                )
                message = f"compares {wanted}, and the data lack them: add test images, or leave the metric out"
            else:
                pairs = metric.pairs or {direction.output: direction.target_tensor for direction in directions}
                wanted = ", ".join(f"{output} with {reference}" for output, reference in pairs.items())
                message = (
                    f"compares {wanted}, and no test images give both: "
                    f"set its `pairs` to tensors that they do give, or leave the metric out"
                )
            self.fault(f"metrics.{name}", message)

    def _choices(self, direction: Direction) -> None:
        """Computes what each choice takes from an example image."""
        for choice in direction.choices:
            batch = self._in_direction(direction, self.batches.example(choice))
            self._compute(batch, choice.taken, "method")

    def _computable(self, direction: Direction, name: str, path: str) -> bool:
        """Whether a tensor follows from the test images of a direction. path: of the recipe, for faults."""
        key = (direction.source, direction.target)
        if key not in self.tests:
            self.tests[key] = self._in_direction(direction, self.batches.test(direction))
        computable = self._compute(self.tests[key], name, path)
        if not computable:
            del self.tests[key]  # what it has computed would count no call of a network
        return computable

    def _in_direction(self, direction: Direction, images: Mapping[str, Tensor]) -> Method:
        given = {**images, **direction.labels(1, torch.device("meta"))}
        options = self.batches.options(direction)
        return self.batches.bound(given, self.handles, self.calls, grad=False, needed=self.needed, options=options)

    def _compute(self, batch: Method, name: str, path: str) -> bool:
        self.networks.mismatch = ""
        reached = set(self.calls.reached)
        try:
            with meta_device(), torch.no_grad():
                _ = batch[name]
        except MissingTensorError:
            self.calls.reached = reached  # what it called before does not count
            return False
        except UserError as error:
            self.fault(self._path_of_unknown_tensor(path, batch), str(error))
            return False
        except Exception as error:  # a component's arithmetic may raise anything
            self.fault(path, f"tensor '{name}' {self._why(error)}")
            return False
        return True

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
