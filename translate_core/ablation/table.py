"""The table of an ablation: the final test metrics of each variant, mean and standard deviation over the seeds."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from translate_core.contracts.observer import Result
from translate_core.runtime import yaml12


@dataclass(frozen=True)
class Row:
    """A variant.

    values: varied key -> value. seeds: seed -> its final results, or the state of the run that has none.
    ended: seed -> why its run ended before its length, for runs that did.
    """

    name: str
    values: Mapping[str, Any]
    seeds: dict[int, Sequence[Result] | str] = field(default_factory=dict)
    ended: dict[int, str] = field(default_factory=dict)

    def measured(self) -> list[Sequence[Result]]:
        """The results of each seed that has any."""
        return [results for results in self.seeds.values() if not isinstance(results, str)]

    def of(self, column: str) -> list[float]:
        """The values of one metric, one per seed that has results."""
        return [result.value for results in self.measured() for result in results if column_of(result) == column]

    def mean(self, column: str) -> float:
        """The mean of one metric over the seeds; NaN without results."""
        values = self.of(column)
        return fmean(values) if values else math.nan


def column_of(result: Result) -> str:
    """The title of a result's column."""
    return f"{result.direction} {result.name}"


def shown(value: Any) -> str:
    """A varied value as a cell."""
    return value if isinstance(value, str) else yaml12.inline(value)


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown, and below it the protocol of each column and the runs that ended early."""
    columns = _columns(rows)
    keys = list(rows[0].values)
    texts = {column: _texts(rows, column, sample) for column, sample in columns.items()}
    cells = [
        [*(shown(value) for value in row.values.values()), _seeds(row), *(texts[column][index] for column in columns)]
        for index, row in enumerate(rows)
    ]
    about = "Mean ± sample standard deviation over the finished seeds; the best mean of a column is bold."
    notes = [f"- {note}" for column, sample in columns.items() for note in _notes(rows, column, sample)]
    notes += [f"- {row.name}, seed {seed}: {why}" for row in rows for seed, why in row.ended.items()]
    table = aligned([*keys, "seeds", *columns], cells, columns)
    return "\n".join([table, "", *([about, "", *notes] if columns else ["No test metrics."]), ""])


def csv_text(rows: Sequence[Row]) -> str:
    """The table in CSV, in full precision. Column `seeds` counts the seeds of a variant, `n` those in the mean."""
    columns = _columns(rows)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    measures = [f"{column} {what}" for column in columns for what in ("mean", "std", "n")]
    writer.writerow(["variant", *rows[0].values, "seeds", *measures])
    for row in rows:
        cells: list[object] = []
        for column in columns:
            values = row.of(column)
            cells += [
                row.mean(column) if values else "",
                stdev(values) if len(values) > 1 else "",
                len(values),
            ]
        writer.writerow([row.name, *map(shown, row.values.values()), len(row.seeds), *cells])
    return stream.getvalue()


def aligned(header: Sequence[str], cells: Sequence[Sequence[str]], numbers: Collection[str] = ()) -> str:
    """A Markdown table with aligned source text. numbers: the columns that are aligned to the right."""
    lines = [[text.replace("|", "\\|") for text in line] for line in (header, *cells)]
    widths = [max(3, *(len(line[index]) for line in lines)) for index in range(len(header))]
    right = [name in numbers for name in header]

    def line_of(texts: Sequence[str]) -> str:
        padded = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(texts, widths, right, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width - 1) + (":" if to_right else "-") for width, to_right in zip(widths, right, strict=True)]
    return "\n".join([line_of(lines[0]), line_of(rule), *map(line_of, lines[1:])])


def _columns(rows: Sequence[Row]) -> dict[str, Result]:
    """Every column in the order in which the runs report them, each with one of its results as a sample."""
    columns: dict[str, Result] = {}
    for row in rows:
        for results in row.measured():
            for result in results:
                columns.setdefault(column_of(result), result)
    return columns


def _seeds(row: Row) -> str:
    """The number of seeds; the seeds without results are listed."""
    missing = [f"seed {seed} {state}" for seed, state in row.seeds.items() if isinstance(state, str)]
    count = len(row.seeds)
    return f"{count - len(missing)} of {count}: {', '.join(missing)}" if missing else str(count)


def _texts(rows: Sequence[Row], column: str, sample: Result) -> list[str]:
    """The cells of a column, with as many decimals as give the largest mean four digits."""
    means = [row.mean(column) for row in rows]
    finite = [mean for mean in means if math.isfinite(mean)]
    best = (max if sample.higher_is_better else min)(finite) if len(set(finite)) > 1 else None
    largest = max(map(abs, finite), default=0.0)
    decimals = max(0, 3 - math.floor(math.log10(largest))) if largest > 0 else 3
    texts = []
    for row, mean in zip(rows, means, strict=True):
        values = row.of(column)
        text = f"{mean:.{decimals}f}" if values else "–"
        if values and mean == best:
            text = f"**{text}**"
        texts.append(f"{text} ± {stdev(values):.{decimals}f}" if len(values) > 1 else text)
    return texts


def _notes(rows: Sequence[Row], column: str, sample: Result) -> list[str]:
    """The data and the protocol of a column; if the variants differ in them, one note for each with its variants."""
    protocols: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        for results in row.measured():
            for result in results:
                if column_of(result) == column:
                    protocols.setdefault((result.on, result.protocol), {})[row.name] = None
    better = "higher" if sample.higher_is_better else "lower"
    notes = []
    for (on, protocol), names in protocols.items():
        whose = f" of {', '.join(names)}" if len(protocols) > 1 else ""
        notes.append(f"{column} ({better} is better){whose}: {on}. {protocol}.")
    return notes
