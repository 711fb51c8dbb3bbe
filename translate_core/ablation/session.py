"""One session of an ablation: every trial that is not finished is trained, and the table is written."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translate_core.ablation.file import parse_ablation
from translate_core.ablation.report import TABLE, TABLE_CSV, Tables, print_trials
from translate_core.ablation.trial import Trial
from translate_core.ablation.validation import Validation
from translate_core.errors import Interrupted, UserError, described
from translate_core.experiment.session import train
from translate_core.recipe.overrides import Overrides
from translate_core.runtime.console import DEFECT, INTERRUPTED, OK, USER_FAULT, inform, user_fault
from translate_core.runtime.device import choose_device
from translate_core.runtime.files import PART
from translate_core.runtime.ranks import Ranks, join
from translate_core.runtime.signals import StopSignal
from translate_core.storage.names import LOCK
from translate_core.storage.run_folder import RunFolder, default_folder
from translate_core.training.trainer import DivergedError


def run_ablation(
    path: Path,
    data: Mapping[str, Any],
    overrides: Overrides,
    *,
    out: Path | None,
    device_name: str,
    dry_run: bool,
    fresh: bool,
    command: str,
) -> int:
    """Trains every trial that is not finished and writes the table; returns the exit status of the command.

    path, data: the file of the ablation and its content. overrides: those of the command line. out: the folder of the
    ablation, by default below `runs/`. command: the command line that continues the ablation, for messages.

    Raises UserError before anything is trained if a variant is not valid.
    """
    ablation = parse_ablation(path, data, overrides)
    device = choose_device(device_name)
    ranks = join(device)
    validation = Validation(ablation, device, ranks)
    recipes = validation.resolve()
    operation = next(iter(recipes.values())).operation if recipes else frozenset[str]()
    folder = out or default_folder(path, overrides.flat(), operation)
    trials = validation.build(recipes, folder, fresh=fresh)
    if dry_run:
        print_trials(ablation.vary, trials)
        return OK
    if ranks.first:
        _prepare(folder, fresh)
    ranks.barrier()
    with RunFolder(folder).locked() if ranks.first else contextlib.nullcontext():
        return _Session(trials, Tables(trials, folder), device_name, ranks, command).run()


def _prepare(folder: Path, fresh: bool) -> None:
    """Moves an old folder aside if `fresh`. Raises UserError for a folder with files that no ablation writes."""
    if fresh:
        aside = RunFolder(folder).set_aside()
        if aside is not None:
            inform(f"the old ablation is now in {aside}")
    elif folder.exists():
        own = (TABLE, TABLE_CSV, TABLE + PART, TABLE_CSV + PART, LOCK)
        foreign = [item.name for item in folder.iterdir() if "=" not in item.name and item.name not in own]
        if foreign:
            raise UserError(
                f"{folder} holds files that are not an ablation's ({', '.join(sorted(foreign)[:5])}); "
                f"choose another --out"
            )


@dataclass(frozen=True)
class _Failure:
    """A trial that could not be trained. defect: whether the error is a defect of the software, not of the user."""

    trial: Trial
    message: str
    defect: bool


@dataclass(frozen=True)
class _Session:
    """Trains the trials one after another. A failure ends one trial, not the session."""

    trials: Sequence[Trial]
    tables: Tables
    device_name: str
    ranks: Ranks
    command: str

    def run(self) -> int:
        """Returns the exit status."""
        failures: list[_Failure] = []
        with StopSignal() as stop:
            for number, trial in enumerate(self.trials, 1):
                if trial.finished:
                    self._log(f"{trial.name} is finished already")
                    continue
                if self.ranks.any(stop.requested):
                    self._log(
                        f"stopped before {trial.name}. To continue, run the same command again:\n  {self.command}"
                    )
                    return self._interrupted()
                self._log(f"run {number} of {len(self.trials)}: {trial.name}")
                failure = self._train(trial, stop)
                if failure is not None:
                    failures.append(failure)
                elif not trial.finished:
                    return self._interrupted()
                self._write_tables()
        self._write_tables()
        if self.ranks.first:
            self.tables.print()
        self._summarize(failures)
        if any(failure.defect for failure in failures):
            return DEFECT
        return USER_FAULT if failures else OK

    def _train(self, trial: Trial, stop: StopSignal) -> _Failure | None:
        """Trains one trial to its end or to the stop signal."""
        if self.ranks.first:
            trial.error_file.unlink(missing_ok=True)
        try:
            # Resolved again: the record of the run then has the plugin files that it is trained with.
            recipe = trial.resolve()
            outcome = train(recipe, trial.folder.path, self.device_name, fresh=False, command=self.command, stop=stop)
            if outcome.finished and not trial.finished:
                raise UserError(f"{trial.folder.path} lacks its final results; remove it to train this run again")
        except Interrupted:
            raise
        except BaseException as error:  # also SystemExit out of a component, which must not end the others
            if self.ranks.count > 1 and not isinstance(error, DivergedError):
                raise  # the other ranks may wait for this one in a collective operation
            return self._failed(trial, error)
        return None

    def _failed(self, trial: Trial, error: BaseException) -> _Failure:
        """Logs an error and writes it to the trial's error file."""
        fault = user_fault(error)
        message = fault or f"a defect in the software: {described(error)}"
        if self.ranks.first:
            trial.error_file.parent.mkdir(parents=True, exist_ok=True)
            trace = "".join(traceback.format_exception(error))
            trial.error_file.write_text(f"{message}\n" if fault else trace, encoding="utf-8")
        self._log(f"{trial.name} failed: {message}")
        return _Failure(trial, message, defect=fault is None)

    def _interrupted(self) -> int:
        done = sum(trial.finished for trial in self.trials)
        self._write_tables()
        self._log(f"{done} of {len(self.trials)} runs are finished; the table so far: {self.tables.markdown_file}")
        return INTERRUPTED

    def _summarize(self, failures: Sequence[_Failure]) -> None:
        self._log(f"the table: {self.tables.markdown_file}, {self.tables.csv_file}")
        if failures:
            lines = [f"  {item.trial.name}: {item.message}\n    {item.trial.error_file}" for item in failures]
            self._log(
                f"{len(failures)} of {len(self.trials)} runs failed; the same command tries them again\n"
                + "\n".join(lines)
            )

    def _write_tables(self) -> None:
        if self.ranks.first:
            self.tables.write()

    def _log(self, text: str) -> None:
        """Prints a message, on the first rank."""
        if self.ranks.first:
            inform(text)
