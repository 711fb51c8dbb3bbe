"""From a resolved recipe to everything that a run computes with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler

from translate_core.contracts.dataset import Dataset
from translate_core.contracts.method import Method
from translate_core.contracts.network import PRECISIONS, Calls, Network, Precision, evaluation_mode
from translate_core.contracts.parameters import parameters_of
from translate_core.errors import DataError, Fault, RecipeError, UserError, explain, in_order
from translate_core.recipe.ema import EMASettings, ema_settings
from translate_core.recipe.resolved import ResolvedNetwork, ResolvedRecipe
from translate_core.runtime.randomness import seeded
from translate_core.runtime.ranks import Ranks
from translate_core.storage import weights
from translate_core.storage.checkpoints import Stateful
from translate_core.training.channels_last import to_channels_last
from translate_core.training.checked_data import check_dataset, length_of
from translate_core.training.ema import EMA
from translate_core.training.last_losses import LastLosses
from translate_core.training.loader import Sampling
from translate_core.training.phase import Phase, WeightedLoss
from translate_core.training.schedule import WatchedSchedule
from translate_core.training.shape_check import ShapeCheck, check_shapes
from translate_core.training.side import OptimizerState, SideOptimizer, build_optimizer
from translate_core.training.update_check import of_loss


@dataclass
class Assembly:
    """Everything that a trainer works with.

    shapes: the result of the shape check. evaluation_networks: the networks that samples, metrics and translations use:
    the EMA where there is one. ema: by network. sides: the optimizers. epoch, length: in steps.
    last_losses: the last values of the logged losses.
    """

    recipe: ResolvedRecipe
    dataset: Dataset
    shapes: ShapeCheck
    device: torch.device
    precision: Precision
    ranks: Ranks
    sampling: Sampling
    calls: Calls
    networks: Mapping[str, Network]
    evaluation_networks: Mapping[str, Network]
    ema: Mapping[str, EMA]
    losses: Sequence[WeightedLoss]
    sides: Mapping[str, SideOptimizer]
    phases: Sequence[Phase]
    epoch: int
    length: int
    last_losses: LastLosses = field(default_factory=LastLosses)

    @property
    def method(self) -> Method:
        """The method of the recipe."""
        return self.recipe.method

    def parts(self) -> dict[str, Stateful]:
        """The parts of a checkpoint that are equal on all ranks, by name."""
        parts: dict[str, Stateful] = {f"networks/{name}": network.module for name, network in self.networks.items()}
        parts.update({f"ema/{name}": ema for name, ema in self.ema.items()})
        for name, side in self.sides.items():
            parts[f"optimizers/{name}"] = OptimizerState(side.optimizer)
            if side.schedule.uses_losses:
                parts[f"schedules/{name}"] = side.schedule
            if side.scaler is not None:
                parts[f"scalers/{name}"] = side.scaler
        if any(phase.lazy for phase in self.phases):
            parts["last_losses"] = self.last_losses
        return parts

    def rank_parts(self) -> dict[str, Stateful]:
        """The parts of a checkpoint that each rank has for itself, such as the pools of losses, by name."""
        return {f"losses/{item.name}": item.loss for item in self.losses}

    @contextmanager
    def evaluation_mode(self) -> Iterator[Mapping[str, Network]]:
        """Yields the evaluation networks, in evaluation mode; restores the mode of each at the end."""
        with evaluation_mode(network.module for network in self.networks.values()):
            yield self.evaluation_networks

    def freeze(self, step: int) -> frozenset[str]:
        """Freezes the networks that are not trained in a step, and trains the others on; returns the frozen ones."""
        frozen = frozenset(name for name in self.networks if self.recipe.networks[name].frozen(step, self.epoch))
        for name, network in self.networks.items():
            if network.frozen != (name in frozen):
                network.freeze(name in frozen)
        return frozen


def open_data(recipe: ResolvedRecipe) -> Dataset:
    """Opens the dataset of a recipe. Raises RecipeError or DataError."""
    try:
        dataset: Dataset = recipe.data()
    except DataError:
        raise
    except ValueError as error:
        raise RecipeError(recipe.subject, [Fault("data", explain(error))]) from None
    dataset.open()
    check_dataset(dataset)
    return dataset


def sampling_of(recipe: ResolvedRecipe, ranks: Ranks) -> Sampling:
    """Which draws make up which step."""
    training = recipe.training
    return Sampling(training.seed, training.batch_size, training.accumulate, ranks)


def check(recipe: ResolvedRecipe, dataset: Dataset, ranks: Ranks) -> ShapeCheck:
    """Checks a recipe against its data on meta tensors. Raises RecipeError with all faults."""
    shapes, faults = check_shapes(recipe, dataset)
    sampling = sampling_of(recipe, ranks)
    draws = length_of(dataset.train)
    if sampling.epoch(draws) == 0:
        message = (
            f"a step takes {sampling.draws_per_step} images (batch_size × accumulate × processes), "
            f"an epoch of this dataset has {draws}"
        )
        faults = [*faults, Fault("training.batch_size", message)]
    if faults or shapes is None:
        raise RecipeError(recipe.subject, in_order(faults, recipe.record))
    return shapes


def build(
    recipe: ResolvedRecipe,
    dataset: Dataset,
    shapes: ShapeCheck,
    device: torch.device,
    ranks: Ranks,
    *,
    load: bool = True,
) -> Assembly:
    """Allocates networks, losses and optimizers.

    load: whether to read the files of `init_from`; a checkpoint makes that unnecessary.
    Raises RecipeError for files of weights that do not fit, and for options that optimizers or schedules refuse.
    """
    training = recipe.training
    precision = PRECISIONS[training.precision]
    sampling = sampling_of(recipe, ranks)
    epoch = sampling.epoch(length_of(dataset.train))
    length = training.length.steps(epoch)
    calls = Calls()
    modules = build_networks(recipe, shapes.networks, dataset.channels, device, load=load)
    networks = {name: Network(shapes.networks[name].role, module, calls, precision) for name, module in modules.items()}
    ema = _ema(modules, shapes, ema_settings(training.ema), epoch)
    if training.compile:
        for network in networks.values():
            network.compile()
    averaged = {name: Network(networks[name].role, item.module, calls, precision) for name, item in ema.items()}
    losses = _losses(recipe, device, precision)
    sides = {
        side: _side(recipe, side, networks, losses, length, epoch, device, ranks)
        for side in dict.fromkeys(item.update.side for item in recipe.updates if item.update.name in shapes.updates)
    }
    phases = _phases(recipe, shapes, networks, losses, sides)
    return Assembly(
        recipe=recipe,
        dataset=dataset,
        shapes=shapes,
        device=device,
        precision=precision,
        ranks=ranks,
        sampling=sampling,
        calls=calls,
        networks=networks,
        evaluation_networks={**networks, **averaged},
        ema=ema,
        losses=losses,
        sides=sides,
        phases=phases,
        epoch=epoch,
        length=length,
    )


def build_networks(
    recipe: ResolvedRecipe,
    networks: Mapping[str, ResolvedNetwork],
    channels: Mapping[str, int],
    device: torch.device,
    *,
    load: bool,
) -> dict[str, nn.Module]:
    """The networks, initialised by the recipe's seed and in training mode. Raises RecipeError."""
    training = recipe.training
    faults = []
    modules: dict[str, nn.Module] = {}
    for name, network in networks.items():
        with seeded(training.seed, "init", name):
            module: nn.Module = network.block(**network.role.given(channels, modules))
            if network.init is not None:
                with torch.no_grad():
                    network.init(network=module)
        if load and network.init_from is not None:
            try:
                weights.load_into(module, network.init_from, name)
            except UserError as error:
                faults.append(Fault(f"{network.path}.init_from", str(error)))
        if network.freeze is True:
            module.requires_grad_(False)
        module.to(device, PRECISIONS[training.precision].dtype)
        if training.channels_last:
            to_channels_last(module)
        modules[name] = module
    if faults:
        raise RecipeError(recipe.subject, faults)
    return modules


def _ema(
    modules: Mapping[str, nn.Module], shapes: ShapeCheck, settings: EMASettings | None, epoch: int
) -> dict[str, EMA]:
    """The averages of the networks that the directions use."""
    if settings is None:
        return {}
    start = None if settings.start is None else settings.start.steps(epoch)
    return {name: EMA(modules[name], settings.decay, settings.every.steps(epoch), start) for name in shapes.applied}


def _losses(recipe: ResolvedRecipe, device: torch.device, precision: Precision) -> list[WeightedLoss]:
    losses = []
    for name, item in recipe.losses.items():
        with seeded(recipe.training.seed, "loss", name):
            loss = item.block()
            loss.prepare(recipe.method)
        losses.append(WeightedLoss(name, loss.to(device, precision.dtype), item.weight, item.every))
    return losses


def _phases(
    recipe: ResolvedRecipe,
    shapes: ShapeCheck,
    networks: Mapping[str, Network],
    losses: Sequence[WeightedLoss],
    sides: Mapping[str, SideOptimizer],
) -> list[Phase]:
    """A phase for each update that has a loss."""
    updates = [item for item in recipe.updates if item.update.name in shapes.updates]
    phases = []
    for item in updates:
        found = shapes.updates[item.update.name]
        phases.append(
            Phase(
                item.update,
                [loss for loss in losses if loss.name in found.needed],
                sides[item.update.side],
                _parameters(item.update.side, networks, losses),
                alone=sum(other.update.side == item.update.side for other in updates) == 1,
                through=found.through,
                needed=found.needed,
                trained=found.trained,
                clip=item.clip,
            )
        )
    return phases


def _parameters(
    side: str, networks: Mapping[str, Network], losses: Sequence[WeightedLoss]
) -> dict[str, list[nn.Parameter]]:
    """What a side trains, by network or loss: the parameters that are not frozen for the whole run."""
    owners = {name: network.module for name, network in networks.items() if network.role.side == side}
    owners |= {of_loss(item.name): item.loss for item in losses if item.loss.trained_with() == side}
    found = {name: [p for p in parameters_of(owner) if p.requires_grad] for name, owner in owners.items()}
    return {name: parameters for name, parameters in found.items() if parameters}


def _side(
    recipe: ResolvedRecipe,
    side: str,
    networks: Mapping[str, Network],
    losses: Sequence[WeightedLoss],
    length: int,
    epoch: int,
    device: torch.device,
    ranks: Ranks,
) -> SideOptimizer:
    own = {name: item.optimizer for name, item in recipe.networks.items() if item.optimizer is not None}
    try:
        optimizer, groups = build_optimizer(side, recipe.optimizers[side], own, _parameters(side, networks, losses))
    except ValueError as error:
        raise RecipeError(recipe.subject, [Fault("optimizer", explain(error))]) from None
    scaler = GradScaler(device.type) if PRECISIONS[recipe.training.precision].scaled else None
    try:
        schedule = recipe.schedules[side](length=length, epoch=epoch)
    except ValueError as error:
        raise RecipeError(recipe.subject, [Fault("schedule", explain(error))]) from None
    return SideOptimizer(side, optimizer, groups, WatchedSchedule(schedule, epoch, ranks), scaler)
