"""What observers promise."""

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
from translate_core.conformance.promise import Broken, promise
from translate_core.contracts.dataset import to_uint8
from translate_core.contracts.observer import Observer, Result, RunInfo, Sample
from translate_core.errors import explain

_LENGTH = 6


class ObserverSubject:
    """An observer, and a run that is told to it."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block

    def build(self) -> Observer:
        """A fresh one."""
        observer: Observer = self.block()
        return observer


def _tell(observer: Observer, folder: Path, start: int, stop: int) -> dict[str, Any]:
    """A session of a run from one step to another; what was shown on the way."""
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
def _in_silence() -> Iterator[Path]:
    """A run folder that goes away again; what is printed goes nowhere."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        yield Path(folder)


@promise("builds", "each run builds its own, before there is a run folder", first=True)
def builds(subject: ObserverSubject) -> None:
    """From its options alone."""
    try:
        subject.build()
    except Exception as error:  # whatever a component's constructor raises
        raise Broken(f"cannot be built: {explain(error)}") from None


@promise("hears a whole run", "an observer that raises ends the run that it watches", first=True)
def hears_a_run(subject: ObserverSubject) -> None:
    """Every call, in the order in which a run makes them."""
    with _in_silence() as folder:
        _tell(subject.build(), folder, 0, _LENGTH)


@promise(
    "hears a run that stops and goes on",
    "Ctrl-C and the same command again is how people work; the folder then holds what was written before",
)
def hears_it_go_on(subject: ObserverSubject) -> None:
    """Stopped before the first step, stopped on the way, and gone on from a step that was seen before."""
    with _in_silence() as folder:
        _tell(subject.build(), folder, 0, 0)
        _tell(subject.build(), folder, 0, 4)
        _tell(subject.build(), folder, 2, _LENGTH)


@promise("changes nothing that it is shown", "other observers are shown the same, and the run goes on with it")
def changes_nothing(subject: ObserverSubject) -> None:
    """Losses, pictures, results, the recipe."""
    with _in_silence() as folder:
        shown = _tell(subject.build(), folder, 0, _LENGTH)
        expected = _tell(Observer(), folder, 0, _LENGTH)
    for name, value in expected.items():
        ours, theirs = _plain(value), _plain(shown[name])
        if not same(ours, theirs):
            raise Broken(f"changes the {name} that it is shown")


def _plain(value: Any) -> Any:
    return [vars(item) for item in value] if isinstance(value, list) else value


PROMISES = (builds, hears_a_run, hears_it_go_on, changes_nothing)
