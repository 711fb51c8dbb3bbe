"""The modules that a run folder names are imported only if the run is the user's own, or trusted."""

from __future__ import annotations

import importlib.util
import json
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.tiny_runs import train
from translate_core import Translator, UserError
from translate_core.commands.apply import main
from translate_core.storage import trust

EVIL = """
from pathlib import Path
from translate_core import hookimpl

Path(__file__).with_suffix(".executed").touch()

@hookimpl
def register(registry):
    pass
"""


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A run of a stranger: its recipe lists a module that lies in its folder."""
    run = train(tmp_path)
    (run / "evil.py").write_text(EVIL)
    list_plugin(run, "run.evil")
    return run


def list_plugin(run: Path, entry: str) -> None:
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["plugins"] = [entry]
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))


def test_a_module_in_the_folder_is_not_imported(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(foreign.parent)
    monkeypatch.syspath_prepend(str(foreign.parent))
    with pytest.raises(UserError, match=r"would execute code that it names: module run\.evil"):
        Translator.load(foreign, device="cpu")
    assert not (foreign / "evil.executed").exists()


def test_nor_by_the_command_from_beside_the_folder(foreign: Path) -> None:
    """`python -m` puts the current folder on the path."""
    command = [sys.executable, "-m", "translate_core.apply", "run", "data/testA", "--out", "out", "--device", "cpu"]
    done = subprocess.run(command, cwd=foreign.parent, capture_output=True, text=True)
    assert done.returncode == 2
    assert "would execute code that it names: module run.evil" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (foreign / "evil.executed").exists()


def test_it_is_imported_when_trusted(foreign: Path) -> None:
    command = [sys.executable, "-m", "translate_core.apply", "run", "data/testA", "--out", "out", "--trust"]
    subprocess.run([*command, "--device", "cpu"], cwd=foreign.parent, check=True)
    assert (foreign / "evil.executed").exists()


@pytest.mark.parametrize("module", ["antigravity", "json.tool", "yaml", "translate_plugins.builtin"])
def test_an_installed_module_is_not_imported_because_a_stranger_names_it(foreign: Path, module: str) -> None:
    list_plugin(foreign, module)
    with pytest.raises(UserError, match=f"module {module}"):
        Translator.load(foreign, device="cpu")
    if module == "antigravity":
        assert module not in sys.modules


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of one's own, trained with a module beside the run folder."""
    (tmp_path / "beside_my_run.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(tmp_path))
    return train(tmp_path, plugins=["beside_my_run"])


def test_a_module_of_ones_own_is_imported(own: Path, tmp_path: Path) -> None:
    assert Translator.load(own, device="cpu").directions == ("A-B", "B-A")
    moved = own.rename(tmp_path / "moved")
    assert Translator.load(moved, device="cpu").directions == ("A-B", "B-A")


def test_a_module_that_has_changed_is_not(own: Path, tmp_path: Path) -> None:
    """Else a stranger could send a run that I have published, with a module of the same name beside it."""
    (tmp_path / "beside_my_run.py").write_text(EVIL + "\n")
    with pytest.raises(UserError, match="or its code has changed"):
        Translator.load(own, device="cpu")


def test_a_longer_list_is_not_covered_by_the_signature(own: Path, tmp_path: Path) -> None:
    (tmp_path / "another.py").write_text(EVIL)
    recipe = yaml.safe_load((own / "recipe.yaml").read_text())
    recipe["plugins"].append("another")
    (own / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    with pytest.raises(UserError, match="module beside_my_run, module another"):
        Translator.load(own, device="cpu")
    assert not (tmp_path / "another.executed").exists()


def test_a_run_without_plugins_needs_neither_key_nor_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(tmp_path)
    assert json.loads((run / "run.json").read_text())["signature"] is None
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "nothing"))
    assert Translator.load(run, device="cpu").directions == ("A-B", "B-A")
    assert not (tmp_path / "nothing").exists()


def test_the_key_is_this_users_alone(own: Path) -> None:
    path = Path(os.environ["XDG_STATE_HOME"]) / "translate-core" / "signing-key"
    assert path.stat().st_mode & 0o077 == 0
    assert len(bytes.fromhex(path.read_text())) == 32
    assert len(list(path.parent.iterdir())) == 1


def test_finding_a_module_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "outer_package"
    package.mkdir()
    (package / "__init__.py").write_text(EVIL)
    (package / "inner.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [len(digest) for digest in trust._module_sha256("outer_package.inner").split()] == [64, 64]
    assert trust._module_sha256("outer_package.missing") == trust._module_sha256("no_such_module.at_all") == "absent"
    assert trust._module_sha256("pluggy") == "installed"
    assert not list(tmp_path.rglob("*.executed"))


def test_the_command_says_how_to_trust(foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = foreign.parent / "data" / "testA"
    assert main([str(foreign), str(images), "--out", str(foreign.parent / "out"), "--device", "cpu"]) == 2
    assert "add --trust (in Python: trust=True)" in capsys.readouterr().err


def test_the_packages_around_a_module_are_signed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "my_package_of_plugins"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plug.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(tmp_path))
    run = train(tmp_path, plugins=["my_package_of_plugins.plug"])
    assert Translator.load(run, device="cpu").directions == ("A-B", "B-A")
    (package / "__init__.py").write_text("print('other code')\n")
    with pytest.raises(UserError, match="or its code has changed"):
        Translator.load(run, device="cpu")


def test_bytecode_in_the_folder_is_not_executed(tmp_path: Path) -> None:
    """Python takes unchecked bytecode for the source whose hash was signed."""
    (tmp_path / "plug.py").write_text(EVIL)
    run = train(tmp_path, plugins=["plug.py"])
    source = run / "plugins" / "plug.py"
    (run / "other.py").write_text(EVIL.replace(".executed", ".bytecode"))
    py_compile.compile(
        str(run / "other.py"),
        cfile=importlib.util.cache_from_source(str(source)),
        dfile=str(source),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    Translator.load(run, device="cpu")
    assert source.with_suffix(".executed").exists()
    assert not list(run.rglob("*.bytecode"))


def test_an_entry_point_in_the_current_folder_is_not_loaded(tmp_path: Path) -> None:
    """`python -m` searches the current folder, which may be that of a stranger's run."""
    run = train(tmp_path)
    (run / "evil_package.py").write_text(EVIL)
    metadata = run / "evil_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: evil-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[translate_core]\nevil = evil_package\n")
    command = [sys.executable, "-m", "translate_core.apply", ".", "../data/testA", "--out", "../out", "--device", "cpu"]
    done = subprocess.run(command, cwd=run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (run / "evil_package.executed").exists()
