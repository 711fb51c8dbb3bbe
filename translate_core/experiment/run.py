"""A run, opened: networks, steps, evaluation, checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from translate_core.contracts.dataset import Dataset, Item
from translate_core.contracts.loss import Tensors
from translate_core.contracts.observer import Result, Sample
from translate_core.errors import UserError
from translate_core.recipe.load import load_recipe
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.runtime.console import inform, warn
from translate_core.runtime.device import choose_device
from translate_core.runtime.files import check_no_pipes, real_path
from translate_core.runtime.ranks import Ranks, join
from translate_core.runtime.signals import StopSignal
from translate_core.storage.checkpoints import Checkpoint
from translate_core.storage.models import EarlyEnd
from translate_core.storage.record import check_same_run, make_record
from translate_core.storage.run_folder import RunFolder
from translate_core.training.build import Assembly, build, check, open_data
from translate_core.training.evaluation import samples
from translate_core.training.trainer import Trainer


@dataclass(frozen=True)
class Step:
    """One training step.

    number: the number of optimizer steps done, this one included. losses: by name, multiplied by their weights; 0-d
    tensors on the device, so that `float(step.losses["cycle"])` waits for the device and the step itself does not.
    """

    number: int
    losses: Mapping[str, Tensor]


class Run:
    """A run that is open: made by `open_run`.

    recipe: as resolved. device: where it computes. folder: the run folder, None if nothing is written.
    networks: the networks as modules, by role, such as G_AB; those that the recipe does not need are left out.
    length: the step at which the run is finished. epoch: steps in an epoch. results: of the last evaluation.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        assembly = trainer.assembly
        self.recipe: ResolvedRecipe = assembly.recipe
        self.device: torch.device = assembly.device
        self.folder: Path | None = None if trainer.folder is None else trainer.folder.path
        self.networks: Mapping[str, nn.Module] = {name: item.module for name, item in assembly.networks.items()}
        self.length: int = assembly.length
        self.epoch: int = assembly.epoch

    @property
    def assembly(self) -> Assembly:
        """Everything that the run computes with. For the project's own tools; it may change without notice."""
        return self._trainer.assembly

    @property
    def step(self) -> int:
        """The number of optimizer steps done; above zero right after opening where the folder holds a checkpoint."""
        return self._trainer.step

    @property
    def finished(self) -> bool:
        """Whether the run has reached its length, or an observer has ended it early."""
        return self._trainer.finished

    @property
    def ended(self) -> EarlyEnd | None:
        """The early end of a finished run: its step, the observer that requested it, and the reason."""
        return self._trainer.ended if self.finished else None

    @property
    def results(self) -> list[Result]:
        """The test metrics of the last evaluation; empty before the first."""
        return self._trainer.results

    def steps(self, count: int | None = None) -> Iterator[Step]:
        """Trains step by step: `count` steps, or to the end of the run.

        Only trains: sampling, evaluating and saving in between is up to the caller. Iterating again continues where
        this stopped.
        """
        for losses in islice(self._trainer.steps(), count):
            yield Step(self.step, losses)

    def update(self, batch: Sequence[Item]) -> Step:
        """One training step on micro-batches of your own, such as those of `batch`.

        batch: as many items as the recipe's `accumulate`; images (N, C, H, W), uint8 0 … 255 or floating point in
        [-1, 1], by the names that the method takes, such as real_A.

        Raises UserError for another number of items.
        """
        count = self.recipe.training.accumulate
        if len(batch) != count or not all(isinstance(item, Mapping) for item in batch):
            raise UserError(
                f"a batch is a list of {count} micro-batch{'es' if count > 1 else ''} (training.accumulate), each a "
                f"mapping from names such as real_A to images"
            )
        return Step(self.step + 1, self._trainer.update(batch))

    def train(self, stop: StopSignal | None = None) -> bool:
        """Trains to the end of the run as `translate-run` does; returns whether the run is finished.

        With a folder: the recipe's observers are active, checkpoints are saved at the recipe's intervals, and Ctrl-C or
        SIGTERM stops the run after the current step and saves. Without: nothing is written.

        Raises DivergedError (a UserError) when a loss or a weight is not finite.
        """
        if stop is not None:
            return self._trainer.train(stop)
        with StopSignal() as own:
            return self._trainer.train(own)

    def batch(self, step: int | None = None) -> list[Item]:
        """The micro-batches of a step as the dataset supplies them: (N, C, H, W), uint8 0 … 255 or floating point.

        step: counted from 0; None for the next step. A batch depends on the recipe and the step only.
        """
        return self._trainer.batch(self.step if step is None else step)

    def tensors(self, item: Item | None = None, *, grad: bool = False) -> Tensors:
        """The tensors of the method for one micro-batch, computed on first use: `run.tensors()["fake_B"]`.

        The method's draws are those of the next step. Networks are in training mode: dropout draws from torch's default
        generator, and batch normalisation updates its running statistics. item: None for the first micro-batch of the
        next step. grad: whether tensors carry gradients.
        """
        return self._trainer.tensors(self.batch()[0] if item is None else item, grad=grad)

    def evaluate(self) -> list[Result]:
        """Computes the recipe's metrics on all test images, in evaluation mode."""
        return self._trainer.evaluate()

    def samples(self) -> list[Sample]:
        """Sample pictures of the first `training.samples` test images of every direction, in evaluation mode."""
        return samples(self._trainer.assembly)

    def save(self) -> Path | None:
        """Writes a checkpoint into the run folder, and at the end of the run weights and results.

        Returns its path, None on ranks other than the first. Opening the folder again continues from it.

        Raises UserError when the run has no folder, DivergedError when a weight is not finite.
        """
        if self.folder is None:
            raise UserError("this run has no folder to save to: open it with open_run(…, folder=…)")
        return self._trainer.save()


@contextmanager
def open_run(
    recipe: ResolvedRecipe | str | os.PathLike[str] | Mapping[str, Any],
    *,
    device: str | torch.device = "auto",
    folder: str | os.PathLike[str] | None = None,
    fresh: bool = False,
) -> Iterator[Run]:
    """Opens a run: its data, its networks, and its newest checkpoint if the folder has one.

    A context manager: the data are closed and the folder is unlocked at the end.

        with open_run("recipes/quickstart.yaml", device="cpu") as run:
            for step in run.steps(10):
                print(step.number, float(step.losses["cycle"]))

    recipe: from `load_recipe`, or anything that it takes. device: auto, cpu, cuda or mps, or a device of torch.
    folder: the run folder; a folder that holds the same run is continued. None writes nothing.
    fresh: start again; an existing run folder is moved aside.

    Raises RecipeError and DataError with all faults; UserError when the device is not there, or when the folder is in
    use, is not a run folder, or holds a run of another recipe.
    """
    resolved = recipe if isinstance(recipe, ResolvedRecipe) else load_recipe(recipe)
    place = choose_device(device)
    ranks = join(place)
    with ExitStack() as stack:
        dataset = stack.enter_context(opened_data(resolved, ranks))
        shapes = check(resolved, dataset, ranks)
        if folder is None:
            yield Run(Trainer(build(resolved, dataset, shapes, place, ranks)))
            return
        run_folder = RunFolder(Path(folder))
        check_no_pipes(run_folder.path)
        _check_folder(run_folder, dataset)
        ranks.barrier()
        if ranks.first:
            stack.enter_context(run_folder.locked())
        record = make_record(resolved, dataset, shapes.applied, ranks.count)
        checkpoint = None if fresh else _checkpoint(run_folder, record, ranks)
        # Built before anything is written: a run that fails here leaves nothing that blocks the corrected command.
        trainer = Trainer(build(resolved, dataset, shapes, place, ranks, load=checkpoint is None), run_folder, record)
        if checkpoint is not None:
            trainer.restore(checkpoint)
            record["created"] = checkpoint.record["created"]
            if trainer.ended is not None:
                record["ended"] = trainer.ended.model_dump()
        ranks.barrier()
        if ranks.first:
            if fresh and run_folder.exists():
                inform(f"the old run is now in {run_folder.set_aside()}")
                stack.enter_context(run_folder.locked())
            # Also when a run continues: operation keys such as the length may have changed.
            run_folder.begin(record, resolved)
        yield Run(trainer)


@contextmanager
def opened_data(recipe: ResolvedRecipe, ranks: Ranks) -> Iterator[Dataset]:
    """The opened dataset of a recipe, which is closed at the end. The first rank opens it first: it may download."""
    if not ranks.first:
        ranks.barrier()
    dataset = open_data(recipe)
    if ranks.first:
        ranks.barrier()
    try:
        yield dataset
    finally:
        dataset.close()


def _check_folder(folder: RunFolder, dataset: Dataset) -> None:
    """Raises UserError for a folder among the images of the dataset, and for one with files that holds no run."""
    place = real_path(folder.path)
    for images in dataset.folders:
        if real_path(images) in (place, *place.parents):
            raise UserError(
                f"{folder.path} lies in {images}, where the dataset looks for images, and would find the run's sample "
                f"pictures: choose another --out"
            )
    unknown = folder.unknown_files()
    # In this order: another process may begin a run here at this moment, and writes its record before other files.
    if unknown and not folder.exists():
        raise UserError(
            f"{folder.path} is not empty and is not a run folder ({', '.join(unknown[:5])}); choose another --out"
        )


def _checkpoint(folder: RunFolder, record: Mapping[str, object], ranks: Ranks) -> Checkpoint | None:
    """The checkpoint to continue from. A run that saved nothing is started again, with any recipe."""
    if not folder.exists() or folder.saved_nothing():
        return None
    check_same_run(folder.path, folder.record(), record, warn if ranks.first else _discard)
    if not ranks.first:
        ranks.barrier()  # the first rank renames damaged checkpoints
    checkpoint = folder.checkpoints.newest(warn if ranks.first else _discard)
    if ranks.first:
        ranks.barrier()
    return checkpoint


def _discard(message: str) -> None:
    """Discards messages on all ranks but the first."""
