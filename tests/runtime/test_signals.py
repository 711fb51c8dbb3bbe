"""A signal interrupts at once what is not worth finishing."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from translate_core.errors import Interrupted
from translate_core.runtime.signals import StopSignal, interruptible

SLOW_DATA = """
import time
from pathlib import Path
from translate_core import hookimpl
from translate_plugins.datasets.synthetic import Synthetic

class Slow(Synthetic):
    '''A download that takes its time.'''

    def open(self):
        Path(__file__).with_name("begun").touch()
        time.sleep(120)

@hookimpl
def register(registry):
    registry.dataset("slow", Slow)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_download_is_interrupted(number: signal.Signals, write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW_DATA)
    recipe = write_recipe(data={"type": "slow"}, plugins=["slow.py"])
    arguments = [sys.executable, "-m", "translate_core.run", str(recipe), "--out", str(tmp_path / "run")]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.01)
    start = time.monotonic()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - start < 30
    assert process.returncode == 130
    assert stderr == "translate-run: interrupted\n"
    assert not (tmp_path / "run").exists()


def test_code_that_catches_everything_does_not_hide_ctrl_c() -> None:
    """As C code does that torch executes while it is imported: training would begin as though nothing had happened."""
    with interruptible():
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted), StopSignal():
            pass
    with StopSignal() as stop:
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        assert stop.requested
