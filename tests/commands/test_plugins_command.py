"""`translate-plugins list` and `show`."""

from __future__ import annotations

import importlib.metadata
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from translate_core.commands.plugins import main, parser
from translate_core.components.catalogue import ENGINE_KEYS, option_texts, summary_of
from translate_core.components.plugins import load_plugins
from translate_core.components.registry import KINDS, RESERVED, Registration
from translate_core.runtime import console

VERSION = importlib.metadata.version("translate-core")
REGISTRY = load_plugins().registry
BUILT_IN = [REGISTRY.get(kind, name) for kind in KINDS for name in REGISTRY.names(kind)]

GUEST = '''
from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, PositiveInt
from torch import nn
from translate_core import Factory, Loss, NoPool, Pool, hookimpl


@dataclass(frozen=True)
class Edges:
    """How edges are found.

    Args:
        width: of an edge, in pixels.
        kind: sharp or soft.
    """

    width: PositiveInt = 3
    kind: Literal["sharp", "soft"] = "sharp"


class Outline(Loss):
    """Outlines stay where they are, as in Nobody et al. (2020. A paper). It has a second sentence.

    And a paragraph.

    Args:
        strength: how much.
        edges: where they are.
        spare: other edges.
        pool: where fakes come from.
    """

    def __init__(
        self,
        *,
        strength: Annotated[float, Field(gt=0, le=2)],
        edges: Edges = Edges(width=5),
        spare: Edges | None = None,
        pool: Factory[Pool] = NoPool,
        undescribed: bool = False,
    ) -> None:
        super().__init__()


class Wordless(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()


@hookimpl(contract=1)
def register(registry):
    registry.loss("outline", Outline)
    registry.generator("wordless", Wordless)
'''


@pytest.fixture
def guest(tmp_path: Path) -> str:
    (tmp_path / "guest_plugin.py").write_text(GUEST)
    return str(tmp_path / "guest_plugin.py")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


# list


def test_list_has_one_line_per_component(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "list")
    assert (status, err) == (0, "")
    lines = [re.split(r"  +", line) for line in out.splitlines()]
    expected = [[item.kind, item.name, f"translate-core {VERSION}", summary_of(item)] for item in BUILT_IN]
    assert len(expected) >= 40
    assert [[*line[:3], line[3].removesuffix(" (on by default)")] for line in lines] == expected
    assert {line[1] for line in lines if line[3].endswith(" (on by default)")} == {
        item.name for item in BUILT_IN if item.default
    }


def test_list_of_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "list", "pool")
    assert [line.split()[:2] for line in out.splitlines()] == [["pool", name] for name in REGISTRY.names("pool")]


def test_list_with_a_plugin_that_is_not_installed(capsys: pytest.CaptureFixture[str], guest: str) -> None:
    status, out, _ = run(capsys, "list", "--plugin", guest)
    assert status == 0
    assert len(out.splitlines()) == len(BUILT_IN) + 2
    outline = next(line for line in out.splitlines() if " outline " in line)
    assert outline.endswith(f"  {guest}  Outlines stay where they are, as in Nobody et al. (2020. A paper).")
    assert next(line for line in out.splitlines() if " wordless " in line).endswith("  –")


def test_list_wraps_on_a_terminal_and_cuts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "stdout", Console(file=screen, force_terminal=True, width=80, no_color=True))
    assert main(["list"]) == 0
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in screen.getvalue().splitlines()]
    assert len(lines) > len(BUILT_IN) + 1
    assert max(map(len, lines)) <= 80
    begin = lines[1].index(summary_of(BUILT_IN[0])[:8])
    summaries = "".join("".join(line[begin:].split()) for line in lines[1:])
    assert summaries == "".join(summary_of(item) + "(on by default)" * item.default for item in BUILT_IN).replace(
        " ", ""
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "generators"], "there is no kind of component 'generators', did you mean 'generator'? There are: "),
        (["show", "los", "cycle"], "there is no kind of component 'los', did you mean 'loss'? There are: method, "),
        (["show", "generator", "resnett"], "there is no generator 'resnett', did you mean 'resnet'? There are: "),
        (["show", "pool", "zzz"], "there is no pool 'zzz'. There are: history, none"),
        (["list", "--plugin", "no_such_module"], "there is no module 'no_such_module'; "),
        (["list", "--plugin", "nothing.py"], "there is no file nothing.py"),
    ],
)
def test_unknown_names_and_plugins(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"translate-plugins: {message}")


# show


@pytest.mark.parametrize("item", BUILT_IN, ids=lambda item: f"{item.kind}-{item.name}")
def test_show_prints_every_option(item: Registration, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "show", item.kind, item.name)
    assert (status, err) == (0, "")
    assert out.startswith(f"{item.kind} {item.name}\nfrom translate-core {VERSION}: {item.component.__module__}.")
    flat = " ".join(out.split())
    for option in option_texts(item, REGISTRY):
        default = "required" if option.default is None else f"default {option.default}"
        entry = f"{option.path}: {option.words}; {default} {option.meaning}"
        assert " ".join(entry.split()) in flat
    for key in RESERVED[item.kind]:
        assert key == "type" or f" {key}: {ENGINE_KEYS[key].words}; default " in flat
    for name in KINDS[item.kind].given:
        assert re.search(rf"supplied by the engine.*\b{name}\b", flat)


def test_the_keys_of_the_engine_are_all_described() -> None:
    assert set(ENGINE_KEYS) == {key for keys in RESERVED.values() for key in keys} - {"type"}


def test_show_of_a_component_in_a_file(capsys: pytest.CaptureFixture[str], guest: str) -> None:
    status, out, _ = run(capsys, "show", "loss", "outline", "--plugin", guest)
    assert status == 0
    page, example = out.split("\noptions\n")[1].split("\nin a recipe\n")
    assert page == (
        """\
  strength: a number greater than 0 and at most 2; required
      how much.
  edges: a block of width, kind; default {width: 5}
      where they are.
  edges.width: a whole number greater than 0; default 3
      of an edge, in pixels.
  edges.kind: one of sharp, soft; default sharp
      sharp or soft.
  spare: a block of width, kind, or null; default null
      other edges.
  spare.width: a whole number greater than 0; default 3
      of an edge, in pixels.
  spare.kind: one of sharp, soft; default sharp
      sharp or soft.
  pool: a block with a `type`: a pool (history, none); default {type: none}
      where fakes come from.
  undescribed: true or false; default false

keys of the engine, in the same block
  weight: a number at least 0, or a block of from, to, steps; default 1
      factor of the loss; 0 switches the loss off; {from: 0, to: 10, steps: 5000} changes linearly
      over the first 5000 steps and then stays
  every: a whole number greater than 0; default 1
      the loss is evaluated in every n-th run of its update, and multiplied by n (lazy
      regularisation)
"""
    )
    assert example == (
        "  {type: outline, strength: …, edges: {width: 5}, spare: null, pool: {type: none}, undescribed:\n   false}\n"
    )


def test_show_of_a_method_names_networks_and_tensors(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "show", "method", "cyclegan")
    assert "  G_AB: generator (A → B), trained with the generators\n" in out
    assert "\n  D_A: discriminator (A), trained with the discriminators\n" in out
    assert "\ntensors\n  real_A, real_B, fake_B, fake_A, rec_A, rec_B, idt_A, idt_B\n" in out
    assert "\n  cycle: {rec_A: real_A, rec_B: real_B}\n" in out
    assert "\ndirections\n  A-B, B-A\n" in out


# The command


def test_the_command_is_an_entry_point() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert 'translate-plugins = "translate_core.program:translate_plugins"' in pyproject


def test_without_a_subcommand_the_usage_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args([])
    assert caught.value.code == 2
    assert "usage: translate-plugins" in capsys.readouterr().err
