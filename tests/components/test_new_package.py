"""`translate-plugins new`: the package installs, passes its tests and trains on the quickstart without a change."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from translate_core import CONTRACT
from translate_core.commands.plugins import main
from translate_core.components import new_package
from translate_core.components.new_package import create_package
from translate_core.errors import UserError

FILES = [
    ".gitignore",
    "README.md",
    "pyproject.toml",
    "recipes/quickstart.yaml",
    "src/my_own/__init__.py",
    "src/my_own/generator.py",
    "src/my_own/loss.py",
    "src/my_own/plugin.py",
    "tests/test_plugin.py",
]


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_package("my-own", tmp_path_factory.mktemp("new"))


def test_the_files_of_the_package(package: Path) -> None:
    assert package.name == "my-own"
    assert written(package) == FILES
    for name in FILES:
        text = (package / name).read_text(encoding="utf-8")
        assert "$" not in text, f"{name} has a placeholder left"
        assert "PACKAGE" not in text
    assert f"@hookimpl(contract={CONTRACT})" in (package / "src/my_own/plugin.py").read_text()


def test_it_installs_and_passes_its_own_test(package: Path, tmp_path: Path) -> None:
    """Outside this project. The tests of the package train on its recipe and check every promise."""
    site = tmp_path / "site"
    # Nothing is downloaded: hatchling is a development dependency of this project.
    pip = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", site, package]
    subprocess.run([sys.executable, "-m", *pip], check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_its_recipe_is_the_quickstart_with_its_components(package: Path) -> None:
    ours = yaml.safe_load((REPOSITORY / "recipes" / "quickstart.yaml").read_text())
    theirs = yaml.safe_load((package / "recipes" / "quickstart.yaml").read_text())
    assert theirs.pop("generator") == {"type": "my_own_small", "width": 32, "depth": 4}
    assert theirs["losses"].pop("edges") == {"type": "my_own_edges", "weight": 5}
    del ours["generator"]
    assert theirs == ours


def test_its_project_file(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-own"
    assert project["entry-points"] == {"translate_core": {"my_own": "my_own.plugin"}}
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    major, minor = version.split(".")[:2]
    above = f"{major}.{int(minor) + 1}" if major == "0" else f"{int(major) + 1}"
    assert project["dependencies"] == [f"translate-core>={major}.{minor},<{above}"]


def test_it_is_clean_python(package: Path) -> None:
    rules = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["select"]
    for command in (["check", "--select", ",".join({*rules} - {"D1"})], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", "120", "--no-cache", "."],
            cwd=package,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_the_next_commands_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "my_own", "--into", str(tmp_path / "deeper")]) == 0
    folder = tmp_path / "deeper" / "my-own"
    assert capsys.readouterr().err == (
        f"created {folder}: a package with a generator, a loss, a test and a recipe. Next:\n  cd {folder}\n"
        '  pip install -e ".[dev]"\n  pytest\n  translate-plugins check my-own\n'
        "  translate-run recipes/quickstart.yaml\n"
    )


@pytest.mark.parametrize("name", ["my-own", "My_Own", "my.own"])
def test_an_existing_folder_is_not_changed(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my-own").mkdir()
    assert main(["new", name, "--into", str(tmp_path)]) == 2
    message = f"{tmp_path / 'my-own'} exists already: choose another name, or another folder with --into"
    assert capsys.readouterr().err == f"translate-plugins: {message}\n"
    assert list(tmp_path.rglob("*")) == [tmp_path / "my-own"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "'' is not a valid package name: it must begin with a letter and contain only letters, digits and '-'"),
        ("3d", "'3d' is not a valid package name: "),
        ("-x", "'-x' is not a valid package name: "),
        ("a/b", "'a/b' is not a valid package name: "),
        ("my own", "'my own' is not a valid package name: "),
        ("größe", "'größe' is not a valid package name: "),
        ("class", "'class' is a keyword or a standard module of Python: choose another name"),
        ("JSON", "'json' is a keyword or a standard module of Python: choose another name"),
        ("Translate-Core", "'Translate-Core' is taken by the package translate-core "),
        ("translate-plugins", "'translate-plugins' is taken by the module translate_plugins, which is installed here"),
        ("pydantic", "'pydantic' is taken by the package pydantic "),
    ],
)
def test_an_invalid_name(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        create_package(name, tmp_path)
    assert str(caught.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text
    calls = []

    def fail_late(path: Path, text: str, **options: str) -> int:
        calls.append(path)
        if len(calls) == 5:
            raise OSError(28, "No space left on device", str(path))
        return write(path, text, **options)

    monkeypatch.setattr(Path, "write_text", fail_late)
    assert main(["new", "my-own", "--into", str(tmp_path)]) == 2
    assert len(calls) == 5
    assert list(tmp_path.iterdir()) == []


def test_the_templates_are_part_of_the_package() -> None:
    """hatchling packs every file that git does not ignore."""
    names = sorted(path for path, _ in new_package._templates(new_package._root(), ""))
    assert names == [name.replace("my_own", "PACKAGE") for name in FILES]
    listed = subprocess.run(
        ["git", "check-ignore", "-v", *map(str, (REPOSITORY / "translate_core/components/templates").rglob("*"))],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert listed == ""
