"""One session of a run as the commands show it: trained in its folder, with messages."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from translate_core.contracts.observer import Result
from translate_core.experiment.component_faults import component_faults
from translate_core.experiment.run import Run, open_run
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.runtime.console import inform
from translate_core.runtime.signals import StopSignal


@dataclass(frozen=True)
class Outcome:
    """How a session ended.

    finished: whether the run is finished. results: its final test metrics, if this session computed them.
    """

    folder: Path
    finished: bool
    results: Sequence[Result] = ()


def train(recipe: ResolvedRecipe, folder: Path, device: str, *, fresh: bool, command: str, stop: StopSignal) -> Outcome:
    """Trains a run, or continues the one in the folder. command: how the user continues it, for messages."""
    with component_faults(recipe, folder), open_run(recipe, device=device, folder=folder, fresh=fresh) as run:
        first = run.assembly.ranks.first
        if run.finished:
            if first:
                how = run.ended or f"{run.step} steps"
                inform(f"the run in {folder} is finished ({how}); to train longer, raise training.length")
            return Outcome(folder, True)
        if first:
            inform(_opening(run, folder))
        finished = run.train(stop)
        if first:
            inform(_done(run, folder) if finished else _stopped(run, command))
        return Outcome(folder, finished, run.results)


def _opening(run: Run, folder: Path) -> str:
    if run.step:
        return f"continuing {folder} after step {run.step} of {run.length}"
    return f"training {run.recipe.name} on {run.device}: {run.length} steps, run folder {folder}"


def _done(run: Run, folder: Path) -> str:
    return f"done: {folder}" if run.ended is None else f"{run.ended}\ndone: {folder}"


def _stopped(run: Run, command: str) -> str:
    return (
        f"stopped after step {run.step} of {run.length}; saved. To continue, run the same command again:\n  {command}"
    )


def command_line(program: str, arguments: Sequence[str], without: Callable[[str], bool]) -> str:
    """A command as the user can type it again, without the arguments that are meant for one time."""
    return shlex.join([program, *(argument for argument in arguments if not without(argument))])
