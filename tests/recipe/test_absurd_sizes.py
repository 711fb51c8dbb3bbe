"""Sizes that no machine can satisfy, and texts of any length: a short message within seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from translate_core.commands.apply import main as apply
from translate_core.commands.run import main

CASES = {
    "a wide generator": (
        "generator.width=9999999",
        "generator  resnet cannot be built as G_AB: it has more than 100,000,000,000 parameters: lower its options",
    ),
    "a generator wider than numbers": ("generator.width=99999999999999999999", "generator"),
    "many blocks": (
        "generator.blocks=9000000000000000000",
        "generator  resnet cannot be built as G_AB: it has more than 20,000 modules: lower its options",
    ),
    "many halvings": ("generator={type: unet, downs: 1000000}", "generator"),
    "many layers": ("discriminator.layers=1000000000", "discriminator"),
    "a large pool": (
        "losses.adversarial.pool.size=100000000000",
        "losses.adversarial.pool.size  must be a whole number at least 1 and at most 1000000, not 100000000000",
    ),
    "many drawn images": (
        "data={type: synthetic, train: 1000000000000}",
        "data.train  must be a whole number at least 1 and at most 10000, not 1000000000000",
    ),
    "a large batch": ("training.batch_size=1000000000000", "training.batch_size"),
    "a batch of no size of a tensor": ("training.batch_size=18446744073709551616", "training.batch_size"),
    "many loaders": ("training.workers=1000000000", "training.workers"),
    "a long word": (f"method={'x' * 100_000}", "method"),
    "a long key": (f"{'x' * 100_000}=1", "x"),
    "a long number": (f"generator.width={'9' * 3000}", "generator  resnet cannot be built as G_AB"),
    "an override of many lines": ("data.=" + "9\n" * 30_000, "must be KEY=VALUE, such as training.batch_size=4"),
    "a long value": (f"data.root={'x' * 100_000}", ""),
}


@pytest.mark.parametrize("name", CASES)
def test_it_ends_with_a_short_message(
    name: str, write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    override, message = CASES[name]
    began = time.monotonic()
    status = main([str(write_recipe()), "--out", str(tmp_path / "run"), "--device", "cpu", "--set", override])
    messages = capsys.readouterr().err
    assert status == 2, messages[:500]
    assert "Traceback" not in messages
    assert message in messages
    assert len(messages) < 5000
    assert time.monotonic() - began < 60
    assert not (tmp_path / "run" / "run.json").exists()


def test_many_unknown_keys(write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe()
    data = yaml.safe_load(recipe.read_text())
    data["generator"] |= {f"key{number}": number for number in range(20_000)}
    recipe.write_text(yaml.safe_dump(data))
    began = time.monotonic()
    assert main([str(recipe), "--dry-run"]) == 2
    messages = capsys.readouterr().err
    assert "has 20,000 faults\n" in messages
    assert "… and 19,9" in messages
    assert len(messages) < 20_000
    assert time.monotonic() - began < 30


def test_many_samples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        apply(["run", "a.png", "--out", "out", "--samples", "100000000000"])
    assert ended.value.code == 2
    assert "argument --samples: must be 1 … 10,000, not 100000000000" in capsys.readouterr().err


def test_a_nul_character(write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe()
    recipe.write_text(recipe.read_text() + 'plugins: ["a\\0.py"]\n')
    assert main([str(recipe), "--dry-run"]) == 2
    assert "text may not hold the character NUL" in capsys.readouterr().err
