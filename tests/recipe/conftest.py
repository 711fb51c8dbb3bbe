"""For the tests of bad input: a folder with a valid recipe and its images, and the check of a case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import make_folders
from tests.recipe.faults import RECIPE, Case, printed


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images of the recipe."""
    return make_folders(tmp_path_factory.mktemp("images") / "data")


@pytest.fixture
def place(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a valid recipe and its images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(RECIPE)
    (tmp_path / "data").symlink_to(images)
    return tmp_path


@pytest.fixture
def check(place: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[Case], None]:
    """Runs the command of a case: it prints exactly the message and leaves no file behind."""

    def run(wrong: Case) -> None:
        for name, content in wrong.files.items():
            (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        before = sorted(item.name for item in place.iterdir())
        sets = [argument for override in wrong.overrides for argument in ("--set", override)]
        assert printed(capsys, "r.yaml", *sets) == (2, wrong.message)
        assert sorted(item.name for item in place.iterdir() if item.name != "__pycache__") == before

    return run
