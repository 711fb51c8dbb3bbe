"""Sampling and loading as a pure function of the step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from translate_core.contracts.dataset import Item, TrainSplit
from translate_core.errors import UserError, ended_by_component
from translate_core.runtime.randomness import numpy_generator
from translate_core.runtime.ranks import Ranks


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


class _Steps(TorchDataset[list[Item] | UserError]):
    """Indexed by step: the micro-batches of that step.

    Where a component ends the program, the error for the user is returned: of a worker that ends nothing else is known.
    """

    def __init__(self, split: TrainSplit, sampling: Sampling) -> None:
        self.split = split
        self.sampling = sampling
        self.epoch = sampling.epoch(len(split))
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key != "_order"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def __getitem__(self, step: int) -> list[Item] | UserError:
        epoch, micro_batches = self.sampling.places(step, self.epoch)
        try:
            return [self._collate([self._draw(epoch, place) for place in places]) for places in micro_batches]
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            message = ended_by_component(error)
            if message is None:
                raise
            return UserError(message)

    def _draw(self, epoch: int, place: int) -> Item:
        index = int(self._order(epoch)[place]) if self.split.shuffled else place
        return self.split.in_epoch(epoch).draw(index, numpy_generator(self.sampling.seed, "image", epoch, place))

    def _shuffled(self, epoch: int) -> np.ndarray:
        return numpy_generator(self.sampling.seed, "epoch", epoch).permutation(len(self.split))

    @staticmethod
    def _collate(items: list[Item]) -> Item:
        return {name: torch.stack([item[name] for item in items]) for name in items[0]}


class _From(Sampler[int]):
    def __init__(self, start: int, stop: int) -> None:
        self.steps = range(start, stop)

    def __iter__(self) -> Iterator[int]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


def load_steps(
    split: TrainSplit, sampling: Sampling, start: int, stop: int, workers: int, pin_memory: bool
) -> Iterator[list[Item]]:
    """The micro-batches of steps `start` … `stop` - 1, prefetched by `workers` processes (0: loaded in this one).

    Raises UserError where a dataset ended the program that drew from it.
    """
    loaded = DataLoader(
        _Steps(split, sampling),
        batch_size=None,
        sampler=_From(start, stop),
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_quiet if workers else None,
        generator=torch.Generator(),
    )
    for micro_batches in loaded:
        if isinstance(micro_batches, UserError):
            raise micro_batches
        yield micro_batches


def _quiet(worker: int) -> None:
    """Ignores Ctrl-C, which reaches every process of the terminal: the training process alone handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
