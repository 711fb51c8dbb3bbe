"""The training loop. It runs phases and contains no code for a particular method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from translate_core.contracts.dataset import Item
from translate_core.contracts.given import given_of
from translate_core.contracts.length import Length
from translate_core.contracts.method import Method
from translate_core.contracts.observer import Result, RunInfo
from translate_core.contracts.parameters import parameters_of
from translate_core.errors import Interrupted, UserError
from translate_core.runtime.randomness import Draws
from translate_core.runtime.signals import StopSignal
from translate_core.storage import weights
from translate_core.storage.checkpoints import Checkpoint
from translate_core.storage.models import EarlyEnd
from translate_core.storage.record import early_end
from translate_core.storage.run_folder import RunFolder
from translate_core.training.build import Assembly
from translate_core.training.evaluation import evaluate, metric_names, samples
from translate_core.training.first_not_finite import FirstNotFinite
from translate_core.training.given import kinds_of, on_device
from translate_core.training.loader import load_steps
from translate_core.training.micro_batch import Binding, DuePhase, MicroBatch
from translate_core.training.watchers import PARTS, Watchers
from translate_core.training.workers import WorkerError

_NORM = "gradient_norm"
"""The norms of clipped gradients are logged as `gradient_norm/<update>`."""


class DivergedError(UserError):
    """A loss or a weight is not finite."""


@dataclass
class Trainer:
    """Trains an assembly from `step` to its length.

    folder: where checkpoints, weights and results are written; None writes nothing. record: what every checkpoint
    records beside its parts. watchers: the observers. step: the number of optimizer steps done. ended: the early end of
    the run, if it had one. results: of the last evaluation.
    """

    assembly: Assembly
    folder: RunFolder | None = None
    record: Mapping[str, object] = field(default_factory=dict)
    watchers: Watchers = field(default_factory=Watchers)
    step: int = 0
    ended: EarlyEnd | None = None
    results: list[Result] = field(default_factory=list)
    _evaluated_at: int | None = None
    _saved_at: int | None = None
    _updating: bool = False
    _first_not_finite: FirstNotFinite = field(default_factory=FirstNotFinite)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continues from a checkpoint. Raises UserError when it belongs to another recipe."""
        self.watchers.restore(checkpoint.parts)
        others = {name: part for name, part in checkpoint.parts.items() if not name.startswith(PARTS)}
        replace(checkpoint, parts=others).restore(
            self.assembly.parts(), self.assembly.rank_parts(), self.assembly.ranks.rank
        )
        self.step = self._saved_at = checkpoint.step
        self.ended = early_end(checkpoint.record, self.assembly.length)

    @property
    def finished(self) -> bool:
        """Whether the run has reached its length or its early end."""
        return self.step >= self.assembly.length or (self.ended is not None and self.ended.step == self.step)

    def train(self, stop: StopSignal) -> bool:
        """Trains until the run is finished or a stop is requested; returns whether it is finished. Saves at the end."""
        with stop.at_work():
            try:
                if self.folder is not None and self.assembly.ranks.first:
                    self.watchers.start(self.assembly.recipe.observers, self._info(self.folder))
                self._train(stop)
            except BaseException as error:
                self._save_before_leaving(error)
                self.watchers.stop(self.step, False, error)
                raise
            self.watchers.stop(self.step, self.finished)
        return self.finished

    def _save_before_leaving(self, error: BaseException) -> None:
        """Saves the steps since the last checkpoint where an error between two steps ends the session.

        Not where nothing was saved before: then the corrected command may start again, also with another recipe.
        """
        if self.folder is None or self.assembly.ranks.count > 1 or self._updating or self.finished:
            return
        if isinstance(error, Interrupted | DivergedError) or self._saved_at in (None, self.step):
            return
        with suppress(Exception):  # the first error is the one to report
            self.save()

    def _train(self, stop: StopSignal) -> None:
        try:
            for _ in self.steps():
                self.watchers.step(self.step)
                stopping = self.assembly.ranks.any(stop.requested)
                self._after_step(stopping)
                if stopping or self.finished:
                    break
        except WorkerError:
            # A scheduler sends SIGTERM to the loader processes too: they have ended as requested.
            if not stop.requested or self.assembly.ranks.count > 1:
                raise
            if self.folder is not None and self.step and self._saved_at != self.step:
                self.save()
        if self.finished and self.folder is not None and self._saved_at != self.step:
            self.save()  # the last steps were taken by `steps`, which saves nothing

    def steps(self) -> Iterator[dict[str, Tensor]]:
        """Takes step after step to the end of the run; yields the losses of each as `update` returns them."""
        assembly = self.assembly
        if self.finished:
            return
        workers = assembly.recipe.training.workers
        pin_memory = assembly.device.type == "cuda"
        for batch in self._load(self.step, assembly.length, workers, pin_memory):
            yield self.update(batch)

    def update(self, batch: Sequence[Item]) -> dict[str, Tensor]:
        """One step: all phases that are due, in order. batch: the micro-batches.

        Returns the weighted losses by name, averaged over the micro-batches; 0-d tensors on the device. Does not
        synchronise.
        """
        self._updating = True
        assembly = self.assembly
        due = self._due_phases(assembly.freeze(self.step))
        count = len(batch)
        micro_batches = [
            MicroBatch(self._on_device(item), self._binder(index), due, alone=count == 1)
            for index, item in enumerate(batch)
        ]
        sums: dict[str, Tensor] = {}
        norms: dict[str, Tensor] = {}
        for item in due:
            for index, micro_batch in enumerate(micro_batches):
                self._draws(index, "").reseed_ambient(assembly.device, item.update.name)
                losses = item.phase.losses(item.losses, micro_batch.tensors(item), assembly.calls, item.trained)
                item.phase.backward(losses, item.trained, count)
                micro_batch.release(item)
                for name, value in losses.parts.items():
                    sums[name] = sums[name] + value if name in sums else value
            norm = self._update_networks(item)
            if norm is not None:
                norms[f"{_NORM}/{item.update.name}"] = norm
        self._end_step(due, count)
        means = sums if count == 1 else {name: value / count for name, value in sums.items()}
        losses_of_step = {**means, **norms}
        assembly.last_losses.update(losses_of_step)
        self._first_not_finite.update(self.step, means)
        self._updating = False
        return losses_of_step

    def batch(self, step: int) -> list[Item]:
        """The micro-batches of a step, loaded in this process."""
        return next(self._load(step, step + 1))

    def _load(self, start: int, stop: int, workers: int = 0, pin_memory: bool = False) -> Iterator[list[Item]]:
        dataset, given = self.assembly.dataset, given_of(self.assembly.method.given)
        return load_steps(
            dataset.train, self.assembly.sampling, given, start, stop, workers, pin_memory, size=dataset.size
        )

    def tensors(self, item: Item, *, grad: bool) -> Method:
        """The tensors of one micro-batch, with the draws of the next step."""
        assembly = self.assembly
        return assembly.method.tensors(
            self._on_device(item),
            assembly.networks,
            assembly.calls,
            self._draws(0, ""),
            grad=grad,
            needed=assembly.shapes.needed,
        )

    def evaluate(self) -> list[Result]:
        """Computes the metrics on the first rank; the other ranks wait. Keeps and returns the results."""
        if self.assembly.ranks.first:
            self.results = evaluate(self.assembly, self.folder.embeddings if self.folder else None)
        self.assembly.ranks.barrier()
        self._evaluated_at = self.step
        return self.results

    def save(self) -> Path | None:
        """Writes a checkpoint; at the end of the run also weights and results. Returns its path on the first rank.

        Raises DivergedError when a weight is not finite.
        """
        assert self.folder is not None
        self._check_weights()
        assembly = self.assembly
        done = self.finished
        if done and self._evaluated_at != self.step:
            self.evaluate()
        # On every rank: a schedule averages its state over the ranks.
        parts = {name: part.state_dict() for name, part in assembly.parts().items()}
        rank_parts = assembly.ranks.gather({name: part.state_dict() for name, part in assembly.rank_parts().items()})
        path = None
        if assembly.ranks.first:
            ended = self.ended if done else None
            record = {**self.record, **({} if ended is None else {"ended": ended.model_dump()})}
            if done:
                self._export(self.folder)
                self.folder.write_results(self.step, self.results, ended)
            keep = assembly.recipe.training.keep_checkpoints
            path = self.folder.checkpoints.save(self.step, record, {**parts, **self.watchers.parts()}, rank_parts, keep)
            if ended is not None:
                self.folder.write_record(record)
            self.watchers.checkpoint(self.step, path)
        assembly.ranks.barrier()
        self._saved_at = self.step
        return path

    # One step

    def _due_phases(self, frozen: frozenset[str]) -> list[DuePhase]:
        """The phases of the next step that evaluate a loss and train something."""
        found = []
        for phase in self.assembly.phases:
            losses = phase.due(self.step)
            trained = phase.trained(losses, frozen)
            if trained:
                found.append(DuePhase(phase, losses, trained))
        return found

    def _binder(self, micro_batch: int) -> Callable[[Binding], Method]:
        assembly = self.assembly

        def bind(binding: Binding) -> Method:
            return assembly.method.tensors(
                binding.given,
                assembly.networks,
                assembly.calls,
                self._draws(micro_batch, binding.update.draws),
                grad=binding.grad,
                needed=binding.needed,
                instead=binding.update.instead,
                shared=binding.shared,
            )

        return bind

    def _draws(self, micro_batch: int, phase: str) -> Draws:
        return Draws(self.assembly.recipe.training.seed, self.assembly.ranks.rank, self.step, micro_batch, phase)

    def _on_device(self, item: Item) -> dict[str, Tensor]:
        assembly = self.assembly
        layout = torch.channels_last if assembly.recipe.training.channels_last else torch.contiguous_format
        kinds = {**assembly.dataset.kinds, **kinds_of(assembly.method)}
        return on_device(item, kinds, assembly.device, assembly.precision.dtype, layout)

    def _update_networks(self, due: DuePhase) -> Tensor | None:
        """The optimizer step of a phase. Returns the norm of its gradient where it is clipped."""
        assembly = self.assembly
        norm = due.phase.step(self.step, due.trained, assembly.ranks)
        with torch.no_grad():
            trained = {name: network for name, network in assembly.networks.items() if name in due.trained}
            assembly.method.after_update(due.update, trained)
        return norm

    def _end_step(self, due: Sequence[DuePhase], count: int) -> None:
        """What follows once on the updates of a step: schedules, and the averages of the networks that were updated."""
        assembly = self.assembly
        for side in assembly.sides.values():
            side.schedule.end_step(self.step, count)
        updated = frozenset().union(*(item.trained for item in due))
        for name, ema in assembly.ema.items():
            if name in updated:
                ema.update(self.step)
        self.step += 1

    # What happens after some of the steps

    def _after_step(self, stopping: bool) -> None:
        training = self.assembly.recipe.training
        done = self.finished
        samples_at_end = training.sample_every is not None
        # Not where the run is interrupted: an observer with state would then see more losses than in one session.
        log = self._due(training.log_every) or done
        sample = self._due(training.sample_every) or (done and samples_at_end)
        evaluate = self._due(training.evaluate_every) or done
        self._report(log, sample, evaluate)
        if not done and self._end_requested():
            self._report(not log, not sample and samples_at_end, not evaluate)
            done = True
        if self.folder is not None and (self._due(training.checkpoint_every) or done or stopping):
            self.save()

    def _report(self, log: bool, sample: bool, evaluate: bool) -> None:
        if log:
            self._log()
        if sample:
            self._sample()
        if evaluate:
            self._evaluate()

    def _end_requested(self) -> bool:
        """Whether an observer ends the run after this step; the same on every rank."""
        ranks = self.assembly.ranks
        request = self.watchers.request()
        if not ranks.any(request is not None):
            return False
        by, reason = ranks.from_first(request)
        self.ended = EarlyEnd(step=self.step, length=self.assembly.length, by=by, reason=reason)
        return True

    def _due(self, every: Length | None) -> bool:
        return every is not None and self.step % every.steps(self.assembly.epoch) == 0

    def _info(self, folder: RunFolder) -> RunInfo:
        assembly, recipe = self.assembly, self.assembly.recipe
        return RunInfo(
            name=recipe.name,
            folder=folder.path,
            recipe=recipe.record,
            start=self.step,
            length=assembly.length,
            epoch=assembly.epoch,
            images_per_step=assembly.sampling.draws_per_step,
            metrics=metric_names(assembly),
        )

    def _log(self) -> None:
        """Reads the losses: the only place of a step where the host waits for the device."""
        losses = self.assembly.last_losses.values
        values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
        # Under loss scaling the norm of a gradient may overflow; that step is then skipped.
        bad = [name for name, value in values.items() if not math.isfinite(value) and not name.startswith(_NORM)]
        if self.assembly.ranks.any(bool(bad)):
            raise self._diverged(bad or ["a loss of another process"])
        rates = {name: rate for side in self.assembly.sides.values() for name, rate in side.rates().items()}
        self.watchers.losses(self.step, values, rates)

    def _sample(self) -> None:
        if self.watchers:
            self.watchers.samples(self.step, samples(self.assembly))
        self.assembly.ranks.barrier()

    def _evaluate(self) -> None:
        results = self.evaluate()
        self.watchers.evaluation(self.step, results)

    def _check_weights(self) -> None:
        """Raises DivergedError for weights that are not finite: the losses are not read at every checkpoint."""
        finite = {
            name: torch.stack([parameter.isfinite().all() for parameter in parameters_of(network.module)]).all()
            for name, network in self.assembly.networks.items()
        }
        bad = [f"a weight of {name}" for name, value in finite.items() if not value]
        if bad:
            raise self._diverged(bad)

    def _diverged(self, bad: Sequence[str]) -> DivergedError:
        first = self._first_not_finite.first()
        began = "" if first is None else f" It began with the loss {first[0]} in step {first[1]}."
        return DivergedError(
            f"training has diverged: at step {self.step} {', '.join(bad[:4])} "
            f"{'is' if len(bad) < 2 else 'are'} not finite.{began} Nothing was saved since the last checkpoint; "
            f"try a lower optimizer.lr, or training.precision bf16 or fp32 in place of fp16"
        )

    def _export(self, folder: RunFolder) -> None:
        """Writes the weights of the networks that the directions use, for sharing and for `init_from`."""
        for name in self.assembly.shapes.applied:
            weights.save(self.assembly.evaluation_networks[name].module, folder.weights / f"{name}.safetensors")
