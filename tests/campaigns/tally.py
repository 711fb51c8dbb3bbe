"""Counts of attempts: printed, and added up over seeds in the documentation."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.campaigns.rule import Outcome
from tests.conftest import REPOSITORY

FIGURES = Path(__file__).parent / "figures.json"
"""By campaign and seed: attempts, statuses, attempts outside the rule."""
PAGE = REPOSITORY / "docs" / "reliability.md"
STATUSES = ("0", "1", "2", "130")
BEGIN, END = "<!-- figures: python -m tests.campaigns --figures -->\n", "<!-- end of figures -->\n"


@dataclass
class Tally:
    """The counts of one campaign and seed. statuses: of the commands. outside: attempts outside the rule."""

    name: str
    seed: int
    attempts: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    outside: int = 0
    seconds: float = 0.0

    def add(self, index: int, outcome: Outcome) -> None:
        """Counts an attempt; one outside the rule is printed at once, with the command that repeats it."""
        self.attempts += 1
        self.statuses.update(map(str, outcome.statuses))
        if outcome.broken:
            self.outside += 1
            print(f"{'; '.join(outcome.broken)[:300]} ({outcome.what[:300]})")
            for line in [line for line in outcome.printed.splitlines() if line.startswith("translate-")][-2:]:
                print(f"    {line[:200]}")
            print(f"    python -m tests.campaigns {self.name} --only {self.seed}:{index}")
            sys.stdout.flush()

    def figures(self) -> dict[str, Any]:
        """Its entry in `FIGURES`."""
        return {"attempts": self.attempts, "statuses": dict(sorted(self.statuses.items())), "outside": self.outside}


def table(tallies: Sequence[Tally]) -> str:
    """A row for each campaign."""
    rows = [("campaign", "seed", "attempts", "statuses", "outside the rule", "minutes")]
    for tally in tallies:
        statuses = ", ".join(f"{count} × {status}" for status, count in sorted(tally.statuses.items()))
        counts = str(tally.seed), str(tally.attempts), statuses, str(tally.outside)
        rows.append((tally.name, *counts, f"{tally.seconds / 60:.1f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)


def add_figures(tallies: Sequence[Tally]) -> None:
    """Adds the counts to those of other seeds; the longer run of the same seed counts."""
    figures = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    for tally in tallies:
        seeds = figures.setdefault(tally.name, {})
        if seeds.get(str(tally.seed), {"attempts": 0})["attempts"] <= tally.attempts:
            seeds[str(tally.seed)] = tally.figures()
    FIGURES.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n", "utf-8")
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + figures_table(figures) + END + rest.partition(END)[2], "utf-8")


def figures_table(figures: dict[str, Any]) -> str:
    """The counts over all seeds as a table of Markdown."""
    columns = (
        "campaign",
        "seeds",
        "attempts",
        *(f"status {status}" for status in STATUSES),
        "killed",
        "outside the rule",
    )
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for name, seeds in sorted(figures.items()):
        statuses: Counter[str] = Counter()
        for entry in seeds.values():
            statuses.update(entry["statuses"])
        attempts, outside = (sum(entry[key] for entry in seeds.values()) for key in ("attempts", "outside"))
        listed = ", ".join(sorted(seeds, key=int))
        counts = " | ".join(f"{statuses[status]:,}" for status in STATUSES)
        killed = sum(count for status, count in statuses.items() if status.startswith("-"))
        lines.append(f"| `{name}` | {listed} | {attempts:,} | {counts} | {killed:,} | {outside:,} |")
    return "\n".join(["", *lines, "", ""])
