from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from translate_core import ProgressDisplay
from translate_core import progress as shown
from translate_core.runtime import progress
from translate_core.runtime.progress import Unit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time that passes only when a test adds to `now`."""
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(progress, "time", clock)
    return clock


class TestPlainLines:
    @pytest.mark.parametrize(
        ("total", "unit", "line"),
        [
            (14, "files", "decoding [a] (14 files)\n"),
            (1_250_000, "bytes", "decoding [a] (1.2 MB)\n"),
            (3, "images", "decoding [a] (3 images)\n"),
            (3, "", "decoding [a] (3)\n"),
            (None, "bytes", "decoding [a]\n"),
        ],
    )
    def test_a_short_task_has_one(
        self, capsys: pytest.CaptureFixture[str], total: int | None, unit: Unit, line: str
    ) -> None:
        with shown("decoding [a]", total, unit) as advance:
            advance(1)
            advance(2)
        assert capsys.readouterr().err == line

    def test_a_short_task_that_is_not_announced_has_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        with shown("translating", 3, "images", announce=False) as advance:
            advance(3)
        assert capsys.readouterr().err == ""

    def test_are_ten_seconds_apart(self, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
        with shown("decoding a", 100) as advance:
            for _ in range(25):
                clock.now += 1
                advance(1)
        assert capsys.readouterr().err.splitlines() == [
            "decoding a (100 files)",
            "decoding a  10/100 files  0:01:30 left",
            "decoding a  20/100 files  0:01:20 left",
            "decoding a  25/100 files  0:01:15 left",  # the last state, since lines were written
        ]

    def test_of_a_task_that_goes_on(self, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
        """The time left is at the pace of this part."""
        with shown("resuming a", 100_000_000, "bytes", done=60_000_000) as advance:
            for _ in range(11):
                clock.now += 1
                advance(1_000_000)
        assert capsys.readouterr().err.splitlines()[1:] == [
            "resuming a  70.0/100.0 MB  0:00:30 left",
            "resuming a  71.0/100.0 MB  0:00:29 left",
        ]

    def test_of_an_unknown_total(self, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
        with shown("downloading a", None, "bytes") as advance:
            clock.now += 10
            advance(2_500_000)
        assert capsys.readouterr().err.splitlines() == ["downloading a", "downloading a 2.5 MB"]

    def test_are_written_after_an_error(self, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
        def fail_at_the_third() -> None:
            with shown("decoding a", 9) as advance:
                clock.now += 10
                advance(1)
                advance(1)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail_at_the_third()
        assert capsys.readouterr().err.splitlines()[2:] == ["decoding a 2/9 files  –:––:–– left"]


class TestDisplay:
    def test_details_and_what_is_below(self, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
        display = ProgressDisplay("step", 12, "")
        display.start()
        assert not display.has_bar
        display.update(1, ["epoch 1/2"], ["cycle 2.1"])
        clock.now += 5
        display.update(3, ["epoch 1/2"], ["cycle 1.5"])
        display.print("[saved]")
        display.stop()
        assert capsys.readouterr().err.splitlines() == [
            "step  1/12  epoch 1/2  –:––:–– left  cycle 2.1",
            "[saved]",
            "step  3/12  epoch 1/2  0:00:22 left  cycle 1.5",
        ]

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (7322, "2:02:02"), (90061, "1d 1:01:01")]
    )
    def test_clock(self, seconds: float, text: str) -> None:
        assert progress.clock(seconds) == text


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0)])
def test_only_the_first_rank_shows_anything(
    rank: str, lines: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    with shown("decoding a", 3) as advance:
        advance(1)
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_a_bar_on_a_terminal() -> None:
    main, terminal = os.openpty()
    program = (
        "from translate_core import ProgressDisplay, progress\n"
        "with progress('decoding [tiny]', 14) as advance:\n"
        "    for _ in range(14): advance(1)\n"
        "display = ProgressDisplay('step', 9, '')\n"
        "display.start()\n"
        "assert display.has_bar\n"
        "display.update(1)\n"
        "display.print('above [it]')\n"
        "display.update(7, ['epoch 3'], ['cycle 0.5'])\n"
        "display.stop()\n"
    )
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", program], stderr=terminal, env=environment, check=True)
    os.close(terminal)
    written = os.read(main, 100_000).decode()
    os.close(main)
    for text in ("decoding [tiny]", "14/14 files", "above [it]", "7/9  epoch 3", "cycle 0.5"):
        assert text in written
    assert "━" in written
