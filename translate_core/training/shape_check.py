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
from translate_core.contracts.given import GivenKind, given_of
from translate_core.contracts.method import Method
from translate_core.contracts.network import Calls, Network, Precision
from translate_core.contracts.tensor import MissingTensorError
from translate_core.contracts.update import Update
from translate_core.errors import Fault, UserError, explain
from translate_core.recipe.overrides import flatten
from translate_core.recipe.resolved import ResolvedMetric, ResolvedNetwork, ResolvedRecipe
from translate_core.runtime.randomness import Draws, numpy_generator
from translate_core.training.failure import why_it_failed
from translate_core.training.graph import Reach, reach_of
from translate_core.training.meta_networks import MetaNetworks
from translate_core.training.phase import WeightedLoss

_ANY_SIZE = 256
"""Height and width that are tried where the images of a dataset differ in size."""


@dataclass(frozen=True)
class Comparison:
    """Two tensors of test images that a metric compares.

    metric: its name in the recipe. reference: None for the set of images of the target domain.
    """

    metric: str
    output: str
    reference: str | None


@dataclass(frozen=True)
class CheckedUpdate:
    """What the shape check found of one update.

    needed: by loss, the tensors that it uses. trained: by loss, the networks that it trains, and the losses with
    parameters (`of_loss`). through: whether its gradients pass through tensors of the method.
    """

    needed: Mapping[str, frozenset[str]]
    trained: Mapping[str, frozenset[str]]
    through: bool


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


def of_loss(name: str) -> str:
    """The name under which what an update trains lists a loss with parameters."""
    return f"losses/{name}"


def check_shapes(recipe: ResolvedRecipe, dataset: Dataset) -> tuple[ShapeCheck | None, list[Fault]]:
    """The result for a recipe on its opened data, None if there are faults; and all faults."""
    checker = _Checker(recipe, dataset)
    result = checker.run()
    return (None if checker.faults else result), checker.faults


@dataclass(frozen=True)
class _Evaluated:
    """A loss in an update: its total, the tensors that it used, and where its gradients go."""

    used: frozenset[str]
    reach: Reach


class _Checker:
    def __init__(self, recipe: ResolvedRecipe, dataset: Dataset) -> None:
        self.recipe = recipe
        self.dataset = dataset
        self.faults: list[Fault] = []
        self.calls = Calls()
        self.modules: dict[str, nn.Module] = {}
        self.handles: dict[str, Network] = {}
        self.needed: frozenset[str] = frozenset()
        self.networks = MetaNetworks(recipe, dataset, self.fault)
        self.integers = _Integers()

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
        self._unsafe_sharing(updates)
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
            updates={name: _checked(losses) for name, losses in updates.items()},
            networks=networks,
            parameters={name: sum(p.numel() for p in self.modules[name].parameters()) for name in networks},
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
        supplied = self._draw()
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
                with torch.device("meta"):
                    loss = item.block()
                    loss.prepare(self.recipe.method)
            except Exception as error:  # a component's constructor may raise anything
                self.fault(f"losses.{name}", explain(error))
                continue
            losses.append(WeightedLoss(name, loss.to("meta"), item.weight, item.every))
        return losses

    def _check_updates(self, losses: Sequence[WeightedLoss]) -> dict[str, dict[str, _Evaluated]]:
        """By update that has a loss, the losses that it has.

        A method may compute a tensor in another way once it is known what the losses use (fused passes): the last
        evaluation computes what the run will compute. What an equation computes may depend on `integer`: it is
        evaluated with the largest number, and with 0.
        """
        first = self._evaluate_all(losses, {})
        groups: dict[tuple[object, ...], frozenset[str]] = {}
        for item in self.recipe.updates:
            used = (loss.used for loss in first.get(item.update.name, {}).values())
            groups[item.update.group] = groups.get(item.update.group, frozenset()).union(*used)
        self.needed = frozenset().union(*groups.values())
        found = self._evaluate_all(losses, groups)
        if self.integers.called:
            self.integers.smallest = True
            other = self._evaluate_all(losses, groups)
            found = {name: _merged(found.get(name, {}), other.get(name, {})) for name in (found | other)}
        # An update whose networks are all frozen does not take place.
        return {name: losses for name, losses in found.items() if any(loss.reach.networks for loss in losses.values())}

    def _evaluate_all(
        self, losses: Sequence[WeightedLoss], needed: Mapping[tuple[object, ...], frozenset[str]]
    ) -> dict[str, dict[str, _Evaluated]]:
        """Every loss in every update. needed: the tensors that the losses use, by group of updates."""
        found: dict[str, dict[str, _Evaluated]] = {}
        for item in self.recipe.updates:
            for loss in losses:
                evaluated = self._evaluate(loss, item.update, needed.get(item.update.group, frozenset()))
                if evaluated is not None:
                    found.setdefault(item.update.name, {})[loss.name] = evaluated
        return found

    def _evaluate(self, loss: WeightedLoss, update: Update, needed: frozenset[str]) -> _Evaluated | None:
        """A loss in an update; None if it has no parts for it, or fails."""
        batch = self._batch(self._training_batch(), grad=True, needed=needed, update=update)
        trained = self._trained_by(update)
        self.networks.mismatch = ""
        try:
            with torch.device("meta"), warnings.catch_warnings():
                # torch's losses only warn when shapes differ, and broadcast.
                warnings.filterwarnings("error", message="Using a target size", category=UserWarning)
                parts = list(loss.compute(update.side, batch, self.calls, trained).values())
                if not parts:
                    return None
                reach = reach_of(torch.stack(parts).sum(), batch, self.modules)
        except UserError as error:
            self.fault(self._path_of_unknown_tensor(f"losses.{loss.name}", batch), str(error))
            return None
        except Exception as error:  # a component's arithmetic may raise anything
            self.fault(f"losses.{loss.name}", self._why(error))
            return None
        own = {of_loss(loss.name)} if loss.loss.trained_with() == update.side and _has_parameters(loss) else set()
        return _Evaluated(batch.used(), replace(reach, networks=(reach.networks & trained) | own))

    def _trained_by(self, update: Update) -> frozenset[str]:
        """The networks that an update trains, where its losses reach them."""
        side = [name for name, network in self.recipe.networks.items() if network.role.side == update.side]
        return frozenset(update.networks or side)

    def _unsafe_sharing(self, updates: Mapping[str, Mapping[str, _Evaluated]]) -> None:
        """Faults of updates whose gradients pass through shared tensors after these cannot carry them any more."""
        order = [item.update for item in self.recipe.updates if item.update.name in updates]
        first: dict[tuple[object, ...], Update] = {}
        for place, update in enumerate(order):
            reaches = [loss.reach for loss in updates[update.name].values()]
            sends = _sends(updates[update.name])
            behind = frozenset().union(*(reach.behind for reach in reaches))
            through = ", ".join(sorted(frozenset().union(*(reach.through for reach in reaches))))
            beginning = first.setdefault(update.group, update)
            for earlier in order[order.index(beginning) : place] if sends else ():
                trained = frozenset().union(*(loss.reach.networks for loss in updates[earlier.name].values()))
                if earlier.group == update.group and _sends(updates[earlier.name]):
                    problem = f"and so does '{earlier.name}': of the updates that share tensors one may"
                elif trained & behind:
                    names = " and ".join(sorted(trained & behind))
                    problem = f"and '{earlier.name}' has updated {names} since they were computed"
                else:
                    continue
                self.fault(
                    "method",
                    f"update '{update.name}' sends gradients through shared tensors ({through}), {problem}. "
                    f"Declare it with fresh=True",
                )

    def _needed_networks(
        self, updates: Mapping[str, Mapping[str, _Evaluated]], reached: set[str]
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
            return f"real_{direction.target}" in self._draw()
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
            images = {choice.given: self._images(self.dataset.channels[choice.domain], 1)}
            self._compute(direction, images, choice.taken, "method")

    def _computable(self, direction: Direction, name: str, path: str) -> bool:
        """Whether a tensor follows from the test images of a direction. path: of the recipe, for faults."""
        return self._compute(direction, self._test_images(direction), name, path)

    def _compute(self, direction: Direction, images: Mapping[str, Tensor], name: str, path: str) -> bool:
        given = {**images, **direction.labels(1, torch.device("meta"))}
        batch = self._batch(given, grad=False, needed=self.needed, options=direction.defaults())
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

    def _batch(
        self,
        given: Mapping[str, Tensor],
        *,
        grad: bool,
        needed: frozenset[str],
        update: Update | None = None,
        options: Mapping[str, int | float] | None = None,
    ) -> Method:
        return self.recipe.method.tensors(
            given,
            self.handles,
            self.calls,
            Draws(0, 0, 0, 0),
            grad=grad,
            needed=needed,
            instead=update.instead if update is not None else None,
            options=options,
            integers=self.integers,
        )

    def _draw(self) -> Mapping[str, Tensor]:
        return self.dataset.train.draw(0, numpy_generator(0, "shape check"))

    def _training_batch(self) -> dict[str, Tensor]:
        drawn = self._draw()
        return {item.name: self._given(item.kind, drawn[item.of]) for item in given_of(self.recipe.method.given)}

    def _given(self, kind: GivenKind, drawn: Tensor) -> Tensor:
        """A batch of such tensors. drawn: one of them, from the dataset."""
        count = self.recipe.training.batch_size
        if kind == "image":
            return self._images(drawn.shape[0], count)
        if kind == "map":
            return self._images(drawn.shape[0], count).to(drawn.dtype)
        return torch.empty(count, *drawn.shape, dtype=drawn.dtype, device="meta")

    def _test_images(self, direction: Direction) -> dict[str, Tensor]:
        split = self.dataset.test.get(direction.source)
        supplied = tuple(split[0]) if split is not None and len(split) else (direction.source_tensor,)
        images = {}
        for own in supplied:
            source = own == direction.source_tensor
            channels = self.dataset.channels[direction.source if source else own.rpartition("_")[2]]
            image = self._images(channels, 1)
            is_map = self.dataset.kinds.get(own, "image") == "map"
            images[direction.given if source else own] = image.to(torch.uint8) if is_map else image
        return images

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


class _Integers:
    """Replaces the draws of `integer`: the largest number, or 0. called: whether an equation draws one."""

    def __init__(self) -> None:
        self.called = False
        self.smallest = False

    def __call__(self, high: int) -> int:
        self.called = True
        return 0 if self.smallest else high - 1


def _has_parameters(loss: WeightedLoss) -> bool:
    return any(parameter.requires_grad for parameter in loss.loss.parameters())


def _sends(losses: Mapping[str, _Evaluated]) -> bool:
    """Whether an update with these losses sends gradients through tensors to networks that it trains."""
    return any(loss.reach.behind & loss.reach.networks for loss in losses.values())


def _checked(losses: Mapping[str, _Evaluated]) -> CheckedUpdate:
    return CheckedUpdate(
        needed={name: loss.used for name, loss in losses.items()},
        trained={name: loss.reach.networks for name, loss in losses.items()},
        through=_sends(losses),
    )


def _merged(first: Mapping[str, _Evaluated], second: Mapping[str, _Evaluated]) -> dict[str, _Evaluated]:
    """The losses of an update that was evaluated twice: what either evaluation used and reached."""
    merged = dict(first)
    for name, loss in second.items():
        if name in merged:
            one, two = merged[name], loss
            reach = Reach(
                one.reach.networks | two.reach.networks,
                one.reach.through | two.reach.through,
                one.reach.behind | two.reach.behind,
            )
            merged[name] = _Evaluated(one.used | two.used, reach)
        else:
            merged[name] = loss
    return merged
