"""One run of an ablation: a variant with a seed, its folder and its state."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

from translate_core.ablation.file import Variant
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.recipe.resolver import resolve
from translate_core.storage.models import EarlyEnd
from translate_core.storage.record import early_end
from translate_core.storage.run_folder import RunFolder


@dataclass(frozen=True)
class Trial:
    """One run of an ablation.

    base: the recipe that is varied. steps, parameters: the length of the run and the number of trained parameters.
    """

    base: Path
    variant: Variant
    seed: int
    folder: RunFolder
    steps: int
    parameters: int

    @property
    def name(self) -> str:
        """Its path below the ablation's folder, which messages use."""
        return f"{self.variant.name}/seed={self.seed}"

    @property
    def error_file(self) -> Path:
        """The error of the last attempt. It lies beside the run's folder, which may not exist after a failure."""
        return self.folder.path.with_name(f"seed={self.seed}.error.txt")

    @property
    def finished(self) -> bool:
        """Whether the run has its final results."""
        return self.folder.final_results(self.steps) is not None

    @property
    def ended(self) -> EarlyEnd | None:
        """The early end of the run, if it has one."""
        return early_end(self.folder.record(), self.steps) if self.finished else None

    @property
    def state(self) -> str:
        """`finished`, `failed`, `unfinished` or `not begun`."""
        if self.finished:
            return "finished"
        if self.error_file.exists():
            return "failed"
        return "unfinished" if self.folder.exists() else "not begun"

    def resolve(self) -> ResolvedRecipe:
        """Its recipe, resolved with the plugin files as they are now."""
        recipe = copy.deepcopy(dict(self.variant.recipe))
        recipe["training"]["seed"] = self.seed
        return resolve(self.base, recipe)
