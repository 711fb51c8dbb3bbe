"""Plugins: installed packages, plugins of a recipe, and an engine that names none of them."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import translate_core
from translate_core.commands.run import main
from translate_core.components.plugins import PluginError, load_plugins
from translate_core.components.registry import KINDS, RegistrationError
from translate_core.storage import weights

# A package that is not ours

NETWORKS = """
from __future__ import annotations

from torch import Tensor, nn

from translate_core import hookimpl


class Tiny(nn.Module):
    '''A three-layer generator.'''

    def __init__(self, in_channels: int, out_channels: int, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, out_channels, 1), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@hookimpl
def register(registry):
    registry.generator("stranger_tiny", Tiny)
"""

LOSSES = """
from __future__ import annotations

from translate_core import Loss, hookimpl


class MeanColour(Loss):
    '''The difference between the mean colours of fakes and real images.'''

    def __init__(self, power: int = 2) -> None:
        super().__init__()
        self.power = power

    def generator_loss(self, tensors):
        return {
            fake: (tensors[fake].mean((0, 2, 3)) - tensors[real].mean((0, 2, 3))).abs().pow(self.power).sum()
            for real, fake in tensors.adversarial_pairs.values()
        }


@hookimpl
def register(registry):
    registry.loss("stranger_colour", MeanColour)
"""


def wheel(folder: Path, name: str, modules: dict[str, str], entry_points: dict[str, str]) -> Path:
    """A wheel as a build backend writes it; no backend needs to be installed."""
    path = folder / f"{name}-1.2.3-py3-none-any.whl"
    info = f"{name}-1.2.3.dist-info"
    points = "\n".join(f"{point} = {target}" for point, target in entry_points.items())
    files = {
        **{f"{name}/{module}.py": content for module, content in {"__init__": "", **modules}.items()},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2.3\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[translate_core]\n{points}\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"]))
    return path


def pip_install(package: Path, target: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, package],
        check=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    return target


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip installed a package with two entry points."""
    folder = tmp_path_factory.mktemp("stranger")
    package = wheel(
        folder,
        "stranger",
        {"networks": NETWORKS, "losses": LOSSES},
        {"networks": "stranger.networks", "losses": "stranger.losses"},
    )
    return pip_install(package, folder / "site")


def test_an_installed_package_trains(stranger: Path, write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = write_recipe(
        generator={"type": "stranger_tiny", "width": 4},
        losses={"adversarial": {"type": "lsgan"}, "colour": {"type": "stranger_colour", "power": 1, "weight": 3}},
        training={"length": "2 steps", "workers": 0, "sample_every": None},
    )
    command = [
        sys.executable,
        "-m",
        "translate_core.run",
        str(recipe),
        "--out",
        str(tmp_path / "run"),
        "--device",
        "cpu",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(stranger)}
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["plugins"]["stranger"] == "1.2.3"
    assert record["recipe"]["losses"]["colour"] == {"type": "stranger_colour", "weight": 3.0, "power": 1}
    assert "layers.0.weight" in weights.read_weights(tmp_path / "run" / "weights" / "G_AB.safetensors")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Makes a module the entry point of an installed package, `guest 0.1`."""

    def install(content: str) -> None:
        (tmp_path / "guest.py").write_text(content)
        info = tmp_path / "guest-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guest\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text("[translate_core]\nguest = guest\n")
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    sys.modules.pop("guest", None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "import no_such_thing\n",
            "installed plugin guest 0.1 cannot be imported from guest: "
            "ModuleNotFoundError: No module named 'no_such_thing' (guest.py, line 1). "
            "Repair the package, or uninstall it",
        ),
        (
            "x = 1\n",
            "plugin guest 0.1 registers nothing: define `register(registry)` in it, "
            "decorated with `@translate_core.hookimpl`",
        ),
        (
            NETWORKS.replace("stranger_tiny", "unet"),
            "plugin guest 0.1 registers generator 'unet', but plugin translate-core {version} has already registered "
            "a generator of that name; one of the two must be renamed",
        ),
    ],
    ids=["import", "nothing", "clash"],
)
def test_a_broken_installed_package(content: str, message: str, installed: Callable[[str], None]) -> None:
    installed(content)
    with pytest.raises((PluginError, RegistrationError)) as caught:
        load_plugins()
    assert str(caught.value) == message.format(version=importlib.metadata.version("translate-core"))


def test_every_load_has_its_own_registry() -> None:
    first, second = load_plugins(), load_plugins()
    assert first.registry is not second.registry
    assert first.registry.names("generator") == second.registry.names("generator")


def test_a_module_that_is_importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "importable_plugin.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(tmp_path)
    loaded = load_plugins(["importable_plugin"])
    assert "stranger_tiny" in loaded.registry.names("generator")
    assert loaded.versions["importable_plugin"] == ""
    assert loaded.files == {}


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / "own.py").write_text(NETWORKS.replace("stranger_tiny", name))
        loaded = load_plugins(["own.py"], tmp_path)
        assert name in loaded.registry.names("generator")
    assert "first" not in loaded.registry.names("generator")


# A method, a loss and a generator in a file

TOYS = """
from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from translate_core import GENERATORS, Direction, Loss, Method, generator, hookimpl, tensor


class Palette(Method):
    '''One generator, no discriminator: colours of B on the shapes of A.'''

    roles = (generator("painter", "A", "B"),)
    order = (GENERATORS,)
    directions = {"paint": Direction("A", "B", output="painted", show=("noisy",))}

    def __init__(self, noise: float = 0.1) -> None:
        self.noise = noise

    @tensor
    def noisy(self) -> Tensor:
        draw = torch.randn(self.real_A.shape, generator=self.rng("noise")).to(self.real_A)
        return self.real_A + self.noise * draw

    @tensor
    def painted(self) -> Tensor:
        return self.painter(self.noisy)


class Histogram(Loss):
    '''The difference between the sorted colours of painted images and of B.'''

    def generator_loss(self, tensors):
        ours, theirs = (tensors[name].flatten(2).sort(dim=2).values for name in ("painted", "real_B"))
        return {"colours": (ours - theirs).abs().mean()}


class Curves(nn.Module):
    '''A point-wise curve.'''

    def __init__(self, in_channels: int, out_channels: int, knots: PositiveInt = 8) -> None:
        super().__init__()
        self.curve = nn.Sequential(nn.Conv2d(in_channels, knots, 1), nn.ReLU(), nn.Conv2d(knots, out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.curve(x).tanh()


@hookimpl
def register(registry):
    registry.method("palette", Palette)
    registry.loss("histogram", Histogram)
    registry.generator("curves", Curves)
"""


def test_a_method_in_a_file_trains(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "toys.py").write_text(TOYS)
    recipe = write_recipe(
        plugins=["toys.py"],
        method={"type": "palette", "noise": 0.05},
        generator={"type": "curves", "knots": 4},
        discriminator=None,
        losses={"colours": {"type": "histogram"}},
        optimizer={"type": "adam", "lr": 0.02},
        training={
            "length": "30 steps",
            "workers": 0,
            "batch_size": 2,
            "log_every": "1 step",
            "sample_every": "15 steps",
            "ema": 0.9,
            "checkpoint_every": "10 steps",
        },
    )
    run = tmp_path / "run"
    assert main([str(recipe), "--out", str(run), "--device", "cpu"]) == 0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["losses"]["colours"] for line in lines if "losses" in line]
    assert len(losses) == 30
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert (run / "plugins" / "toys.py").read_text() == TOYS
    assert sorted(path.name for path in (run / "weights").iterdir()) == ["painter.safetensors"]
    newest = torch.load(run / "checkpoints" / "step-30.pt", weights_only=True)
    assert set(newest["parts"]) == {"networks/painter", "ema/painter", "optimizers/generators"}
    assert [set(parts) for parts in newest["rank_parts"]] == [{"losses/colours"}]
    # The run is complete: its own recipe, with the copy of the plugin, is the same run.
    assert main([str(run / "recipe.yaml"), "--out", str(tmp_path / "again"), "--dry-run"]) == 0


# The engine

SOURCES = sorted(Path(translate_core.__file__).parent.rglob("*.py"))


def _docstrings(tree: ast.AST) -> set[ast.AST]:
    """Strings as statements: the docstrings of definitions and of attributes."""
    return {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def _words(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name and every string in the code, with its line."""
    left_out = _docstrings(tree)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Name):
            yield line, node.id
        elif isinstance(node, ast.Attribute):
            yield line, node.attr
        elif isinstance(node, ast.alias | ast.keyword | ast.arg):
            yield line, str(node.asname or node.name if isinstance(node, ast.alias) else node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield line, node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in left_out:
            yield line, node.value


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_engine_imports_no_plugin(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            modules = [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        assert not [module for module in modules if module.split(".")[0] == "translate_plugins"]


def _names_of_components() -> set[str]:
    """The names of the built-in methods, networks, losses, datasets and pools, as components and as classes."""
    registry = load_plugins().registry
    found = set()
    for kind in ("method", "generator", "discriminator", "loss", "dataset", "pool"):
        for name in registry.names(kind):
            component = registry.get(kind, name).component
            if component.__module__.startswith("translate_plugins"):
                found |= {name, component.__name__}
                if kind == "method":
                    found |= {role.name for role in component.roles}  # type: ignore[attr-defined]
    return found


def test_the_engine_names_no_component() -> None:
    names = _names_of_components()
    assert names >= {"cyclegan", "CycleGAN", "G_AB", "lsgan", "synthetic", "resnet"}
    # `cut` is an English word, and G, D and H are letters of shapes: these are only compared with whole words. F is
    # torch's name of its functions, a type variable and a mode of Pillow's images.
    alone = {name for name in names if len(name) <= 3} - {"F"}
    names -= {"F"}
    pattern = re.compile(rf"(?<![\w.])({'|'.join(sorted(names - alone))})(?!\w)")
    found = [
        f"{source.name}:{line}: {word!r}"
        for source in SOURCES
        for line, word in _words(ast.parse(source.read_text()))
        if pattern.search(word) or word in alone
    ]
    assert found == []


def test_every_kind_has_its_method() -> None:
    from translate_core.contracts.hook import Registrar

    assert {name for name in vars(Registrar) if not name.startswith("_")} == set(KINDS)
