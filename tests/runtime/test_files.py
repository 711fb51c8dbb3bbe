"""Files are written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from translate_core import UserError, atomic_write, sha256_of, write_text
from translate_core.runtime.files import check_no_pipes


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_raises_changes_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write() -> None:
        with atomic_write(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_and_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "ä.txt"
    write_text(path, "zwölf\n")
    assert path.read_bytes() == "zwölf\n".encode()
    assert sha256_of(path) == hashlib.sha256("zwölf\n".encode()).hexdigest()


def test_a_file_that_vanishes_is_not_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process renames `run.json.part` while this one looks at the files of a folder."""
    plain = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter([*plain(folder), folder / "run.json.part"]))
    monkeypatch.setattr(Path, "exists", lambda path: True)
    check_no_pipes(tmp_path)
    (tmp_path / "endless").symlink_to("endless")
    check_no_pipes(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=r"pipe is a pipe, not a file: remove it$"):
        check_no_pipes(tmp_path)
