"""The command line of the campaigns."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.campaigns.registered import CAMPAIGNS
from tests.campaigns.tally import Tally, add_figures, table
from tests.campaigns.worker import attempts


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs campaigns; returns 1 if an attempt was outside the rule."""
    parser = argparse.ArgumentParser("python -m tests.campaigns", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CAMPAIGNS)} (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other attempts")
    parser.add_argument("--count", type=int, metavar="N", help="attempts of each campaign (default: as time allows)")
    parser.add_argument("--minutes", type=float, default=60.0, metavar="M", help="for all campaigns together")
    parser.add_argument("--only", metavar="SEED:INDEX", help="one attempt, with all that it prints")
    parser.add_argument("--figures", action="store_true", help="add the counts to docs/reliability.md")
    options = parser.parse_args(arguments)
    names = options.names or list(CAMPAIGNS)
    if unknown := set(names) - set(CAMPAIGNS):
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.only:
        return _one(names[0], *map(int, options.only.split(":")))
    tallies = []
    for number, name in enumerate(names):
        began = time.monotonic()
        share = (options.minutes * 60 - sum(tally.seconds for tally in tallies)) / (len(names) - number)
        tally = Tally(name, options.seed)
        for index, outcome in attempts(name, options.seed, 0, options.count, began + share):
            tally.add(index, outcome)
        tally.seconds = time.monotonic() - began
        tallies.append(tally)
    print(table(tallies))
    if options.figures:
        add_figures(tallies)
    return int(any(tally.outside for tally in tallies))


def _one(name: str, seed: int, index: int) -> int:
    """One attempt in this process; its folder is kept."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-{seed}-{index}-"))
    for part in ("shared", "attempt"):
        (folder / part).mkdir()
    outcome = CAMPAIGNS[name](folder / "shared").tried(seed, index, folder / "attempt")
    print(outcome.printed)
    print(f"{outcome.what}: statuses {outcome.statuses}, outside the rule: {'; '.join(outcome.broken) or 'nothing'}")
    print(f"folder: {folder}")
    return int(bool(outcome.broken))


if __name__ == "__main__":
    sys.exit(main())
