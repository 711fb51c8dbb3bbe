"""What an ablation prints and writes about its trials: the list of a dry run, the table and its two files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from translate_core.ablation.table import Row, aligned, csv_text, markdown, shown
from translate_core.ablation.trial import Trial
from translate_core.runtime.console import stdout
from translate_core.runtime.files import write_text

TABLE = "table.md"
TABLE_CSV = "table.csv"


def print_trials(vary: Sequence[str], trials: Sequence[Trial]) -> None:
    """Prints the trials and their state. vary: the varied keys."""
    cells = [
        [
            *(shown(value) for value in trial.variant.values.values()),
            str(trial.seed),
            f"{trial.steps:,}",
            f"{trial.parameters:,}",
            str(trial.folder.path),
            trial.state,
        ]
        for trial in trials
    ]
    header = [*vary, "seed", "steps", "parameters", "run folder", "state"]
    stdout.print(aligned(header, cells, {"seed", "steps", "parameters"}), markup=False)


@dataclass(frozen=True)
class Tables:
    """The table of an ablation, from the results that its trials have so far. folder: of the ablation."""

    trials: Sequence[Trial]
    folder: Path

    @property
    def markdown_file(self) -> Path:
        """The table for reading."""
        return self.folder / TABLE

    @property
    def csv_file(self) -> Path:
        """The table for programs."""
        return self.folder / TABLE_CSV

    def write(self) -> None:
        """Writes both files."""
        rows = self._rows()
        write_text(self.markdown_file, markdown(rows))
        write_text(self.csv_file, csv_text(rows))

    def print(self) -> None:
        """Prints the table on standard output."""
        stdout.print(markdown(self._rows()), markup=False, end="")

    def _rows(self) -> list[Row]:
        rows: dict[str, Row] = {}
        for trial in self.trials:
            row = rows.setdefault(trial.variant.name, Row(trial.variant.name, trial.variant.values))
            results = trial.folder.final_results(trial.steps)
            row.seeds[trial.seed] = results if results is not None else trial.state
            ended = trial.ended
            if ended is not None:
                row.ended[trial.seed] = str(ended)
        return list(rows.values())
