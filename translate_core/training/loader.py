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
from translate_core.contracts.given import Given
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

    def __init__(self, split: TrainSplit, sampling: Sampling, given: tuple[Given, ...]) -> None:
        self.split = split
        self.sampling = sampling
        self.given = given
        self.epoch = sampling.epoch(len(split))
        self._order = lru_cache(maxsize=8)(self._shuffled)

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key != "_order"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._order = lru_cache(maxsize=8)(self._shuffled)

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
        """An example, with the tensors that further draws or other names add to it."""
        item = self._example(epoch, place, 0)
        examples = {0: item}
        for given in self.given:
            if given.draw not in examples:
                examples[given.draw] = self._example(epoch, place, given.draw)
        return {**item, **{given.name: examples[given.draw][given.of] for given in self.given}}

    def _example(self, epoch: int, place: int, draw: int) -> Item:
        """What the dataset gives at a place of an epoch. draw: 0, or the number of a further, independent draw."""
        # A further draw has an order of its own, so that what it gives is independent of the example.
        further = ("draw", draw) if draw else ()
        index = int(self._order(epoch, draw)[place]) if self.split.shuffled or draw else place
        rng = numpy_generator(self.sampling.seed, "image", epoch, place, *further)
        return self.split.in_epoch(epoch).draw(index, rng)

    def _shuffled(self, epoch: int, draw: int) -> np.ndarray:
        further = ("draw", draw) if draw else ()
        return numpy_generator(self.sampling.seed, "epoch", epoch, *further).permutation(len(self.split))

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
    split: TrainSplit,
    sampling: Sampling,
    given: tuple[Given, ...],
    start: int,
    stop: int,
    workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[list[Item]]:
    """The micro-batches of steps `start` … `stop` - 1, prefetched by `workers` processes (0: loaded in this one).

    given: tensors that need another draw of the data, or another name than the dataset's.
    Raises UserError where a dataset ended the program that drew from it.
    """
    loaded = DataLoader(
        _Steps(split, sampling, given),
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
