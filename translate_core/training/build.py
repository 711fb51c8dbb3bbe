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
from translate_core.recipe.resolved import NetworkPlan, Plan
from translate_core.runtime.randomness import seeded
from translate_core.runtime.ranks import Ranks
from translate_core.storage import weights
from translate_core.storage.checkpoints import Stateful
from translate_core.training.channels_last import to_channels_last
from translate_core.training.ema import Average
from translate_core.training.loader import Sampling
from translate_core.training.phase import Phase, Term, WatchedSchedule
from translate_core.training.shape_check import Wiring, rehearse


@dataclass
class Run:
    """Everything that a trainer works with.

    pictured: the networks that samples, metrics and translations use: the averaged ones where there are any.
    epoch, length: in steps.
    """

    plan: Plan
    dataset: Dataset
    wiring: Wiring
    device: torch.device
    precision: Precision
    ranks: Ranks
    sampling: Sampling
    method: Method
    calls: Calls
    networks: Mapping[str, Network]
    pictured: Mapping[str, Network]
    averages: Mapping[str, Average]
    phases: tuple[Phase, ...]
    terms: tuple[Term, ...]
    epoch: int
    length: int

    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint holds, by name."""
        parts: dict[str, Stateful] = {f"networks/{name}": network.module for name, network in self.networks.items()}
        parts.update({f"averages/{name}": average for name, average in self.averages.items()})
        for phase in self.phases:
            parts[f"optimizers/{phase.side}"] = phase.optimizer
            if phase.schedule.asks:
                parts[f"schedules/{phase.side}"] = phase.schedule
            if phase.scaler is not None:
                parts[f"scalers/{phase.side}"] = phase.scaler
        parts.update({f"losses/{term.name}": term.loss for term in self.terms})
        return parts

    @contextmanager
    def for_pictures(self) -> Iterator[Mapping[str, Network]]:
        """The networks in evaluation mode, as people see them; training mode again afterwards."""
        modules = [network.module for network in self.networks.values()]
        for module in modules:
            module.eval()
        try:
            yield self.pictured
        finally:
            for module in modules:
                module.train()


def open_data(plan: Plan) -> Dataset:
    """The data set of a plan, opened. Raises RecipeError or DataError."""
    try:
        dataset: Dataset = plan.data()
    except DataError:
        raise
    except ValueError as error:
        raise RecipeError(f"recipe {plan.path}", [Fault("data", str(error))]) from None
    dataset.open()
    return dataset


def wire(plan: Plan, dataset: Dataset, sampling: Sampling) -> Wiring:
    """Rehearses a plan on its data. Raises RecipeError with every fault."""
    wiring, faults = rehearse(plan, dataset)
    if sampling.epoch(len(dataset.train)) == 0:
        faults = [
            *faults,
            Fault(
                "training.batch_size",
                f"a step takes {sampling.draws_per_step} images (batch_size × accumulate × processes), "
                f"an epoch of this data set has {len(dataset.train)}",
            ),
        ]
    if faults or wiring is None:
        raise RecipeError(f"recipe {plan.path}", in_order(faults, plan.record))
    return wiring


def build(
    plan: Plan, dataset: Dataset, wiring: Wiring, device: torch.device, ranks: Ranks, *, load: bool = True
) -> Run:
    """Allocates a run. load: whether to read the files of `init_from`, which a checkpoint makes needless.

    Raises RecipeError for files of weights that do not fit, and for options that the optimizers refuse.
    """
    training = plan.training
    precision = PRECISIONS[training.precision]
    sampling = Sampling(training.seed, training.batch_size, training.accumulate, ranks)
    epoch = sampling.epoch(len(dataset.train))
    length = training.length.steps(epoch)
    calls = Calls()
    modules = build_networks(plan, wiring.networks, dataset.channels, device, load=load)
    averages = {}
    if training.average is not None:
        averaged = [name for name, item in wiring.networks.items() if item.role.side == GENERATORS]
        averages = {name: Average(modules[name], training.average) for name in averaged}
    roles = {name: item.role for name, item in wiring.networks.items()}
    networks = {name: Network(roles[name], module, calls, precision) for name, module in modules.items()}
    if training.compile:
        for network in networks.values():
            network.compile()
    pictured = {
        **networks,
        **{name: Network(roles[name], item.module, calls, precision) for name, item in averages.items()},
    }
    terms = _terms(plan, device, precision)
    method = plan.method
    method.needed = wiring.needed
    phases = tuple(_phase(plan, side, modules, roles, terms, length, epoch, device, ranks) for side in wiring.sides)
    return Run(
        plan, dataset, wiring, device, precision, ranks, sampling, method, calls, networks, pictured, averages, phases,
        terms, epoch, length,
    )  # fmt: skip


def build_networks(
    plan: Plan, plans: Mapping[str, NetworkPlan], channels: Mapping[str, int], device: torch.device, *, load: bool
) -> dict[str, nn.Module]:
    """The networks, initialised by the recipe's seed and in training mode. Raises RecipeError."""
    training = plan.training
    faults = []
    modules: dict[str, nn.Module] = {}
    for name, item in plans.items():
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
        raise RecipeError(f"recipe {plan.path}", faults)
    return modules


def _terms(plan: Plan, device: torch.device, precision: Precision) -> tuple[Term, ...]:
    terms = []
    for name, item in plan.losses.items():
        with seeded(plan.training.seed, "loss", name):
            loss = item.block()
            loss.prepare(plan.method)
        terms.append(Term(name, loss.to(device, precision.dtype), item.weight))
    return tuple(terms)


def _phase(
    plan: Plan,
    side: str,
    modules: Mapping[str, nn.Module],
    roles: Mapping[str, Role],
    terms: tuple[Term, ...],
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
        optimizer = plan.optimizers[side](params=parameters)
    except ValueError as error:
        raise RecipeError(f"recipe {plan.path}", [Fault("optimizer", str(error))]) from None
    scaler = GradScaler(device.type) if PRECISIONS[plan.training.precision].scaled else None
    try:
        schedule = plan.schedules[side](length=length, epoch=epoch)
    except ValueError as error:
        raise RecipeError(f"recipe {plan.path}", [Fault("schedule", str(error))]) from None
    return Phase(side, terms, parameters, optimizer, WatchedSchedule(schedule, epoch, ranks), scaler)
