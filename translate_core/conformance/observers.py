"""The promises of observers."""

from __future__ import annotations

import contextlib
import copy
import io
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, image, same, saved_and_loaded
from translate_core.conformance.promise import Broken, built, promise
from translate_core.contracts.dataset import to_uint8
from translate_core.contracts.observer import Observer, Result, RunInfo, Sample

_LENGTH = 6
_EVERY = "2 steps"
_RECIPE: Mapping[str, Any] = {
    "method": {"type": "tried"},
    "losses": {"adversarial": {"type": "tried", "weight": 1}},
    "training": {
        "length": f"{_LENGTH} steps",
        "log_every": "1 steps",
        "sample_every": _EVERY,
        "evaluate_every": _EVERY,
    },
    "metrics": {"tried": {"type": "tried"}},
}


class ObserverSubject:
    """An observer of a fake run."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block

    def build(self) -> Observer:
        """A new observer."""
        observer: Observer = self.block()
        return observer


@dataclass
class _FakeRun:
    """What an observer was called with, and what it did.

    shown: the arguments by name. states: its state at each checkpoint. end: the step after which it requested the end
    of the run, and its reason.
    """

    shown: dict[str, Any]
    states: dict[int, dict[str, Any]] = field(default_factory=dict)
    end: tuple[int, str] | None = None


def _fake_run(observer: Observer, folder: Path, start: int, stop: int) -> _FakeRun:
    """Calls the observer as a run from `start` to `stop` would."""
    recipe = copy.deepcopy(_RECIPE)
    shown: dict[str, Any] = {"recipe": recipe, "losses": {}, "rates": {}, "samples": [], "results": []}
    run = _FakeRun(shown)
    observer.on_start(_info(folder, recipe, start))
    step = start
    while step < stop and run.end is None:
        step += 1
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
        if observer.stop_reason is not None:
            run.end = (step, observer.stop_reason)
        if step % 2 == 0 or run.end is not None:
            run.states[step] = observer.state_dict()
            observer.on_checkpoint(step, folder / "checkpoints" / f"step-{step}.pt")
    observer.on_stop(step, step == _LENGTH or run.end is not None)
    return run


def _info(folder: Path, recipe: Mapping[str, Any], start: int) -> RunInfo:
    return RunInfo("tried", folder, recipe, start, _LENGTH, 3, 2, {"A-B": ["tried/fake_B"]})


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
    first=True,
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
        watched = _fake_run(subject.build(), folder, 0, _LENGTH)
        shown = watched.shown
        expected = _fake_run(Observer(), folder, 0, watched.end[0] if watched.end else _LENGTH).shown
    for name, value in expected.items():
        ours, theirs = _plain(value), _plain(shown[name])
        if not same(ours, theirs):
            raise Broken(f"changes the {name} in its arguments")


def _plain(value: Any) -> Any:
    return [vars(item) for item in value] if isinstance(value, list) else value


@promise("is restored by its state_dict", "a resumed run builds a new observer and loads the state of the checkpoint")
def is_restored(subject: ObserverSubject) -> None:
    """Saved and loaded as in a checkpoint, the state is the same; and the run ends as one that was not interrupted."""
    with _silent_folder() as folder:
        whole = _fake_run(subject.build(), folder, 0, _LENGTH)
    for step, state in whole.states.items():
        if not isinstance(state, dict):
            raise Broken(f"its state_dict is {state!r}, not a dict")
        saved = saved_and_loaded(state, "its state_dict")
        with _silent_folder() as folder:
            _fake_run(subject.build(), folder, 0, step)
            observer = subject.build()
            observer.load_state_dict(saved)
            if not same(observer.state_dict(), state):
                raise Broken("its state_dict differs after it was saved and loaded")
            if step == _LENGTH or (whole.end is not None and step == whole.end[0]):
                continue
            end = _fake_run(observer, folder, step, _LENGTH).end
        if end != whole.end:
            raise Broken(f"{_ended(whole.end)}, and when it is interrupted after step {step} and resumed {_ended(end)}")


def _ended(end: tuple[int, str] | None) -> str:
    return "does not end the run" if end is None else f"ends the run after step {end[0]} ({end[1]})"


@promise("keeps the request of `stop`", "the run reads it from `stop_reason` after each step")
def keeps_its_request(subject: ObserverSubject) -> None:
    """A method of its own with this name would take the place of the contract's."""
    with _silent_folder() as folder:
        observer = subject.build()
        observer.on_start(_info(folder, _RECIPE, 0))
        observer.stop("tried")
        reason = observer.stop_reason
        observer.on_stop(0, False)
    if reason != "tried":
        raise Broken(f"after stop('tried') its stop_reason is {reason!r}")


PROMISES = (
    builds,
    observes_a_run,
    does_not_modify_arguments,
    observes_a_resumed_run,
    is_restored,
    keeps_its_request,
)
