"""An ablation: the variants of one recipe, each trained over seeds, and a table of what came out."""

from __future__ import annotations

import contextlib
import copy
import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from translate_core.ablation.file import Ablation, Variant, parse_ablation
from translate_core.ablation.table import Row, aligned, csv_text, markdown, shown
from translate_core.contracts.dataset import Dataset
from translate_core.errors import Fault, FaultsError, RecipeError, UserError
from translate_core.experiment.session import checked, opened, train
from translate_core.recipe.overrides import Overrides
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.recipe.resolver import resolve
from translate_core.runtime.console import DEFECT, INTERRUPTED, OK, USER_FAULT, stdout, tell, user_fault, warn
from translate_core.runtime.device import choose_device
from translate_core.runtime.files import write_text
from translate_core.runtime.ranks import Ranks, join
from translate_core.runtime.signals import StopSignal
from translate_core.storage.run_folder import RunFolder, check_same_run, default_folder, make_record
from translate_core.training.build import build
from translate_core.training.trainer import DivergedError

TABLE = "table.md"
TABLE_CSV = "table.csv"


@dataclass(frozen=True)
class Trial:
    """One run of an ablation: a variant with a seed.

    steps, parameters: its length, and how many parameters are trained.
    """

    variant: Variant
    seed: int
    folder: RunFolder
    steps: int
    parameters: int

    @property
    def name(self) -> str:
        """How messages call it: the place in the ablation's folder."""
        return f"{self.variant.name}/seed={self.seed}"

    @property
    def error_file(self) -> Path:
        """What went wrong when it last failed. Beside the run, which may not have got as far as having a folder."""
        return self.folder.path.with_name(f"seed={self.seed}.error.txt")

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.folder.final_results(self.steps) is not None

    @property
    def state(self) -> str:
        """In a word, for people."""
        if self.finished:
            return "finished"
        if self.error_file.exists():
            return "failed"
        return "unfinished" if self.folder.exists() else "not begun"


@dataclass(frozen=True)
class Failure:
    """A trial that could not be trained. defect: whether the software is to blame."""

    trial: Trial
    message: str
    defect: bool


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
    """Trains every variant that is not trained yet and writes the table; returns the exit status of the command.

    path, data: the file of the ablation and what it holds. overrides: those of the command line. out: its folder, by
    default below `runs/`. command: how the user goes on, for messages. Raises UserError before anything is trained if a
    variant is not valid.
    """
    ablation = parse_ablation(path, data, overrides)
    device = choose_device(device_name)
    ranks = join(device)
    validation = _Validation(ablation, device, ranks)
    resolved_all = validation.resolve()
    operation = next(iter(resolved_all.values())).operation if resolved_all else frozenset[str]()
    folder = out or default_folder(path, overrides.flat(), operation)
    trials = validation.build(resolved_all, folder, fresh=fresh)
    if dry_run:
        _print_trials(ablation, trials)
        return OK
    if ranks.first:
        _make_way(folder, fresh)
    ranks.barrier()
    with RunFolder(folder).locked() if ranks.first else contextlib.nullcontext():
        return _Session(ablation, trials, folder, device_name, ranks, command).run()


class _Validation:
    """Validates all variants, collecting faults with the names of the variants that have them."""

    def __init__(self, ablation: Ablation, device: torch.device, ranks: Ranks) -> None:
        self.ablation = ablation
        self.device = device
        self.ranks = ranks
        self.faults: dict[Fault, list[str]] = {}
        self.conflicts: list[str] = []
        self.unmeasured: list[str] = []

    def resolve(self) -> dict[str, ResolvedRecipe]:
        """The resolved_all, by name, of the variants that are valid as recipes."""
        resolved_all: dict[str, ResolvedRecipe] = {}
        for variant in self.ablation.variants:
            with self._collecting([variant]):
                resolved_all[variant.name] = resolve(self.ablation.base, variant.recipe)
        return resolved_all

    def build(self, resolved_all: Mapping[str, ResolvedRecipe], folder: Path, *, fresh: bool) -> list[Trial]:
        """The trials, in the order of the variants, each of which is built once, on its data.

        Raises RecipeError with the faults of all variants, UserError for a folder that holds other runs.
        """
        trials: dict[str, list[Trial]] = {}
        for group in _by_data(self.ablation, resolved_all):
            with self._collecting(group), opened(resolved_all[group[0].name], self.ranks) as dataset:
                for variant in group:
                    with self._collecting([variant]):
                        trials[variant.name] = self._trials(variant, resolved_all[variant.name], dataset, folder)
                        if not fresh:
                            self._compare(trials[variant.name], dataset)
        if self.faults:
            raise RecipeError(f"ablation {self.ablation.path}", self._told())
        if self.conflicts:
            others = len(self.conflicts) - 1
            raise UserError(self.conflicts[0] + (f"\n{others} more runs of this ablation differ too" if others else ""))
        if self.unmeasured and self.ranks.first:
            warn(
                f"no metric can be computed on the test images of {', '.join(self.unmeasured)}, "
                f"so the table stays empty there; see `metrics:`"
            )
        return [trial for variant in self.ablation.variants for trial in trials[variant.name]]

    def _trials(self, variant: Variant, resolved: ResolvedRecipe, dataset: Dataset, folder: Path) -> list[Trial]:
        shapes = checked(resolved, dataset, self.ranks)
        run = build(resolved, dataset, shapes, self.device, self.ranks)
        directions = resolved.method.directions.items()
        if not any(shapes.compared[name] and direction.source in dataset.test for name, direction in directions):
            self.unmeasured.append(variant.name)
        parameters = sum(shapes.parameters.values())
        return [
            Trial(variant, seed, RunFolder(folder / variant.name / f"seed={seed}"), run.length, parameters)
            for seed in self.ablation.seeds or (resolved.training.seed,)
        ]

    def _compare(self, trials: Sequence[Trial], dataset: Dataset) -> None:
        """Notes the trials whose folders hold runs that would have learned something else."""
        for trial in trials:
            if trial.folder.exists():
                record = make_record(_plan_of(self.ablation, trial), dataset, self.ranks.count)
                try:
                    check_same_run(trial.folder.path, trial.folder.record(), record, lambda text: None)
                except UserError as error:
                    self.conflicts.append(str(error))

    @contextlib.contextmanager
    def _collecting(self, variants: Sequence[Variant]) -> Iterator[None]:
        try:
            yield
        except FaultsError as error:
            for fault in error.faults:
                self.faults.setdefault(fault, []).extend(variant.name for variant in variants)

    def _told(self) -> list[Fault]:
        """The faults with the names of their variants; a fault of all variants once, without."""
        told = []
        for fault, names in self.faults.items():
            if len(names) == len(self.ablation.variants):
                told.append(fault)
            else:
                told += [Fault(f"{name}: {fault.path}", fault.message) for name in names]
        return told


def _by_data(ablation: Ablation, resolved_all: Mapping[str, ResolvedRecipe]) -> list[list[Variant]]:
    """The variants with a resolved, those together that have the same data, which is then opened once."""
    groups: dict[str, list[Variant]] = {}
    for variant in ablation.variants:
        if variant.name in resolved_all:
            groups.setdefault(json.dumps(resolved_all[variant.name].data.record, sort_keys=True), []).append(variant)
    return list(groups.values())


def _plan_of(ablation: Ablation, trial: Trial) -> ResolvedRecipe:
    recipe = copy.deepcopy(dict(trial.variant.recipe))
    recipe["training"]["seed"] = trial.seed
    return resolve(ablation.base, recipe)


def _print_trials(ablation: Ablation, trials: Sequence[Trial]) -> None:
    cells = [
        [
            *(shown(value) for value in trial.variant.values.values()),
            str(trial.seed), f"{trial.steps:,}", f"{trial.parameters:,}", str(trial.folder.path), trial.state,
        ]
        for trial in trials
    ]  # fmt: skip
    header = [*ablation.vary, "seed", "steps", "parameters", "run folder", "state"]
    stdout.print(aligned(header, cells, {"seed", "steps", "parameters"}), markup=False)


def _make_way(folder: Path, fresh: bool) -> None:
    if fresh:
        aside = RunFolder(folder).set_aside()
        if aside is not None:
            tell(f"the old ablation is now in {aside}")
    elif folder.exists():
        ours = (TABLE, TABLE_CSV, TABLE + ".part", TABLE_CSV + ".part", ".lock")
        strange = [item.name for item in folder.iterdir() if "=" not in item.name and item.name not in ours]
        if strange:
            raise UserError(
                f"{folder} holds something else than an ablation ({', '.join(sorted(strange)[:5])}); "
                f"choose another --out"
            )


@dataclass(frozen=True)
class _Session:
    """One go at the trials that are not finished."""

    ablation: Ablation
    trials: Sequence[Trial]
    folder: Path
    device_name: str
    ranks: Ranks
    command: str

    def run(self) -> int:
        """Returns the exit status."""
        failures: list[Failure] = []
        with StopSignal() as stop:
            for number, trial in enumerate(self.trials, 1):
                if trial.finished:
                    self._tell(f"{trial.name} is finished already")
                    continue
                if self.ranks.any(stop.asked):
                    self._tell(f"stopped before {trial.name}. To go on, run the same command again:\n  {self.command}")
                    return self._interrupted()
                self._tell(f"run {number} of {len(self.trials)}: {trial.name}")
                failure = self._attempt(trial, stop)
                if failure is not None:
                    failures.append(failure)
                elif not trial.finished:
                    return self._interrupted()
                self._write_tables()
        self._write_tables()
        if self.ranks.first:
            stdout.print(self._markdown(), markup=False, end="")
        self._report(failures)
        if any(failure.defect for failure in failures):
            return DEFECT
        return USER_FAULT if failures else OK

    def _attempt(self, trial: Trial, stop: StopSignal) -> Failure | None:
        if self.ranks.first:
            trial.error_file.unlink(missing_ok=True)
        try:
            # Resolved only now: a plugin file that changed since is then recorded as it is used.
            resolved = _plan_of(self.ablation, trial)
            outcome = train(resolved, trial.folder, self.device_name, fresh=False, command=self.command, stop=stop)
            if outcome.finished and not trial.finished:
                raise UserError(f"{trial.folder.path} has lost its final results; remove it to train this run again")
        except Exception as error:
            if self.ranks.count > 1 and not isinstance(error, DivergedError):
                raise  # the other processes may be waiting for this one, and cannot be told
            return self._failed(trial, error)
        return None

    def _failed(self, trial: Trial, error: Exception) -> Failure:
        fault = user_fault(error)
        message = fault or f"a defect in the software: {type(error).__name__}: {error}"
        if self.ranks.first:
            trial.error_file.parent.mkdir(parents=True, exist_ok=True)
            trace = "".join(traceback.format_exception(error))
            trial.error_file.write_text(f"{message}\n" if fault else trace, encoding="utf-8")
        self._tell(f"{trial.name} has failed: {message}")
        return Failure(trial, message, defect=fault is None)

    def _tell(self, text: str) -> None:
        if self.ranks.first:
            tell(text)

    def _interrupted(self) -> int:
        done = sum(trial.finished for trial in self.trials)
        self._write_tables()
        self._tell(f"{done} of {len(self.trials)} runs are finished; the table so far: {self.folder / TABLE}")
        return INTERRUPTED

    def _report(self, failures: Sequence[Failure]) -> None:
        self._tell(f"the table: {self.folder / TABLE}, {self.folder / TABLE_CSV}")
        if failures:
            lines = [f"  {item.trial.name}: {item.message}\n    {item.trial.error_file}" for item in failures]
            self._tell(
                f"{len(failures)} of {len(self.trials)} runs failed; the same command tries them again\n"
                + "\n".join(lines)
            )

    def _rows(self) -> list[Row]:
        rows: dict[str, Row] = {}
        for trial in self.trials:
            row = rows.setdefault(trial.variant.name, Row(trial.variant.name, trial.variant.values, {}))
            results = trial.folder.final_results(trial.steps)
            row.seeds[trial.seed] = results if results is not None else trial.state
        return list(rows.values())

    def _markdown(self) -> str:
        return markdown(self._rows())

    def _write_tables(self) -> None:
        if self.ranks.first:
            write_text(self.folder / TABLE, self._markdown())
            write_text(self.folder / TABLE_CSV, csv_text(self._rows()))
