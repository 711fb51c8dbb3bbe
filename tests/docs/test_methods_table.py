"""The table of methods is complete, shows the collapse of `gan`, and is written by the command beside it."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.conftest import REPOSITORY
from translate_core.components.plugins import load_plugins

PAGE = (REPOSITORY / "docs" / "methods.md").read_text(encoding="utf-8")
TABLE = PAGE[PAGE.index("<!-- table:") : PAGE.index("<!-- end of table -->")]
ROWS = {
    cells[0]: [float(cell) if re.fullmatch(r"[\d.]+", cell) else None for cell in cells[1:]]
    for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if "|" in line)
}


def test_every_method_has_a_row() -> None:
    named = {match[1] for row in ROWS if (match := re.match(r"\[`(\w+)`\]\(\.\./recipes/quickstart", row))}
    registry = load_plugins().registry
    ours = {
        name
        for name in registry.names("method")
        if registry.get("method", name).component.__module__.startswith("translate_plugins")
    }
    assert named == ours
    assert len(named) == 10


def test_the_collapse_shows() -> None:
    """The adversarial loss alone scores less than the unchanged input and than methods with further losses."""
    scores = {row.split("`")[1] if row.startswith("[") else row: values[:2] for row, values in ROWS.items()}
    collapsed, unchanged = scores["gan"], scores["*input unchanged*"]
    assert all(mine < theirs for mine, theirs in zip(collapsed, unchanged, strict=True))
    for tied in ("cyclegan", "cut", "pix2pix", "ugatit"):
        assert all(
            theirs > mine + margin for mine, theirs, margin in zip(collapsed, scores[tied], (2, 0.2), strict=True)
        )


def test_the_command_makes_a_row() -> None:
    short = ["training.length=20 steps", "data.train=8", "data.test=2", "training.sample_every=null"]
    sets = [word for override in short for word in ("--set", override)]
    done = subprocess.run(
        [sys.executable, "benchmarks/methods.py", "quickstart_gan", *sets],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("| [`gan`]"))
    assert re.search(
        r"\| \d+\.\d\d \| \d\.\d{3} \| \d+\.\d \| – \| – \| – \| \d\.\d{3} \| 20 \| 818,164 \| \d\.\d\d GB \|", row
    ), row
