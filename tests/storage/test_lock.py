"""The lock of a run folder, also where the file system has none."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from translate_core.commands.run import main
from translate_core.storage.run_folder import RunFolder
from translate_plugins.fetching.once import make_once

HOLD = """
import sys
from pathlib import Path
from translate_core.storage.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    input()
"""


def refuse(number: int) -> Callable[..., None]:
    def lock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return lock


def test_the_message_names_the_process_that_holds_the_lock(
    write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = [sys.executable, "-c", HOLD, str(out)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert main([str(write_recipe()), "--out", str(out), "--device", "cpu"]) == 2
        other.communicate(b"\n")
    holder = f"process {other.pid} on {socket.gethostname()}"
    expected = f"another process is at work in {out} ({holder}); wait for it, or choose another --out\n"
    assert capsys.readouterr().err.endswith(f"translate-run: {expected}")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_trains_with_a_warning(
    number: int,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(fcntl, "lockf", refuse(number))
    out = tmp_path / "run"
    arguments = [str(write_recipe()), "--out", str(out), "--device", "cpu", "--set", "training.length=1 steps"]
    assert main(arguments) == 0
    assert (
        f"warning: {out} cannot be locked, since its file system has no locks ({os.strerror(number)}): make sure that "
        f"no second process trains there at the same time\n" in capsys.readouterr().err
    )


@pytest.mark.parametrize("number", [errno.EACCES, errno.EAGAIN])
def test_both_answers_that_mean_held(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "lockf", refuse(number))
    with pytest.raises(ValueError, match="another process is at work in"), RunFolder(tmp_path).locked():
        pytest.fail("locked")


def test_any_other_answer_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "lockf", refuse(errno.EIO))
    with pytest.raises(ValueError, match=r"\.lock cannot be locked: Input/output error$"), RunFolder(tmp_path).locked():
        pytest.fail("locked")


def test_the_lock_file_names_one_process(tmp_path: Path) -> None:
    """Whatever an earlier one wrote is replaced."""
    (tmp_path / ".lock").write_text("process 123456789 on another-machine\n")
    with RunFolder(tmp_path).locked():
        assert (tmp_path / ".lock").read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_what_is_made_once_without_locks(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(number))
    target = tmp_path / "target"
    make_once(target, target.touch)
    assert target.exists()
    assert capsys.readouterr().err == (
        f"warning: {target}.lock cannot be locked: make sure that no second process makes this at the same time\n"
    )
