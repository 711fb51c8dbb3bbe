"""The promises of observers."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, image, same
from translate_core.conformance.promise import Broken, built, promise
from translate_core.contracts.dataset import to_uint8
from translate_core.contracts.observer import Observer, Result, RunInfo, Sample

_LENGTH = 6


class ObserverSubject:
    """An observer of a fake run."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block

    def build(self) -> Observer:
        """A new observer."""
        observer: Observer = self.block()
        return observer


def _fake_run(observer: Observer, folder: Path, start: int, stop: int) -> dict[str, Any]:
    """Calls the observer as a run from `start` to `stop` would; returns the arguments by name."""
    recipe = {"method": {"type": "tried"}, "training": {"length": f"{_LENGTH} steps"}}
    shown: dict[str, Any] = {"recipe": recipe, "losses": {}, "rates": {}, "samples": [], "results": []}
    observer.on_start(RunInfo("tried", folder, recipe, start, _LENGTH, 3, 2))
    for step in range(start + 1, stop + 1):
        observer.on_step(step)
        losses = {"adversarial": 1.0 / step, "adversarial/fake_B": 1.0 / step, "adversarial/discriminators": 0.25}
        rates = {"generators": 2e-4, "discriminators": 2e-4}
        shown.update(losses=losses, rates=rates)
        observer.on_losses(step, losses, rates)
        if step % 2 == 0:
            pictures = {"real_A": _picture(1), "fake_B": _picture(2), "target_B": _picture(3)}
            samples = [Sample("A-B", "one", pictures), Sample("A-B", "two", {"real_A": _picture(4)})]
            results = [Result("tried/fake_B", 0.5, "A-B", True, "all 2 test images", "as it is computed")]
            shown.update(samples=samples, results=results)
            observer.on_samples(step, samples)
            observer.on_evaluation(step, results)
            observer.on_checkpoint(step, folder / "checkpoints" / f"step-{step}.pt")
    observer.on_stop(stop, stop == _LENGTH)
    return shown


def _picture(seed: int) -> torch.Tensor:
    return to_uint8(image(3, 32, 48, count=1, seed=seed))[0]


@contextlib.contextmanager
def _silent_folder() -> Iterator[Path]:
    """A temporary run folder; stdout and stderr are discarded inside the block."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        yield Path(folder)


@promise("builds", "each run builds its own before the run folder exists", first=True)
def builds(subject: ObserverSubject) -> None:
    """From its options alone."""
    built(subject.build)


@promise("observes a whole run", "an exception in an observer ends the run", first=True)
def observes_a_run(subject: ObserverSubject) -> None:
    """Every call, in the order of a run."""
    with _silent_folder() as folder:
        _fake_run(subject.build(), folder, 0, _LENGTH)


@promise(
    "observes a run that is interrupted and resumed",
    "a run is resumed by the same command, and the folder then has the files of the first session",
)
def observes_a_resumed_run(subject: ObserverSubject) -> None:
    """Stopped before the first step, stopped later, and resumed from a step that it has already observed."""
    with _silent_folder() as folder:
        _fake_run(subject.build(), folder, 0, 0)
        _fake_run(subject.build(), folder, 0, 4)
        _fake_run(subject.build(), folder, 2, _LENGTH)


@promise("does not modify its arguments", "other observers and the run use the same objects")
def does_not_modify_arguments(subject: ObserverSubject) -> None:
    """Losses, pictures, results, the recipe."""
    with _silent_folder() as folder:
        shown = _fake_run(subject.build(), folder, 0, _LENGTH)
        expected = _fake_run(Observer(), folder, 0, _LENGTH)
    for name, value in expected.items():
        ours, theirs = _plain(value), _plain(shown[name])
        if not same(ours, theirs):
            raise Broken(f"changes the {name} in its arguments")


def _plain(value: Any) -> Any:
    return [vars(item) for item in value] if isinstance(value, list) else value


PROMISES = (builds, observes_a_run, observes_a_resumed_run, does_not_modify_arguments)
