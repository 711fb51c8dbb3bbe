"""Event files of many short sessions, as TensorBoard reads them before and after they are merged."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
from tensorboard.summary.writer import event_file_writer

from translate_core import RunInfo
from translate_plugins.observers.event_files import merge_event_files
from translate_plugins.observers.tensorboard import TensorBoard

SESSIONS = 20


@pytest.fixture(autouse=True)
def one_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions begin a second apart: the names of event files, which order them, contain seconds."""
    ticks = itertools.count(1_800_000_000)
    monkeypatch.setattr(event_file_writer, "time", SimpleNamespace(time=lambda: float(next(ticks))))


def session(folder: Path, start: int, stop: int) -> None:
    board = TensorBoard()
    board.on_start(RunInfo("x", folder, {"name": "x" * 200}, start, 100, 10, 1))
    for step in range(start + 1, stop + 1):
        board.on_losses(step, {"cycle": start + step / 100}, {})
    board.on_stop(stop, False)


def shown(folder: Path) -> list[tuple[int, float]]:
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, TENSORS: 0}).Reload()
    return [(item.step, item.value) for item in found.Scalars("loss/cycle")]


def paths(folder: Path) -> list[Path]:
    return sorted((folder / "tensorboard").iterdir())


def unmerged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Sessions that each repeat two steps; what TensorBoard shows of them."""
    with monkeypatch.context() as patch:
        patch.setattr("translate_plugins.observers.tensorboard.merge_event_files", lambda folder: None)
        for number in range(SESSIONS):
            session(folder, 3 * number, 3 * number + 5)
    assert len(paths(folder)) == SESSIONS
    return shown(folder)


def test_merged_files_show_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = unmerged(tmp_path, monkeypatch)
    assert [step for step, _ in before] == list(range(1, 3 * SESSIONS + 3))
    size = sum(path.stat().st_size for path in paths(tmp_path))
    session(tmp_path, 3 * SESSIONS + 2, 3 * SESSIONS + 3)
    assert len(paths(tmp_path)) == 2
    assert shown(tmp_path)[:-1] == before
    assert paths(tmp_path)[0].stat().st_size < 0.9 * size, "what is hidden is left out"


@pytest.mark.parametrize("left", [1, 7, SESSIONS - 1])
def test_killed_while_files_are_removed(left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = unmerged(tmp_path, monkeypatch)
    again = {path: path.read_bytes() for path in paths(tmp_path)[-left:]}
    merge_event_files(tmp_path / "tensorboard")
    for path, content in again.items():
        path.write_bytes(content)
    assert shown(tmp_path) == before


def test_sessions_that_do_no_step_leave_nothing(tmp_path: Path) -> None:
    session(tmp_path, 0, 5)
    for _ in range(100):
        session(tmp_path, 5, 5)
    assert len(paths(tmp_path)) <= 17
    session(tmp_path, 5, 6)
    assert [step for step, _ in shown(tmp_path)] == [1, 2, 3, 4, 5, 6]
    one = paths(tmp_path)[-1].stat().st_size
    assert sum(path.stat().st_size for path in paths(tmp_path)) < 20 * one


@pytest.mark.parametrize("damage", [b"\xff" * 40, b"\x05" + 30 * b"\0", b""])
def test_damaged_files_are_merged_as_far_as_they_are_read(
    damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmerged(tmp_path, monkeypatch)
    cut = paths(tmp_path)[4]
    cut.write_bytes(cut.read_bytes()[:-30] + damage)
    before = shown(tmp_path)
    merge_event_files(tmp_path / "tensorboard")
    assert len(paths(tmp_path)) == 1
    assert shown(tmp_path) == before


def test_large_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unmerged(tmp_path, monkeypatch)
    monkeypatch.setattr("translate_plugins.observers.event_files._SMALL", 100)
    before = {path: path.read_bytes() for path in paths(tmp_path)}
    merge_event_files(tmp_path / "tensorboard")
    assert {path: path.read_bytes() for path in paths(tmp_path)} == before
