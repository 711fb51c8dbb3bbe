"""All variants validated before the first is trained: their recipes, their shapes and their folders."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from translate_core.ablation.file import Ablation, Variant
from translate_core.ablation.trial import Trial
from translate_core.contracts.dataset import Dataset
from translate_core.errors import Fault, FaultsError, RecipeError, UserError
from translate_core.experiment.run import opened_data
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.recipe.resolver import resolve
from translate_core.runtime.console import warn
from translate_core.runtime.ranks import Ranks
from translate_core.storage.record import check_same_run, make_record
from translate_core.storage.run_folder import RunFolder
from translate_core.training.build import build, check


class Validation:
    """Validates all variants and collects their faults, each with the names of the variants that have it."""

    def __init__(self, ablation: Ablation, device: torch.device, ranks: Ranks) -> None:
        self.ablation = ablation
        self.device = device
        self.ranks = ranks
        self._faults: dict[Fault, list[str]] = {}
        self._conflicts: list[str] = []
        self._without_metrics: list[str] = []

    def resolve(self) -> dict[str, ResolvedRecipe]:
        """Variant -> its resolved recipe; variants whose recipes have faults are left out."""
        recipes: dict[str, ResolvedRecipe] = {}
        for variant in self.ablation.variants:
            with self._collecting([variant]):
                recipes[variant.name] = resolve(self.ablation.base, variant.recipe)
        return recipes

    def build(self, recipes: Mapping[str, ResolvedRecipe], folder: Path, *, fresh: bool) -> list[Trial]:
        """The trials in the order of the variants. Each variant is built once, on its data.

        recipes: by variant. folder: of the ablation. fresh: whether runs in it are moved aside, so that they need not
        agree with the recipes.

        Raises RecipeError with the faults of all variants, UserError for a folder that holds other runs.
        """
        trials: dict[str, list[Trial]] = {}
        for group in _by_data(self.ablation.variants, recipes):
            with self._collecting(group), opened_data(recipes[group[0].name], self.ranks) as dataset:
                for variant in group:
                    with self._collecting([variant]):
                        trials[variant.name] = self._trials(variant, recipes[variant.name], dataset, folder)
                        if not fresh:
                            self._compare(trials[variant.name], dataset)
        self._report()
        return [trial for variant in self.ablation.variants for trial in trials[variant.name]]

    def _trials(self, variant: Variant, recipe: ResolvedRecipe, dataset: Dataset, folder: Path) -> list[Trial]:
        shapes = check(recipe, dataset, self.ranks)
        run = build(recipe, dataset, shapes, self.device, self.ranks)
        directions = recipe.method.directions.items()
        if not any(shapes.comparisons[name] and direction.source in dataset.test for name, direction in directions):
            self._without_metrics.append(variant.name)
        parameters = sum(shapes.parameters.values())
        return [
            Trial(
                self.ablation.base,
                variant,
                seed,
                RunFolder(folder / variant.name / f"seed={seed}"),
                run.length,
                parameters,
            )
            for seed in self.ablation.seeds or (recipe.training.seed,)
        ]

    def _compare(self, trials: Sequence[Trial], dataset: Dataset) -> None:
        """Collects the trials whose folders hold runs with other result keys."""
        for trial in trials:
            if trial.folder.exists() and not trial.folder.saved_nothing():
                record = make_record(trial.resolve(), dataset, (), self.ranks.count)
                try:
                    check_same_run(trial.folder.path, trial.folder.record(), record, lambda text: None)
                except UserError as error:
                    self._conflicts.append(str(error))

    @contextlib.contextmanager
    def _collecting(self, variants: Sequence[Variant]) -> Iterator[None]:
        """Collects the faults that the block raises as faults of these variants."""
        try:
            yield
        except FaultsError as error:
            for fault in error.faults:
                self._faults.setdefault(fault, []).extend(variant.name for variant in variants)

    def _report(self) -> None:
        """Raises what was collected, and warns of variants without metrics."""
        if self._faults:
            raise RecipeError(f"ablation {self.ablation.path}", self._named_faults())
        if self._conflicts:
            others = len(self._conflicts) - 1
            more = f"\n{others} more runs of this ablation differ too" if others else ""
            raise UserError(self._conflicts[0] + more)
        if self._without_metrics and self.ranks.first:
            warn(
                f"no metric can be computed on the test images of {', '.join(self._without_metrics)}, "
                f"so the table stays empty there; see `metrics:`"
            )

    def _named_faults(self) -> list[Fault]:
        """The faults, each once for every variant that has it; a fault of all variants once, without names."""
        named = []
        for fault, names in self._faults.items():
            if len(names) == len(self.ablation.variants):
                named.append(fault)
            else:
                named += [Fault(f"{name}: {fault.path}", fault.message) for name in names]
        return named


def _by_data(variants: Sequence[Variant], recipes: Mapping[str, ResolvedRecipe]) -> list[list[Variant]]:
    """The variants that have a resolved recipe, grouped by their data, so that each dataset is opened once."""
    groups: dict[str, list[Variant]] = {}
    for variant in variants:
        if variant.name in recipes:
            groups.setdefault(json.dumps(recipes[variant.name].data.record, sort_keys=True), []).append(variant)
    return list(groups.values())
