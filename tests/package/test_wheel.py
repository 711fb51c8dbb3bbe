"""The wheel, built from the sdist and installed away from the checkout: recipes, commands, training, translating."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from translate_core.recipe.shipped import shipped_recipes

SMALL = ("data.train=4", "data.test=2", "data.size=32", "training.length=2 steps", "training.samples=1")
SETS = tuple(word for override in SMALL for word in ("--set", override))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sdist, and of the wheel that is built from it; no network is needed."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    (found,) = built.glob("*.tar.gz")
    return found


class Environment:
    """A virtual environment, used from an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "environment"
        self.work = folder / "work"
        self.work.mkdir()
        venv.create(self.folder, with_pip=True)
        self.scripts = self.folder / ("Scripts" if os.name == "nt" else "bin")

    def run(self, command: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Runs a command of the environment, which must succeed; the checkout is not on its path."""
        variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        variables["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        words = [str(self.scripts / command), *map(str, arguments)]
        done = subprocess.run(words, cwd=self.work, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done

    def borrow(self) -> None:
        """Makes the distributions of the test environment importable, except our own."""
        borrowed = self.folder / "borrowed"
        borrowed.mkdir()
        places = {str(item.locate_file("")) for item in importlib.metadata.distributions()}
        for place in map(Path, sorted(places)):
            for entry in place.iterdir() if place != REPOSITORY else ():
                if "translate" not in entry.name and entry.suffix != ".pth" and not (borrowed / entry.name).exists():
                    (borrowed / entry.name).symlink_to(entry)
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = Path(self.run("python", "-c", code).stdout.strip())
        (site / "borrowed.pth").write_text(f"{borrowed}\n")


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("fresh"))
    made.borrow()
    made.run("pip", "install", "--quiet", "--no-deps", "--no-index", wheel)
    return made


def relative(folder: Path, pattern: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob(pattern) if path.is_file()}


def names(archive: Iterable[str]) -> set[str]:
    return {name for name in archive if not name.endswith("/")}


def test_the_wheel_holds_the_packages_and_the_recipes(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = names(archive.namelist())
        recipes = {name: archive.read(name) for name in held if name.startswith("translate_recipes/")}
    info = "translate_core-0.1.0.dist-info"
    assert {name.split("/")[0] for name in held} == {"translate_core", "translate_plugins", "translate_recipes", info}
    assert recipes == {f"translate_recipes/{name}.yaml": path.read_bytes() for name, path in shipped_recipes().items()}
    templates = relative(REPOSITORY, "translate_core/components/templates/**/*.template")
    assert len(templates) >= 9
    wanted = {"translate_core/py.typed", "translate_plugins/py.typed", "translate_core/__init__.pyi", *templates}
    assert wanted <= held
    assert f"{info}/licenses/LICENSE" in held
    assert not [name for name in held if "__pycache__" in name]


def test_the_sdist_holds_what_is_needed_to_build_and_test(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in names(archive.getnames())}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml"} <= held
    assert {f"recipes/{name}.yaml" for name in shipped_recipes()} <= held
    assert "tests/package/test_wheel.py" in held
    assert not [name for name in held if name.split("/")[0] in (".git", ".venv", "runs", "data", "dist")]
    assert not [name for name in held if "cache" in name]


def test_the_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read("translate_core-0.1.0.dist-info/METADATA").decode().splitlines()
        points = archive.read("translate_core-0.1.0.dist-info/entry_points.txt").decode()
    assert "Name: translate-core" in lines
    assert "License-Expression: MIT" in lines
    assert "builtin = translate_plugins.builtin" in points
    assert not [line for line in lines if line.startswith("Project-URL")]


def test_the_recipes_are_listed(environment: Environment) -> None:
    lines = environment.run("translate-recipes", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_recipes())


def test_the_quickstart_trains_and_translates(environment: Environment) -> None:
    environment.run("translate-run", "quickstart", "--device", "cpu", "--out", "run", *SETS)
    folder = environment.work
    assert (folder / "run" / "results.json").is_file()
    Image.new("RGB", (40, 24), "red").save(folder / "horse.png")
    environment.run("translate-apply", "run", "horse.png", "--out", "translated", "--device", "cpu")
    with Image.open(folder / "translated" / "horse.png") as image:
        assert image.size == (40, 24)


def test_a_copied_ablation_is_valid(environment: Environment) -> None:
    environment.run("translate-recipes", "copy", "ablations/cycle_loss")
    done = environment.run("translate-run", "cycle_loss.yaml", "--dry-run", "--device", "cpu", *SETS)
    assert done.stdout.count("not begun") == 6


def test_a_new_package_is_made(environment: Environment) -> None:
    environment.run("translate-plugins", "new", "my-own")
    project = (environment.work / "my-own" / "pyproject.toml").read_text()
    assert 'dependencies = ["translate-core>=0.1,<0.2"]' in project


def test_nothing_comes_from_the_checkout(environment: Environment) -> None:
    code = "import translate_core, translate_plugins; print(translate_core.__file__, translate_plugins.__file__)"
    for file in environment.run("python", "-c", code).stdout.split():
        assert Path(file).is_relative_to(environment.folder)
    done = environment.run("translate-run", "--version")
    assert done.stdout.startswith("translate-run 0.1.0 (translate-core), torch ")


@pytest.mark.slow
@pytest.mark.timeout(2000)
def test_a_full_installation_with_all_dependencies(wheel: Path, tmp_path: Path) -> None:
    """From the package registries that pip is set up with; several gigabytes where torch is a CUDA build."""
    made = Environment(tmp_path)
    try:
        made.run("pip", "install", "--quiet", wheel)
        made.run("translate-run", "quickstart", "--device", "cpu", "--out", "run", *SETS)
        assert (made.work / "run" / "results.json").is_file()
        assert "tensorboard" in made.run("pip", "list").stdout
    finally:
        shutil.rmtree(made.folder)
