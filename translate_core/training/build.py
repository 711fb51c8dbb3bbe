"""Recipe and registry -> a run, ready. The only assembler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler

from translate_core.contracts.dataset import Dataset
from translate_core.contracts.method import Method
from translate_core.contracts.network import PRECISIONS, Calls, Network, Precision
from translate_core.contracts.role import GENERATORS, Role
from translate_core.errors import DataError, Fault, RecipeError, UserError, in_order
from translate_core.recipe.resolved import ResolvedNetwork, ResolvedRecipe
from translate_core.runtime.randomness import seeded
from translate_core.runtime.ranks import Ranks
from translate_core.storage import weights
from translate_core.storage.checkpoints import Stateful
from translate_core.training.channels_last import to_channels_last
from translate_core.training.ema import EMA
from translate_core.training.loader import Sampling
from translate_core.training.phase import Phase, WatchedSchedule, WeightedLoss
from translate_core.training.shape_check import ShapeCheck, rehearse


@dataclass
class Run:
    """Everything that a trainer works with.

    evaluation_networks: the networks that samples, metrics and translations use: the averaged ones where there are any.
    epoch, length: in steps.
    """

    recipe: ResolvedRecipe
    dataset: Dataset
    shapes: ShapeCheck
    device: torch.device
    precision: Precision
    ranks: Ranks
    sampling: Sampling
    method: Method
    calls: Calls
    networks: Mapping[str, Network]
    evaluation_networks: Mapping[str, Network]
    ema: Mapping[str, EMA]
    phases: tuple[Phase, ...]
    terms: tuple[WeightedLoss, ...]
    epoch: int
    length: int

    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint holds, by name."""
        parts: dict[str, Stateful] = {f"networks/{name}": network.module for name, network in self.networks.items()}
        parts.update({f"ema/{name}": average for name, average in self.ema.items()})
        for phase in self.phases:
            parts[f"optimizers/{phase.side}"] = phase.optimizer
            if phase.schedule.asks:
                parts[f"schedules/{phase.side}"] = phase.schedule
            if phase.scaler is not None:
                parts[f"scalers/{phase.side}"] = phase.scaler
        parts.update({f"losses/{term.name}": term.loss for term in self.terms})
        return parts

    @contextmanager
    def evaluation_mode(self) -> Iterator[Mapping[str, Network]]:
        """The networks in evaluation mode, as people see them; training mode again afterwards."""
        modules = [network.module for network in self.networks.values()]
        for module in modules:
            module.eval()
        try:
            yield self.evaluation_networks
        finally:
            for module in modules:
                module.train()


def open_data(resolved: ResolvedRecipe) -> Dataset:
    """The data set of a resolved, opened. Raises RecipeError or DataError."""
    try:
        dataset: Dataset = resolved.data()
    except DataError:
        raise
    except ValueError as error:
        raise RecipeError(resolved.subject, [Fault("data", str(error))]) from None
    dataset.open()
    return dataset


def check_shapes(resolved: ResolvedRecipe, dataset: Dataset, sampling: Sampling) -> ShapeCheck:
    """Rehearses a resolved on its data. Raises RecipeError with every fault."""
    shapes, faults = rehearse(resolved, dataset)
    if sampling.epoch(len(dataset.train)) == 0:
        faults = [
            *faults,
            Fault(
                "training.batch_size",
                f"a step takes {sampling.draws_per_step} images (batch_size × accumulate × processes), "
                f"an epoch of this data set has {len(dataset.train)}",
            ),
        ]
    if faults or shapes is None:
        raise RecipeError(resolved.subject, in_order(faults, resolved.record))
    return shapes


def build(
    resolved: ResolvedRecipe,
    dataset: Dataset,
    shapes: ShapeCheck,
    device: torch.device,
    ranks: Ranks,
    *,
    load: bool = True,
) -> Run:
    """Allocates a run. load: whether to read the files of `init_from`, which a checkpoint makes needless.

    Raises RecipeError for files of weights that do not fit, and for options that the optimizers refuse.
    """
    training = resolved.training
    precision = PRECISIONS[training.precision]
    sampling = Sampling(training.seed, training.batch_size, training.accumulate, ranks)
    epoch = sampling.epoch(len(dataset.train))
    length = training.length.steps(epoch)
    calls = Calls()
    modules = build_networks(resolved, shapes.networks, dataset.channels, device, load=load)
    ema = {}
    if training.ema is not None:
        averaged = [name for name, item in shapes.networks.items() if item.role.side == GENERATORS]
        ema = {name: EMA(modules[name], training.ema) for name in averaged}
    roles = {name: item.role for name, item in shapes.networks.items()}
    networks = {name: Network(roles[name], module, calls, precision) for name, module in modules.items()}
    if training.compile:
        for network in networks.values():
            network.compile()
    evaluation_networks = {
        **networks,
        **{name: Network(roles[name], item.module, calls, precision) for name, item in ema.items()},
    }
    terms = _terms(resolved, device, precision)
    method = resolved.method
    method.needed = shapes.needed
    phases = tuple(_phase(resolved, side, modules, roles, terms, length, epoch, device, ranks) for side in shapes.sides)
    return Run(
        resolved,
        dataset,
        shapes,
        device,
        precision,
        ranks,
        sampling,
        method,
        calls,
        networks,
        evaluation_networks,
        ema,
        phases,
        terms,
        epoch,
        length,
    )


def build_networks(
    resolved: ResolvedRecipe,
    networks: Mapping[str, ResolvedNetwork],
    channels: Mapping[str, int],
    device: torch.device,
    *,
    load: bool,
) -> dict[str, nn.Module]:
    """The networks, initialised by the recipe's seed and in training mode. Raises RecipeError."""
    training = resolved.training
    faults = []
    modules: dict[str, nn.Module] = {}
    for name, item in networks.items():
        with seeded(training.seed, "init", name):
            module: nn.Module = item.block(**item.role.given(channels, modules))
            if item.init is not None:
                with torch.no_grad():
                    item.init(network=module)
        if load and item.init_from is not None:
            try:
                weights.load_into(module, item.init_from, name)
            except UserError as error:
                faults.append(Fault(f"{item.path}.init_from", str(error)))
        module.to(device, PRECISIONS[training.precision].dtype)
        if training.channels_last:
            to_channels_last(module)
        modules[name] = module
    if faults:
        raise RecipeError(resolved.subject, faults)
    return modules


def _terms(resolved: ResolvedRecipe, device: torch.device, precision: Precision) -> tuple[WeightedLoss, ...]:
    terms = []
    for name, item in resolved.losses.items():
        with seeded(resolved.training.seed, "loss", name):
            loss = item.block()
            loss.prepare(resolved.method)
        terms.append(WeightedLoss(name, loss.to(device, precision.dtype), item.weight))
    return tuple(terms)


def _phase(
    resolved: ResolvedRecipe,
    side: str,
    modules: Mapping[str, nn.Module],
    roles: Mapping[str, Role],
    terms: tuple[WeightedLoss, ...],
    length: int,
    epoch: int,
    device: torch.device,
    ranks: Ranks,
) -> Phase:
    owners = [module for name, module in modules.items() if roles[name].side == side]
    if side == GENERATORS:
        owners += [term.loss for term in terms]
    parameters = [p for owner in owners for p in owner.parameters() if p.requires_grad]
    try:
        optimizer = resolved.optimizers[side](params=parameters)
    except ValueError as error:
        raise RecipeError(resolved.subject, [Fault("optimizer", str(error))]) from None
    scaler = GradScaler(device.type) if PRECISIONS[resolved.training.precision].scaled else None
    try:
        schedule = resolved.schedules[side](length=length, epoch=epoch)
    except ValueError as error:
        raise RecipeError(resolved.subject, [Fault("schedule", str(error))]) from None
    return Phase(side, terms, parameters, optimizer, WatchedSchedule(schedule, epoch, ranks), scaler)
