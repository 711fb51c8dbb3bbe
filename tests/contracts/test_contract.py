"""The versioned contract: versions of plugins, messages about a mismatch, names and their documentation."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import translate_core
from tests.conftest import REPOSITORY
from translate_core import CONTRACT, hookimpl
from translate_core.components import plugins
from translate_core.components.plugins import PluginError, load_plugins
from translate_core.components.registry import KINDS, RESERVED
from translate_core.contracts import hook as hookspecs
from translate_core.contracts.hook import Registrar, contract_of
from translate_plugins import builtin

VERSION = importlib.metadata.version("translate-core")
PAGE = (REPOSITORY / "docs" / "contract.md").read_text(encoding="utf-8")


# The version of a plugin


def test_a_plugin_declares_its_version() -> None:
    @hookimpl(contract=3)
    def stated(registry: object) -> None: ...

    @hookimpl
    def bare(registry: object) -> None: ...

    @hookimpl()
    def empty(registry: object) -> None: ...

    assert [contract_of(hook) for hook in (stated, bare, empty)] == [3, 1, 1]
    assert contract_of(lambda registry: None) is None


@pytest.mark.parametrize("contract", [0, -1, 1.0, "1", True, None])
def test_a_version_is_a_positive_whole_number(contract: object) -> None:
    with pytest.raises(ValueError, match=r"contract must be a whole number of at least 1, such as \d+, not"):
        hookimpl(contract=contract)  # type: ignore[call-overload]


def test_a_version_is_a_keyword_argument() -> None:
    with pytest.raises(ValueError, match=r"write @hookimpl\(contract=1\), with the keyword; 1 is not a function"):
        hookimpl(1)  # type: ignore[call-overload]


def test_the_built_ins_declare_the_version_of_this_engine() -> None:
    assert contract_of(builtin.register) == CONTRACT
    assert f"@hookimpl(contract={CONTRACT})" in inspect.getsource(builtin.register)


# A mismatch

PLUGIN = """
from pathlib import Path
from translate_core import hookimpl

@hookimpl{declared}
def register(registry):
    Path(__file__).with_suffix(".called").touch()
"""


@pytest.mark.parametrize(
    ("here", "declared", "message"),
    [
        (1, "(contract=2)", "version 2 of the contract {has} 1: upgrade translate-core"),
        (
            3,
            "(contract=2)",
            "version 2 of the contract {has} 3: update mine.py (docs/contract.md) and declare @hookimpl(contract=3)",
        ),
        (
            2,
            "",
            "version 1 of the contract {has} 2: update mine.py (docs/contract.md) and declare @hookimpl(contract=2)",
        ),
    ],
    ids=["newer", "older", "undeclared"],
)
def test_a_mismatch_is_reported_before_register_is_called(
    here: int, declared: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN.format(declared=declared))
    monkeypatch.setattr(plugins, "CONTRACT", here)
    monkeypatch.setattr(builtin.register, "translate_contract", here)
    with pytest.raises(PluginError) as caught:
        load_plugins(["mine.py"], tmp_path)
    has = f"between plugins and translate-core, but this installation, translate-core {VERSION}, has version"
    assert str(caught.value) == f"plugin mine.py was written for {message.format(has=has)}"
    assert not (tmp_path / "mine.called").exists()


def test_a_match_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN.format(declared=f"(contract={CONTRACT})"))
    load_plugins(["mine.py"], tmp_path)
    assert (tmp_path / "mine.called").exists()


def install(folder: Path, content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "guest_of_another_time.py").write_text(content)
    info = folder / "guest-0.4.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guest\nVersion: 0.4\n")
    (info / "entry_points.txt").write_text("[translate_core]\nguest = guest_of_another_time\n")
    monkeypatch.syspath_prepend(folder)


def test_an_installed_plugin_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, PLUGIN.format(declared="(contract=1)"), monkeypatch)
    monkeypatch.setattr(plugins, "CONTRACT", 2)
    monkeypatch.setattr(builtin.register, "translate_contract", 2)
    with pytest.raises(PluginError) as caught:
        load_plugins()
    assert str(caught.value) == (
        f"plugin guest 0.4 was written for version 1 of the contract between plugins and translate-core, but this "
        f"installation, translate-core {VERSION}, has version 2: upgrade the plugin (pip install --upgrade guest)"
    )


@pytest.mark.parametrize(
    "line",
    [
        "from translate_core import Gone",
        "from translate_core.gone import Loss",
        "from translate_core.contracts.loss import Gone",
        "import translate_core; translate_core.gone",
    ],
)
def test_a_failed_import_from_the_engine_mentions_the_contract(line: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"{line}\n")
    with pytest.raises(PluginError) as caught:
        load_plugins(["mine.py"], tmp_path)
    assert str(caught.value).endswith(
        f"(mine.py, line 1). The plugin may have been written for another version of the contract; this installation, "
        f"translate-core {VERSION}, has version {CONTRACT}"
    )


@pytest.mark.parametrize("line", ["import gone", "from torch import gone", "import torch; torch.gone", "None.gone"])
def test_another_failed_import_does_not_mention_the_contract(line: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"{line}\n")
    with pytest.raises(PluginError) as caught:
        load_plugins(["mine.py"], tmp_path)
    assert str(caught.value).endswith("(mine.py, line 1)")


# Names, hook and documentation


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", REPOSITORY / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current(generate: ModuleType) -> None:
    pages = generate.pages()
    assert len(pages) >= 2
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is not current: run `make docs`"


def test_every_public_name_is_documented(generate: ModuleType) -> None:
    names = translate_core.__all__
    assert len(names) >= 34
    assert sorted(names) == sorted(set(names))
    for name in names:
        text = generate._doc_of_public(name)
        assert len(text) > 10, f"{name} has no docstring"
        assert re.search(rf"^- `{name}`: \S", PAGE, re.MULTILINE), f"{name} is not in docs/contract.md"


def test_every_kind_and_its_method_are_documented() -> None:
    methods = {name for name in vars(Registrar) if not name.startswith("_")}
    assert methods == set(KINDS)
    assert len(KINDS) >= 12
    for kind in KINDS.values():
        assert inspect.getdoc(getattr(Registrar, kind.name)), f"Registrar.{kind.name} has no docstring"
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| {kind.name} |"))
        assert f"registry.{kind.name}(" in row
        assert all(f"`{name}`" in row for name in (*kind.given, *RESERVED[kind.name]))
        if kind.contract is not None:
            assert f"`{kind.contract.__name__}`" in row or f"`torch.nn.{kind.contract.__name__}`" in row


def test_every_member_of_a_contract_class_is_documented() -> None:
    contracts = {kind.contract for kind in KINDS.values()} - {None}
    engine = [cls for cls in contracts if cls.__module__.startswith("translate_core.")]
    assert len(engine) >= 7
    for cls in engine:
        section = PAGE.split(f"\n### {cls.__name__}\n")[1].split("\n### ")[0]
        members = [name for name in vars(cls) if not name.startswith("_")]
        assert members
        for name in members:
            value = inspect.getattr_static(cls, name)
            assert not inspect.isfunction(value) or value.__doc__, f"{cls.__name__}.{name} has no docstring"
            assert re.search(rf"^- `{name}\b", section, re.MULTILINE), f"{cls.__name__}.{name} is not on the page"


def test_the_hook_is_on_the_page() -> None:
    hooks = [value for value in vars(hookspecs).values() if hasattr(value, f"{hookspecs.GROUP}_spec")]
    assert [hook.__name__ for hook in hooks] == ["register"]
    assert "def register(registry: Registrar) -> None" in PAGE
    assert inspect.getdoc(hookspecs.register)
    assert f"@hookimpl(contract={CONTRACT})" in PAGE
    assert f"@hookimpl(contract={CONTRACT})" in (hookspecs.__doc__ or "")
