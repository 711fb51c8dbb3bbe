"""Sampling and loading as a pure function of the step."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.queues import Queue
from multiprocessing.reduction import ForkingPickler

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler, get_worker_info
from torch.utils.data import Dataset as TorchDataset

from translate_core.components.plugins import import_files, imported_files
from translate_core.contracts.dataset import Item, TrainSplit
from translate_core.contracts.given import Given
from translate_core.errors import UserError, described, ended_by_component, raised_at, written_in
from translate_core.runtime.randomness import numpy_generator
from translate_core.runtime.ranks import Ranks
from translate_core.training.checked_data import length_of, split_in_epoch, tensors_by_name
from translate_core.training.workers import WorkerWatch, raise_file_limit


@dataclass(frozen=True)
class Sampling:
    """Which draws belong to which step.

    A step takes `batch_size` × `accumulate` × ranks draws; there are no partial steps.
    """

    seed: int
    batch_size: int
    accumulate: int
    ranks: Ranks

    @property
    def draws_per_step(self) -> int:
        """Over all ranks and micro-batches."""
        return self.batch_size * self.accumulate * self.ranks.count

    def epoch(self, length: int) -> int:
        """Steps in an epoch. length: draws in an epoch."""
        return length // self.draws_per_step

    def places(self, step: int, steps_in_epoch: int) -> tuple[int, list[list[int]]]:
        """The epoch of a step, and the positions in it that this rank draws, by micro-batch."""
        epoch, within = divmod(step, steps_in_epoch)
        first = within * self.draws_per_step
        stride = self.batch_size * self.ranks.count
        return epoch, [
            [first + micro * stride + self.ranks.rank * self.batch_size + i for i in range(self.batch_size)]
            for micro in range(self.accumulate)
        ]


class DatasetError(Exception):
    """An exception of a dataset, or a broken promise of one.

    text: what happened, without the name of the dataset. trace: the traceback of a loader process, which does not reach
    this one otherwise.
    """

    def __init__(self, text: str, trace: str = "") -> None:
        super().__init__(text, trace)
        self.text = text
        self.trace = trace

    def __str__(self) -> str:
        return f"{self.text}\n{self.trace}".rstrip()


class _Steps(TorchDataset[list[Item] | Exception]):
    """Indexed by step: the micro-batches of that step.

    In a loader process an exception is returned, not raised: torch would keep of it a text only.
    """

    def __init__(
        self, split: TrainSplit, sampling: Sampling, given: tuple[Given, ...], size: tuple[int, int] | None
    ) -> None:
        self.split = split
        self.size = size
        self.sampling = sampling
        self.given = given
        self.length = length_of(split)
        self.epoch = sampling.epoch(self.length)
        self._order = lru_cache(maxsize=8)(self._shuffled)

    def __reduce__(self) -> tuple[object, ...]:
        """For a loader process that was not forked: it imports the `.py` plugins first."""
        try:
            pickled = bytes(ForkingPickler.dumps((self.split, self.sampling, self.given, self.size)))
        except Exception as error:
            text = f"it cannot be sent to a loader process ({described(error)}); set training.workers=0"
            raise DatasetError(text, traceback.format_exc()) from error
        return _unpickled, (imported_files(), pickled)

    def __getitem__(self, step: int) -> list[Item] | Exception:
        if get_worker_info() is None:
            return self._load(step)
        try:
            return self._load(step)
        except BaseException as error:
            return _portable(error)

    def _load(self, step: int) -> list[Item]:
        epoch, micro_batches = self.sampling.places(step, self.epoch)
        loaded = [_collate([self._draw(epoch, place) for place in places]) for places in micro_batches]
        for item in loaded:
            self._check(item)
        return loaded

    def _check(self, item: Item) -> None:
        """Raises DatasetError for images of another size than the dataset declares."""
        for name, images in item.items():
            if self.size is not None and images.dim() == 4 and images.shape[-2:] != self.size:
                sizes = [f"{height}×{width}" for height, width in (images.shape[-2:], self.size)]
                raise DatasetError(f"`draw` returns {name} of {sizes[0]}, and the dataset declares the size {sizes[1]}")

    def _draw(self, epoch: int, place: int) -> Item:
        """An example, with the tensors that further draws or other names add to it."""
        item = self._example(epoch, place, 0)
        examples = {0: item}
        for given in self.given:
            if given.draw not in examples:
                examples[given.draw] = self._example(epoch, place, given.draw)
        try:
            return {**item, **{given.name: examples[given.draw][given.of] for given in self.given}}
        except KeyError as error:
            raise DatasetError(f"`draw` returns {', '.join(item)}, and the method needs {error}") from None

    def _example(self, epoch: int, place: int, draw: int) -> Item:
        """What the dataset gives at a place of an epoch. draw: 0, or the number of a further, independent draw."""
        # A further draw has an order of its own, so that what it gives is independent of the example.
        further = ("draw", draw) if draw else ()
        index = int(self._order(epoch, draw)[place]) if self.split.shuffled or draw else place
        rng = numpy_generator(self.sampling.seed, "image", epoch, place, *further)
        split = split_in_epoch(self.split, epoch)
        return tensors_by_name(split.draw(index, rng), f"a draw of {written_in(split)}")

    def _shuffled(self, epoch: int, draw: int) -> np.ndarray:
        further = ("draw", draw) if draw else ()
        return numpy_generator(self.sampling.seed, "epoch", epoch, *further).permutation(self.length)


def _collate(items: list[Item]) -> Item:
    """The items as one batch. Raises DatasetError for items that differ in more than their values."""
    if any(item.keys() != items[0].keys() for item in items[1:]) or not all(
        isinstance(value, torch.Tensor) for item in items for value in item.values()
    ):
        raise DatasetError(_unlike(items))
    try:
        return {name: torch.stack([item[name] for item in items]) for name in items[0]}
    except (RuntimeError, TypeError):
        raise DatasetError(_unlike(items)) from None


def _unlike(items: Sequence[Item]) -> str:
    listed = sorted({", ".join(f"{name}: {_described(value)}" for name, value in item.items()) for item in items})
    seen = "; then ".join(listed)
    return f"`draw` must return tensors of the same names, shapes and types each time, and returns {seen}"


def _described(value: object) -> str:
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def _unpickled(files: list[str], pickled: bytes) -> _Steps:
    import_files(files)
    return _Steps(*pickle.loads(pickled))


def _portable(error: BaseException) -> Exception:
    """An exception of a loader process as one that can be sent to the training process."""
    if isinstance(error, UserError):
        return UserError(str(error))
    ended = ended_by_component(error, "it")
    if ended is not None:
        return DatasetError(ended, traceback.format_exc())
    if isinstance(error, DatasetError | MemoryError | OSError):
        return error
    return DatasetError(described(error) + raised_at(error), traceback.format_exc())


class _From(Sampler[int]):
    def __init__(self, start: int, stop: int) -> None:
        self.steps = range(start, stop)

    def __iter__(self) -> Iterator[int]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


def load_steps(
    split: TrainSplit,
    sampling: Sampling,
    given: tuple[Given, ...],
    start: int,
    stop: int,
    workers: int = 0,
    pin_memory: bool = False,
    size: tuple[int, int] | None = None,
) -> Iterator[list[Item]]:
    """The micro-batches of steps `start` … `stop` - 1, prefetched by `workers` processes (0: loaded in this one).

    given: what the method needs: tensors of the dataset, some under another name or of a further draw.
    size: of every image, None where images differ.
    Raises what the dataset raises; in a loader process, a DatasetError in place of most of it.
    """
    loaded = DataLoader(
        _Steps(split, sampling, given, size),
        batch_size=None,
        sampler=_From(start, stop),
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_prepare if workers else None,
        generator=torch.Generator(),
    )
    for micro_batches in _watched(loaded, workers) if workers else loaded:
        if isinstance(micro_batches, Exception):
            raise micro_batches
        yield micro_batches


def _watched(loaded: DataLoader[list[Item] | Exception], workers: int) -> Iterator[list[Item] | Exception]:
    """What loader processes load; their death is reported here. Raises WorkerError."""
    raise_file_limit(workers)
    watch = WorkerWatch(workers)
    steps = iter(loaded)
    with watch.installed():
        try:
            while True:
                with watch.waiting():
                    try:
                        micro_batches = next(steps)
                    except StopIteration:
                        return
                yield micro_batches
        finally:
            # Before torch's own handler is back, which would report a dead process a second time, at any place.
            steps._shutdown_workers()  # type: ignore[attr-defined]  # of torch: what `del steps` calls


def _prepare(worker: int) -> None:
    """Prepares a loader process.

    Ignores Ctrl-C, which reaches every process of the terminal: the training process alone handles it. Ends the process
    where what it has loaded cannot be sent, such as for want of shared memory: Python drops it, with a traceback, and
    the training process would wait for it forever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Queue._on_queue_feeder_error = staticmethod(lambda error, item: os._exit(1))  # type: ignore[attr-defined]
    torch.set_num_threads(1)
