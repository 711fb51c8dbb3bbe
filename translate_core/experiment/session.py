"""One session of a run: from a resolved to trained weights in a folder."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.table import Table

from translate_core.contracts.dataset import Dataset
from translate_core.contracts.observer import Result
from translate_core.errors import UserError
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.runtime import yaml12
from translate_core.runtime.console import stdout, tell, warn
from translate_core.runtime.device import choose_device
from translate_core.runtime.ranks import Ranks, join
from translate_core.runtime.signals import StopSignal
from translate_core.storage.checkpoints import Checkpoint
from translate_core.storage.run_folder import RECIPE, RECORD, RunFolder, check_same_run, make_record
from translate_core.training.build import Run, build, check_shapes, open_data
from translate_core.training.loader import Sampling
from translate_core.training.shape_check import ShapeCheck
from translate_core.training.trainer import Trainer


@dataclass(frozen=True)
class Outcome:
    """How a session ended.

    finished: whether the run is done. results: its final test metrics, if this session made them.
    """

    folder: Path
    finished: bool
    results: Sequence[Result] = ()


@contextmanager
def opened(resolved: ResolvedRecipe, ranks: Ranks) -> Iterator[Dataset]:
    """The data of a resolved, opened; closed again afterwards."""
    if not ranks.first:
        ranks.barrier()  # the first process downloads and unpacks
    dataset = open_data(resolved)
    if ranks.first:
        ranks.barrier()
    try:
        yield dataset
    finally:
        dataset.close()


def checked(resolved: ResolvedRecipe, dataset: Dataset, ranks: Ranks) -> ShapeCheck:
    """The shapes of a resolved on its data. Raises RecipeError with every fault."""
    training = resolved.training
    return check_shapes(resolved, dataset, Sampling(training.seed, training.batch_size, training.accumulate, ranks))


@contextmanager
def prepared(resolved: ResolvedRecipe, device_name: str) -> Iterator[tuple[Dataset, ShapeCheck, torch.device, Ranks]]:
    """The data opened and the shapes checked; the data closed again afterwards."""
    device = choose_device(device_name)
    ranks = join(device)
    with opened(resolved, ranks) as dataset:
        yield dataset, checked(resolved, dataset, ranks), device, ranks


def dry_run(resolved: ResolvedRecipe, device_name: str) -> None:
    """Validates, builds, prints the resolved recipe and the networks; trains nothing and writes nothing."""
    with prepared(resolved, device_name) as (dataset, shapes, device, ranks):
        run = build(resolved, dataset, shapes, device, ranks)
        stdout.print(yaml12.dump(dict(resolved.record)), markup=False, end="")
        table = Table(title=f"{resolved.name} on {device}")
        for column in ("network", "component", "trained by", "parameters"):
            table.add_column(column, justify="right" if column == "parameters" else "left")
        for name, item in shapes.networks.items():
            table.add_row(name, item.block.registration.name, item.role.side, f"{shapes.parameters[name]:,}")
        left_out = [name for name in resolved.networks if name not in shapes.networks]
        stdout.print(table)
        stdout.print(
            f"{run.length} steps, {run.epoch} in an epoch; "
            f"networks left out, for no loss needs them: {', '.join(left_out) or 'none'}"
        )


def train(
    resolved: ResolvedRecipe, folder: RunFolder, device_name: str, *, fresh: bool, command: str, stop: StopSignal
) -> Outcome:
    """Trains a run, or goes on with the one in the folder. command: how the user goes on, for messages."""
    with prepared(resolved, device_name) as (dataset, shapes, device, ranks):
        if ranks.first:
            _make_way(folder, fresh)
        ranks.barrier()
        with folder.locked() if ranks.first else _nothing():
            record = make_record(resolved, dataset, ranks.count)
            checkpoint = _enter(folder, record, resolved, ranks)
            run = build(resolved, dataset, shapes, device, ranks, load=checkpoint is None)
            if checkpoint is not None and checkpoint.step >= run.length:
                tell(
                    f"the run in {folder.path} is finished ({checkpoint.step} steps); "
                    f"to train longer, raise training.length"
                )
                return Outcome(folder.path, True)
            return _train(run, folder, record, checkpoint, command, stop)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _make_way(folder: RunFolder, fresh: bool) -> None:
    if fresh and folder.path.exists():
        with folder.locked():  # not from under a process that is at work there
            aside = folder.set_aside()
        if aside is not None:
            tell(f"the old run is now in {aside}")
    elif folder.path.exists() and not folder.exists():
        # A run that was killed before its record was written leaves no more than these.
        strange = [
            item.name
            for item in folder.path.iterdir()
            if item.name not in (RECIPE, RECIPE + ".part", RECORD + ".part", ".lock", "plugins")
        ]
        if strange:
            raise UserError(
                f"{folder.path} is not empty and holds no run ({', '.join(sorted(strange)[:5])}); choose another --out"
            )


def _enter(folder: RunFolder, record: dict[str, object], resolved: ResolvedRecipe, ranks: Ranks) -> Checkpoint | None:
    """The checkpoint to go on from; the folder begun where there is none."""
    if folder.exists():
        check_same_run(folder.path, folder.record(), record, warn)
        checkpoint = folder.checkpoints.newest(warn if ranks.first else _silent)
    else:
        checkpoint = None
    ranks.barrier()
    if ranks.first:
        # Written again when a run goes on: a longer length, other intervals.
        folder.begin(record, resolved)
    ranks.barrier()
    return checkpoint


def _silent(text: str) -> None:
    """For ranks that nobody reads."""


def _train(
    run: Run,
    folder: RunFolder,
    record: dict[str, object],
    checkpoint: Checkpoint | None,
    command: str,
    stop: StopSignal,
) -> Outcome:
    observers = [block() for block in run.recipe.observers.values()] if run.ranks.first else []
    trainer = Trainer(run, folder.path, record, observers)
    if checkpoint is not None:
        trainer.restore(checkpoint)
        if run.ranks.first:
            tell(f"going on with {folder.path} after step {checkpoint.step} of {run.length}")
    elif run.ranks.first:
        tell(f"training {run.recipe.name} on {run.device}: {run.length} steps, run folder {folder.path}")
    finished = trainer.train(stop)
    if run.ranks.first and not finished:
        tell(
            f"stopped after step {trainer.step} of {run.length}; saved. "
            f"To go on, run the same command again:\n  {command}"
        )
    elif run.ranks.first:
        tell(f"done: {folder.path}")
    return Outcome(folder.path, finished, trainer.results)


def command_line(program: str, arguments: Sequence[str], without: Callable[[str], bool]) -> str:
    """A command as the user can type it again, without the flags that are for once."""
    return shlex.join([program, *(argument for argument in arguments if not without(argument))])
