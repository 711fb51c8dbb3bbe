"""How long a command takes before its work begins: `--help`, `--version`, an argument fault and a fault in the YAML.

    python benchmarks/startup.py [--runs 15]

Each line is the median, with minimum and maximum, of the seconds that a new process takes, interpreter included.
The runs of all commands alternate, so that a disturbance of the machine meets them alike.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

COMMANDS = ("run", "apply", "plugins", "recipes")


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description="Measure how long commands take to start.")
    parser.add_argument("--runs", type=int, default=15, metavar="N", help="processes per line (default: %(default)s)")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder) / "wrong.yaml"
        wrong.write_text("method: {type: gan}\ngenerator: type: resnet\n")
        cases = {
            **{f"translate-{command} --help": ([command, "--help"], 0) for command in COMMANDS},
            "translate-run --version": (["run", "--version"], 0),
            "translate-run --nonsense": (["run", "--nonsense"], 2),
            "translate-run wrong.yaml": (["run", str(wrong)], 2),
            "translate-recipes list": (["recipes", "list"], 0),
        }
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(runs + 1):
            for name, (arguments, status) in cases.items():
                seconds[name].append(timed(arguments, status))
    print("| command | seconds, median (min – max) |\n| --- | --- |")
    for name, values in seconds.items():
        measured = values[1:]  # the first run compiles Python files and fills the file cache
        print(f"| `{name}` | {statistics.median(measured):.3f} ({min(measured):.3f} – {max(measured):.3f}) |")


def timed(arguments: Sequence[str], status: int) -> float:
    """The seconds of one process, which must end with this exit status."""
    command, *rest = arguments
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", f"translate_core.commands.{command}", *rest], capture_output=True)
    taken = time.perf_counter() - begun
    assert done.returncode == status, done.stderr.decode()
    return taken


if __name__ == "__main__":
    main()
