"""`translate-plugins check --recipe`: the networks and losses of a recipe, called as in its shape check."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from tests.conftest import REPOSITORY
from translate_core.commands.plugins import main
from translate_core.conformance.networks.subject import NetworkSubject
from translate_core.conformance.recipe import of_recipe

PLUGIN = '''
import torch
from torch import nn
from translate_core import GENERATORS, Direction, Given, Loss, Method, generator, hookimpl, network, tensor


class ToDomain(Method):
    """A generator that is given the style of a domain, from a table of styles."""

    order = (GENERATORS,)
    given = (Given("real"), Given("label", "label"))
    pairs = {"same": {"fake": "real"}}

    def on(self, data):
        styles = {"domains": len(data.domains), "style_channels": 5}
        first = data.domains[0]
        self.roles = (
            generator("G", first, first, conditions=("style",), extra={"style_channels": 5}),
            network("M", conditions=("label",), extra=styles, default="table"),
        )
        self.directions = {
            f"to-{name}": Direction(first, name, given="real", output="fake", label={"label": number})
            for number, name in enumerate(data.domains)
        }

    roles = (generator("G", "A", "A"),)

    @tensor
    def fake(self):
        return self.G(self.real, self.M(self.label))


class Table(nn.Module):
    """A style for each domain."""

    def __init__(self, domains: int, style_channels: int) -> None:
        super().__init__()
        self.styles = nn.Embedding(domains, style_channels)

    def forward(self, label):
        return self.styles(label)


class Styled(nn.Module):
    """A convolution and a style."""

    def __init__(self, in_channels: int, out_channels: int, style_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.style = nn.Linear(style_channels, out_channels)

    def forward(self, x, style):
        return torch.tanh(self.conv(x) + self.style(style)[..., None, None])


class Rounds(Styled):
    """Computes in float32 whatever it is given."""

    def forward(self, x, style):
        return super().forward(x, style).float()


@hookimpl
def register(registry):
    registry.method("to_domain", ToDomain)
    registry.network("table", Table)
    registry.generator("styled", Styled)
    registry.generator("rounds", Rounds)
'''

RECIPE = {
    "plugins": ["mine.py"],
    "method": {"type": "to_domain"},
    "data": {"type": "synthetic", "size": 16, "train": 8, "test": 2, "domains": ["horse", "zebra", "pony"]},
    "generator": {"type": "styled"},
    "losses": {"same": {"type": "l1", "pairs": "same"}},
    "optimizer": {"type": "adam", "lr": 0.001},
    "training": {"length": "2 steps", "batch_size": 2},
    "observers": {},
}


def written(folder: Path, **changes: object) -> str:
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, **changes}, sort_keys=False))
    return str(folder / "recipe.yaml")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["check", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_networks_and_losses_of_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "--recipe", written(tmp_path))
    assert (status, err) == (0, "")
    assert out.startswith("recipe recipe: 3 components, contract version 1\n\ngenerator styled, as G\n  ✓ builds\n")
    assert "\nnetwork table, as M\n  ✓ builds\n" in out
    assert "\nloss l1, as same\n  ✓ builds\n" in out
    assert "–" not in out


def test_those_of_one_plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = written(tmp_path, generator={"type": "rounds"})
    status, out, _ = run(capsys, str(tmp_path / "mine.py"), "--recipe", recipe)
    assert status == 2
    assert out.startswith("recipe recipe: 2 components")
    assert "  ✗ computes in float64\n      forward() returns torch.float32 for images of float64\n" in out


def test_calls_are_those_of_the_data(tmp_path: Path) -> None:
    _, kit, checked = of_recipe(written(tmp_path))
    subjects = {item.names[0]: NetworkSubject(kit, item.component) for item in checked[:2]}
    (call,) = {call.entry: call for call in subjects["M"].recorded}.values()
    assert call.arguments[0].dtype == torch.int64
    assert call.arguments[0].max() <= 2
    image, style = subjects["G"].calls[0].arguments
    assert image.shape == (2, 3, 16, 16)
    assert style.shape == (2, 5)
    assert subjects["M"].usual == {"domains": 3, "style_channels": 5}


def test_roles_of_different_channels_are_checked_apart() -> None:
    _, kit, checked = of_recipe(str(REPOSITORY / "recipes" / "quickstart_unsb.yaml"))
    assert [(item.registration.name, item.names) for item in checked[:3]] == [
        ("unsb", ("G",)),
        ("unsb", ("D",)),
        ("unsb", ("E",)),
    ]
    energy = NetworkSubject(kit, checked[2].component)
    assert {tuple(call.arguments[0].shape) for call in energy.recorded} == {(4, 12, 64, 64)}
    assert energy.usual == {"in_channels": 12}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "check needs a plugin, or --recipe with a recipe"),
        (["--recipe", "{recipe}", "--set", "generator.styled.x=1"], "--set belongs to a check without a recipe"),
        (["--recipe", "nothing.yaml"], "nothing.yaml"),
        (["--recipe", "{wrong}"], "has no tensor 'depth'"),
        (["torch_plugins", "--recipe", "{recipe}"], "recipe recipe has no network and no loss of plugin torch_plugins"),
    ],
)
def test_faults_of_the_user(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong").mkdir()
    wrong = written(tmp_path / "wrong", losses={"same": {"type": "l1", "pairs": {"depth": "real"}}})
    places = {"recipe": written(tmp_path), "wrong": wrong}
    status, out, err = run(capsys, *(argument.format(**places) for argument in arguments))
    assert (status, out) == (2, "")
    assert message in err
