"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from translate_core import UserError, atomic_write, sha256_of, write_text
from translate_core.runtime.files import check_no_pipes, make_folder


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


@pytest.mark.skipif(os.name != "posix", reason="folders are not flushed")
@pytest.mark.parametrize(("number", "works"), [(errno.EINVAL, True), (errno.EOPNOTSUPP, True), (errno.EIO, False)])
def test_a_file_system_that_cannot_flush_a_folder(
    number: int, works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some of the network: files are written nevertheless. A disk that fails is reported."""
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if works:
        write_text(tmp_path / "file.txt", "new")
    else:
        with pytest.raises(OSError, match=f"{os.strerror(number)}: '{tmp_path}'"):
            write_text(tmp_path / "file.txt", "new")
    assert (tmp_path / "file.txt").read_text() == "new"


def test_a_file_that_cannot_be_flushed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "file.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UserError) as raised:
        write_text(path, "new")
    assert str(raised.value) == f"{path} cannot be written: Input/output error"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="folders are not flushed")
def test_folders_are_flushed_with_those_above_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr("translate_core.runtime.files.sync_folder", flushed.append)
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert sorted(flushed) == [tmp_path, tmp_path / "a"]
    make_folder(tmp_path / "a" / "b")
    assert len(flushed) == 2
