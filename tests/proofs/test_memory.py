"""The memory of a run does not grow with its steps."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

_spec = importlib.util.spec_from_file_location("memory_benchmark", REPOSITORY / "benchmarks" / "memory.py")
assert _spec is not None
assert _spec.loader is not None
memory = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(memory)

STEPS = 1500
MOST = 10.0
"""MB from the second tenth of the steps to the last one."""
LEAK = """
from translate_core import Observer, hookimpl

class Leak(Observer):
    def on_start(self, run):
        self.kept = []

    def on_step(self, step: int) -> None:
        self.kept.append(bytes(range(250)) * 100)  # 25 kB

@hookimpl
def register(registry):
    registry.observer("leak", Leak)
"""

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
    pytest.mark.timeout(900),
]


@pytest.mark.slow
def test_it_stays_flat() -> None:
    points = memory.measured(memory.recipe(STEPS))
    assert len(points) > 50
    assert points[-1][0] > 0.95 * STEPS
    assert memory.growth(points) < MOST, points


@pytest.mark.slow
def test_a_leak_is_found(tmp_path: Path) -> None:
    """25 kB a step, such as a picture that is kept, grow to 30 MB between the two tenths."""
    (tmp_path / "leak.py").write_text(LEAK)
    recipe = memory.recipe(STEPS)
    recipe["observers"]["leak"] = {"type": "leak"}
    points = memory.measured({**recipe, "plugins": [str(tmp_path / "leak.py")]})
    assert memory.growth(points) > 2 * MOST, points


def test_growth_compares_the_last_tenth_with_the_second() -> None:
    points = [(step, 900.0 if step <= 10 else 500.0 + step) for step in range(1, 101)]
    assert memory.growth(points) == pytest.approx(595.5 - 515.5)


def test_the_plot_has_the_resident_set() -> None:
    drawn = memory.draw([(step, 500.0) for step in range(1, 101)])
    lines = [y for y in range(drawn.height) if drawn.getpixel((drawn.width // 2, y)) == (0, 0, 128)]
    assert lines
    assert abs(lines[0] - (20 + (drawn.height - 60) / 6)) <= 2
