"""Trains every quickstart recipe and prints the table of methods that stands in docs/methods.md.

    python benchmarks/methods.py                        # all of them: some 30 minutes on two CPU cores
    python benchmarks/methods.py --write                # and puts the table into docs/methods.md
    python benchmarks/methods.py quickstart_cut --set "training.length=1 epochs"

The rows of recipes that are not trained are kept as they are on the page.

Each recipe runs by `translate-run` in a process of its own, one after the other. PSNR and SSIM are those of the test
images against their true counterparts; SWD is that of all translations against all test images of the target domain;
seconds per step are the median between two lines of the run's log; peak memory is the resident set of the process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from translate_core import load_recipe, open_run

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "methods.md"
ALIKE = {"horse-zebra": "A-B", "zebra-horse": "B-A"}
"""Directions of a set of several domains, and those of the horses (A) and zebras (B) that are drawn alike."""
VARIANTS = {"guided": "in the target's style", "one_step": "one step"}
"""Further translations of a method that its quickstart measures: `psnr_guided`, and what they are."""
BEGIN, END = "<!-- table: python benchmarks/methods.py --write -->", "<!-- end of table -->"


@dataclass(frozen=True)
class Row:
    """What is known of one run. results: by metric and direction."""

    recipe: str
    method: str
    results: dict[tuple[str, str], float]
    seconds: float
    steps: int
    parameters: int
    memory: float


def train(recipe: Path, overrides: list[str], folder: Path) -> Row:
    """Runs a recipe from the beginning, in a process of its own."""
    out = folder / recipe.stem
    sets = [word for override in overrides for word in ("--set", override)]
    command = [sys.executable, "-m", "translate_core.run", str(recipe), "--out", str(out), "--device", "cpu", *sets]
    process = subprocess.Popen(command, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{recipe.name} failed")
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    logged = [(row["step"], row["seconds"]) for row in rows if row["kind"] == "losses"]
    paces = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in itertools.pairwise(logged)]
    results: list[dict[str, Any]] = json.loads((out / "results.json").read_text())["results"]
    with open_run(load_recipe(recipe, overrides), device="cpu") as run:
        method = run.recipe.record["method"]["type"]
        parameters = sum(parameter.numel() for network in run.networks.values() for parameter in network.parameters())
    return Row(
        recipe.stem,
        method,
        _by_metric(results),
        statistics.median(paces),
        logged[-1][0],
        parameters,
        usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9,
    )


def _by_metric(results: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """The values by metric and direction. A metric over sets reports the input after the output: `swd_unchanged`."""
    values: dict[tuple[str, str], float] = {}
    for item in results:
        metric, way = item["name"].partition("/")[0], ALIKE.get(item["direction"], item["direction"])
        values[f"{metric}_unchanged" if (metric, way) in values else metric, way] = item["value"]
    return values


def table(rows: list[Row], before: str = "") -> str:
    """Markdown: a row a method, better ones first. before: a table whose rows of other recipes are kept."""
    groups = {recipe: lines for recipe, lines in _groups(before).items() if recipe not in {row.recipe for row in rows}}
    lines = [
        "| method | PSNR A → B | SSIM A → B | SWD A → B | PSNR B → A | SSIM B → A | SWD B → A | s / step | steps "
        "| parameters | peak memory |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        groups[row.recipe] = [
            f"| [`{row.method}`](../recipes/{row.recipe}.yaml) | {_scores(row)} | {row.seconds:.3f} | {row.steps} "
            f"| {row.parameters:,} | {row.memory:.2f} GB |"
        ]
        for variant, words in VARIANTS.items():
            if (f"psnr_{variant}", "A-B") in row.results:
                groups[row.recipe].append(f"| `{row.method}`, {words} | {_scores(row, f'_{variant}')} | | | | |")
    for group in sorted(groups.values(), key=lambda group: -float(group[0].split("|")[2])):
        lines += group
    both_ways = max(rows, key=lambda row: sum((f"{name}_unchanged", "B-A") in row.results for name in ("psnr", "swd")))
    unchanged = [line for line in before.splitlines() if line.startswith("| *input unchanged*")]
    unchanged.insert(0, f"| *input unchanged* | {_scores(both_ways, '_unchanged')} | | | | |")
    lines.append(min(unchanged, key=lambda line: line.count("–")))
    return "\n".join(lines)


def _groups(before: str) -> dict[str, list[str]]:
    """The lines of each recipe in a table."""
    groups: dict[str, list[str]] = {}
    for line in before.splitlines():
        recipe = re.search(r"\(\.\./recipes/(\w+)\.yaml\)", line)
        if recipe:
            groups[recipe[1]] = [line]
        elif groups and line.startswith("| `"):
            groups[list(groups)[-1]].append(line)
    return groups


def _scores(row: Row, variant: str = "") -> str:
    return " | ".join(
        _score(row, metric + variant, way) for way in ("A-B", "B-A") for metric in ("psnr", "ssim", "swd")
    )


def _score(row: Row, metric: str, way: str) -> str:
    value = row.results.get((metric, way))
    digits = {"psnr": 2, "ssim": 3, "swd": 1}[metric.partition("_")[0]]
    return "–" if value is None else f"{value:.{digits}f}"


def main() -> None:
    """Trains, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = sorted(path.stem for path in (ROOT / "recipes").glob("quickstart*.yaml"))
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"of {', '.join(known)} (default: all)")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, help="where to leave the runs (default: nowhere)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/methods.md")
    options = parser.parse_args()
    unknown = set(options.recipes) - set(known)
    if unknown:
        parser.error(f"there is no recipe {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary)
        rows = [
            train(ROOT / "recipes" / f"{name}.yaml", options.overrides, folder) for name in options.recipes or known
        ]
    page = PAGE.read_text(encoding="utf-8")
    made = table(rows, page.partition(BEGIN)[2].partition(END)[0])
    note = f"{torch.get_num_threads()} threads of a CPU, torch {torch.__version__.partition('+')[0]}"
    print(f"\n{made}\n\n{note}")
    if options.write:
        inner = f"{BEGIN}\n\n{made}\n\nMeasured on {note}.\n\n{END}"
        PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: inner, page, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
