"""`translate-plugins check`: what it prints and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.broken import REGISTRY
from translate_core.commands.plugins import main
from translate_core.components.registry import KINDS
from translate_core.conformance.target import registered_by

PLUGIN = '''
from torch import nn
from translate_core import hookimpl


class Small(nn.Module):
    """A convolution.

    Args:
        width: nothing depends on it.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x):
        return self.conv(x)


class Smaller(Small):
    """Smaller by a half."""

    def __init__(self, in_channels: int, out_channels: int, *, width: int = 3) -> None:
        super().__init__(in_channels, out_channels, width=width)

    def forward(self, x):
        return self.conv(x)[..., ::2, ::2]


@hookimpl(contract=1)
def register(registry):
    registry.generator("small", Small)
'''


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["check", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_file_that_keeps_every_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    file = str(tmp_path / "mine.py")
    status, out, err = run(capsys, file, "--set", "generator.small.width=4")
    assert (status, err) == (0, "")
    assert out.startswith(f"{file}: 1 component, contract version 1\n\ngenerator small\n  ✓ builds\n")
    assert out.endswith("  ✓ describes each option\n\n✓ promises: 18 kept\n")


def test_a_broken_promise_is_printed_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN + '    registry.generator("smaller", Smaller)\n')
    status, out, _ = run(capsys, str(tmp_path / "mine.py"))
    assert status == 2
    assert (
        "\ngenerator small\n  – builds\n      not tested: it needs width: add --set "
        "generator.small.width=VALUE\n  – the promises that depend on it were not tested\n"
    ) in out
    assert (
        "\n  ✗ returns an image of the size of its input\n"
        "      for an input of 2×3×16×16 it returns 2×3×8×8; a network that does not support every size declares\n"
        "      `multiple` and `smallest`\n"
        "      It matters because losses compare input and output pixel by pixel, at every size that `multiple` and\n"
        "      `smallest` allow.\n"
    ) in out
    assert out.endswith("\n✗ promises: 18 kept, 2 broken, 1 not tested\n")


def test_an_installed_package_by_its_name_or_module(capsys: pytest.CaptureFixture[str]) -> None:
    for target in ("translate-core", "Translate_Core", "translate_plugins", "translate_plugins.builtin"):
        _, found = registered_by(target)
        assert len(found) == sum(len(REGISTRY.names(kind)) for kind in KINDS)


def test_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "module_to_check.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    status, out, _ = run(capsys, "module_to_check")
    assert status == 0
    assert out.startswith("module_to_check: 1 component")
    assert out.endswith("\n✓ promises: 2 kept, 1 not tested\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_package"], "there is no module 'no_such_package'; install its package"),
        (["nothing.py"], "there is no file nothing.py"),
        (["{mine}", "--set", "genrator.small.width=1"], "there is no kind 'genrator', did you mean 'generator'?"),
        (["{mine}", "--set", "generator.smal.width=1"], "there is no generator 'smal', did you mean 'small'?"),
        (["{mine}", "--set", "generator.small=1"], "it must be KIND.NAME.OPTION=VALUE, and names no option"),
        (["{mine}", "--set", "generator.small.widht=1"], "small has no option 'widht', did you mean 'width'?"),
        (["{mine}", "--set", "generator.small.width=wide"], "must be a whole number, not 'wide'"),
        (["{mine}", "--set", "generator.small.width"], "'generator.small.width' must be KEY=VALUE"),
        (["{empty}"], "registers no component: call `registry.<kind>(name, component)` in its hook"),
        (["{broken}"], "cannot be imported: ZeroDivisionError: division by zero (broken.py, line 1)"),
    ],
)
def test_faults_of_the_user(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "empty.py").write_text("from translate_core import hookimpl\n@hookimpl\ndef register(registry): pass\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    places = {name: str(tmp_path / f"{name}.py") for name in ("mine", "empty", "broken")}
    status, out, err = run(capsys, *(argument.format(**places) for argument in arguments))
    assert (status, out) == (2, "")
    assert err.startswith("translate-plugins: ")
    assert message in err
