"""The loop. It knows phases, not methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from translate_core.contracts.dataset import Item, to_unit_range
from translate_core.contracts.length import Length
from translate_core.contracts.method import Method
from translate_core.contracts.observer import Observer, Result, RunInfo
from translate_core.contracts.role import GENERATORS
from translate_core.errors import UserError
from translate_core.runtime.randomness import Draws
from translate_core.runtime.signals import StopSignal
from translate_core.storage import weights
from translate_core.storage.checkpoints import Checkpoint, Checkpoints
from translate_core.storage.run_folder import RunFolder
from translate_core.training.build import Run
from translate_core.training.evaluation import evaluate, samples
from translate_core.training.loader import load_steps
from translate_core.training.phase import Phase


class DivergedError(UserError):
    """A loss is no longer a finite number."""


@dataclass
class Trainer:
    """Trains a run from `step` to its length.

    record: what goes into every checkpoint beside the parts.
    step: optimizer steps that are done.
    """

    run: Run
    folder: Path
    record: dict[str, object]
    observers: Sequence[Observer] = ()
    step: int = 0
    results: list[Result] = field(default_factory=list)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back to a checkpoint."""
        parts = self.run.parts()
        rank = self.run.ranks.rank
        saved = dict(checkpoint.parts)
        for name in parts:
            own = saved.pop(f"{name}@{rank}", None)
            if own is not None:
                saved[name] = own
        whole = {name: part for name, part in saved.items() if "@" not in name}
        Checkpoint(checkpoint.path, checkpoint.step, checkpoint.record, whole).restore(parts)
        self.step = checkpoint.step

    def train(self, stop: StopSignal) -> bool:
        """Trains until the run is done or a stop is asked for; returns whether it is done. Saves before it returns."""
        run = self.run
        training = run.recipe.training
        finished = False

        def tell_stop(observer: Observer) -> None:
            observer.on_stop(self.step, finished)

        with stop.at_work(), ExitStack() as started:
            for observer in self.observers:
                observer.on_start(self._info())
                started.callback(tell_stop, observer)
            batches = load_steps(
                run.dataset.train, run.sampling, self.step, run.length, training.workers, run.device.type == "cuda"
            )
            stopping = False
            while self.step < run.length and not stopping:
                losses = self.update(next(batches))
                for observer in self.observers:
                    observer.on_step(self.step)
                stopping = run.ranks.any(stop.asked)
                self._after_step(losses, stopping)
            finished = self.step >= run.length
        return finished

    def update(self, batch: Sequence[Item]) -> dict[str, Tensor]:
        """One step: every phase, in order. batch: the micro-batches.

        Returns every loss of the step, weights included, on the device and not waited for.
        """
        run = self.run
        count = len(batch)
        given = [self._given(item) for item in batch]
        kept: list[Method | None] = [None] * count
        losses: dict[str, Tensor] = {}
        for phase in run.phases:
            # With one micro-batch the phases share one graph. With several, a graph lives for its own micro-batch only:
            # what comes before the generators' phase needs none, what comes after reuses the values.
            own = phase.side == GENERATORS
            shared = count == 1 and not run.method.fresh_tensors
            for micro in range(count):
                draws = Draws(
                    run.recipe.training.seed,
                    run.ranks.rank,
                    self.step,
                    micro,
                    phase.side if run.method.fresh_tensors else "",
                )
                draws.reseed_ambient(run.device, phase.side)
                tensors = kept[micro]
                if tensors is None:
                    tensors = run.method.tensors(given[micro], run.networks, run.calls, draws, grad=own or shared)
                total, parts = phase.losses(tensors, run.calls)
                phase.backward(total / count if count > 1 else total)
                for name, value in parts.items():
                    losses[name] = losses[name] + value if name in losses else value
                if own and not shared:
                    tensors.detach()
                if (shared or own) and not run.method.fresh_tensors:
                    kept[micro] = tensors
            self._finish(phase)
        self.step += 1
        return losses if count == 1 else {name: value / count for name, value in losses.items()}

    def _finish(self, phase: Phase) -> None:
        run = self.run
        phase.update(self.step, run.ranks)
        with torch.no_grad():
            run.method.after_update(phase.side, run.networks)
        if phase.side == GENERATORS:
            for average in run.ema.values():
                average.update(self.step)

    def _given(self, item: Item) -> dict[str, Tensor]:
        run = self.run
        layout = torch.channels_last if run.recipe.training.channels_last else torch.contiguous_format
        return {
            name: to_unit_range(image.to(run.device, non_blocking=True), run.precision.dtype).contiguous(
                memory_format=layout
            )
            for name, image in item.items()
        }

    def _after_step(self, losses: dict[str, Tensor], stopping: bool) -> None:
        training = self.run.recipe.training
        done = self.step >= self.run.length
        if self._due(training.log_every) or done or stopping:
            self._log(losses)
        if self._due(training.sample_every) or (done and training.sample_every is not None):
            self._sample()
        if self._due(training.evaluate_every) or done:
            self._evaluate()
        if self._due(training.checkpoint_every) or done or stopping:
            self._save(done)

    def _due(self, every: Length | None) -> bool:
        return every is not None and self.step % every.steps(self.run.epoch) == 0

    @property
    def _may_write(self) -> bool:
        return self.run.ranks.first

    def _info(self) -> RunInfo:
        run = self.run
        images = run.sampling.draws_per_step
        return RunInfo(run.recipe.name, self.folder, run.recipe.record, self.step, run.length, run.epoch, images)

    def _log(self, losses: dict[str, Tensor]) -> None:
        """Reads the losses, the one place where the host waits for the device."""
        values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if self.run.ranks.any(bool(bad)):
            raise self._diverged(bad or ["a loss of another process"])
        rates = {phase.side: phase.rate() for phase in self.run.phases}
        for observer in self.observers:
            observer.on_losses(self.step, values, rates)

    def _diverged(self, bad: Sequence[str]) -> DivergedError:
        return DivergedError(
            f"training has diverged: at step {self.step} {', '.join(bad[:4])} "
            f"{'is' if len(bad) < 2 else 'are'} not finite. Nothing was saved since the last checkpoint; "
            f"try a lower optimizer.lr, or training.precision bf16 or fp32 in place of fp16"
        )

    def _refuse_to_save_what_diverged(self) -> None:
        """Checkpoints fall between the steps whose losses are read too, and nobody can go on from such weights."""
        finite = {
            name: torch.stack([parameter.isfinite().all() for parameter in network.module.parameters()]).all()
            for name, network in self.run.networks.items()
        }
        bad = [f"a weight of {name}" for name, value in finite.items() if not value]
        if bad:
            raise self._diverged(bad)

    def _sample(self) -> None:
        if self._may_write and self.observers:
            drawn = samples(self.run)
            for observer in self.observers:
                observer.on_samples(self.step, drawn)
        self.run.ranks.barrier()

    def _evaluate(self) -> None:
        if self._may_write:
            self.results = evaluate(self.run)
            for observer in self.observers:
                observer.on_evaluation(self.step, self.results)
        self.run.ranks.barrier()

    def _save(self, done: bool) -> None:
        self._refuse_to_save_what_diverged()
        parts = {name: part.state_dict() for name, part in self.run.parts().items()}
        losses = {name: state for name, state in parts.items() if name.startswith("losses/")}
        per_rank = self.run.ranks.gather(losses)
        if self._may_write:
            for rank, states in enumerate(per_rank[1:], 1):
                parts.update({f"{name}@{rank}": state for name, state in states.items()})
            if done:
                self._export()
                RunFolder(self.folder).write_results(self.step, self.results)
            path = Checkpoints(self.folder / "checkpoints").save(
                self.step, self.record, parts, self.run.recipe.training.keep_checkpoints
            )
            for observer in self.observers:
                observer.on_checkpoint(self.step, path)
        self.run.ranks.barrier()

    def _export(self) -> None:
        """The generators alone, for sharing and for `init_from`."""
        folder = self.folder / "weights"
        folder.mkdir(parents=True, exist_ok=True)
        for name, network in self.run.evaluation_networks.items():
            if network.role.side == GENERATORS:
                weights.save(network.module, folder / f"{name}.safetensors")
