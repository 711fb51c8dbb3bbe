"""Some seconds of each campaign; `make campaign` runs them for an hour."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.campaigns.registered import CAMPAIGNS
from tests.campaigns.rule import Ended
from tests.campaigns.tally import FIGURES, PAGE, figures_table

COUNTS = {"recipes": 40, "plugin_faults": 3, "run_folders": 3, "kills": 1}
SEED = 1_000_000


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_nothing_is_outside_the_rule(name: str, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    campaign = CAMPAIGNS[name](tmp_path / "shared")
    for index in range(COUNTS[name]):
        folder = tmp_path / str(index)
        folder.mkdir()
        outcome = campaign.tried(SEED, index, folder)
        assert not outcome.broken, f"--only {SEED}:{index} {outcome.what}: {outcome.broken}\n{outcome.printed[-2000:]}"


@pytest.mark.parametrize(
    ("status", "printed", "broken"),
    [
        (2, "translate-run: a.yaml has 1 fault\n", []),
        (0, "", []),
        (1, "translate-run: a.yaml\n", ["status 1"]),
        (2, "", ["0 messages"]),
        (2, "translate-run: a.yaml\ntranslate-run: again\n", ["2 messages"]),
        (2, "translate-run: no\n", ["the message names none of a.yaml"]),
        (0, "Traceback (most recent call last)\n", ["a traceback"]),
        (0, "x" * 30_000, ["a message of 30,000 characters"]),
        (0, "/a/b.py:3: UserWarning: old\n", ["a raw warning: /a/b.py:3: UserWarning: old"]),
    ],
)
def test_the_rule(status: int, printed: str, broken: list[str]) -> None:
    assert list(Ended("translate-run", status, printed).broken(["a.yaml"])) == broken


def test_the_page_has_the_figures() -> None:
    assert figures_table(json.loads(FIGURES.read_text("utf-8"))) in PAGE.read_text("utf-8")
