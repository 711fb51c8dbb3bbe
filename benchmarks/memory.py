"""How much memory a long run needs: the resident set of a training process, from its first step to its last.

    python benchmarks/memory.py [--steps 20000] [--plot docs/memory.png]

A tiny CycleGAN on the CPU, with all observers, sample pictures, metrics and checkpoints at intervals that are short for
so long a run, so that whatever a step, a picture or a checkpoint leaves behind shows. The process is that of
`translate-run`; its resident set is read from /proc (Linux). The figures are printed, `--plot` draws them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

SETTLED = 0.1
"""The part of the steps until which torch and the allocator fill their caches."""


def main() -> None:
    """Prints the resident set at some steps, and its growth."""
    parser = argparse.ArgumentParser(description="Measure the memory of a long run.")
    parser.add_argument("--steps", type=int, default=20_000, metavar="N", help="of the run (default: %(default)s)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the resident set over the steps")
    options = parser.parse_args()
    points = measured(recipe(options.steps))
    print("| step | resident set, MB |\n| --- | --- |")
    for tenth in range(1, 11):
        step, size = next(point for point in points if point[0] >= options.steps * tenth // 10 * 0.98)
        print(f"| {step:,} | {size:.1f} |")
    print(f"\ngrowth after step {int(SETTLED * options.steps):,}: {growth(points):+.1f} MB")
    if options.plot:
        draw(points).save(options.plot)


def recipe(steps: int) -> dict[str, Any]:
    """A run of so many steps, with a hundred checkpoints and evaluations and fifty grids of sample pictures."""
    return {
        "method": {"type": "cyclegan"},
        "data": {"type": "synthetic", "size": 16, "train": 16, "test": 2},
        "generator": {"type": "resnet", "blocks": 1, "width": 4},
        "discriminator": {"type": "patchgan", "layers": 1, "width": 4},
        "losses": {
            "adversarial": {"type": "lsgan", "pool": {"type": "history", "size": 50}},
            "cycle": {"type": "cycle", "weight": 10},
            "identity": {"type": "identity", "weight": 5},
        },
        "optimizer": {"type": "adam"},
        "schedule": {"type": "linear_decay", "constant": f"{steps // 2} steps"},
        "training": {
            "length": f"{steps} steps",
            "workers": 0,
            "ema": 0.99,
            "log_every": "5 steps",
            "sample_every": f"{steps // 50} steps",
            "evaluate_every": f"{steps // 100} steps",
            "checkpoint_every": f"{steps // 100} steps",
        },
        "observers": {
            "csv": {"type": "csv"},
            "early": {"type": "early_stopping", "watch": "cycle", "patience": steps},
        },
    }


def measured(recipe: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Trains a recipe; returns some of its steps with the resident set of the process then, in MB (10⁶ bytes)."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "recipe.yaml", Path(folder) / "run"
        path.write_text(json.dumps(recipe))
        command = [sys.executable, "-m", "translate_core.run", str(path), "--out", str(out), "--device", "cpu"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with (Path(folder) / "log").open("w+") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            points = list(_points(process, out / "metrics.jsonl"))
            log.seek(0)
            assert process.wait() == 0, log.read()
    return [*(point for point, after in pairwise(points) if point[0] < after[0]), points[-1]]


def _points(process: subprocess.Popen[bytes], metrics: Path) -> Iterator[tuple[int, float]]:
    """The last logged step and the resident set, several times a second until the process ends."""
    statm = Path(f"/proc/{process.pid}/statm")
    while process.poll() is None:
        time.sleep(0.2)
        step = _last_step(metrics) if metrics.exists() else 0
        pages = statm.read_text().split()
        if step and pages[1] != "0":  # that of a process that has ended
            yield step, int(pages[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _last_step(metrics: Path) -> int:
    with metrics.open("rb") as stream:
        stream.seek(max(metrics.stat().st_size - 20_000, 0))
        lines = stream.read().split(b"\n")[:-1]
    return int(json.loads(lines[-1])["step"]) if lines else 0


def growth(points: Sequence[tuple[int, float]]) -> float:
    """By how many MB the resident set of the last tenth exceeds that of the tenth after the first, in the mean."""
    steps = points[-1][0]
    early = [size for step, size in points if SETTLED * steps < step <= 2 * SETTLED * steps]
    late = [size for step, size in points if step > (1 - SETTLED) * steps]
    return sum(late) / len(late) - sum(early) / len(early)


_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 800, 320, 70, 40


def draw(points: Sequence[tuple[int, float]]) -> Image.Image:
    """The resident set over the steps, from 0 MB."""
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    steps, top = points[-1][0], max(size for _, size in points) * 1.2
    across, down = _WIDTH - _LEFT - 30, _HEIGHT - _BOTTOM - 20

    def place(step: float, size: float) -> tuple[float, float]:
        return _LEFT + across * step / steps, 20 + down * (1 - size / top)

    for size in range(0, int(top), 200):
        pen.line([place(0, size), place(steps, size)], "lightgrey")
        pen.text((_LEFT - 8, place(0, size)[1]), f"{size} MB", "black", anchor="rm")
    for fifth in range(6):
        x, y = place(steps * fifth / 5, 0)
        pen.text((x, y + 8), f"{steps * fifth // 5:,}", "black", anchor="mt")
    pen.text((_LEFT + across / 2, _HEIGHT - 4), "step", "black", anchor="mb")
    pen.line([place(*point) for point in points], "navy", width=2)
    return image


if __name__ == "__main__":
    main()
