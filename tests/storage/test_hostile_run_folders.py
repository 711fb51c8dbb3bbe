"""Run folders that were edited or come from others: one message, status 2, no traceback; what is whole still works."""

# ruff: noqa: E501 - a case stands on one line

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.conftest import write_small_recipe
from translate_core.commands.apply import main as apply
from translate_core.commands.run import main as run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recipe of four steps, and its finished run with two checkpoints."""
    folder = tmp_path_factory.mktemp("hostile")
    data = {"type": "synthetic", "size": 16, "train": 4, "test": 1}
    training = {"length": "4 steps", "workers": 0, "checkpoint_every": "2 steps", "sample_every": None}
    recipe = write_small_recipe(folder / "small.yaml", folder, data=data, training={**training, "keep_checkpoints": 2})
    assert run([str(recipe), "--out", str(folder / "run"), "--device", "cpu"]) == 0
    return recipe, folder / "run"


def json_is(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


def record(**changes: Any) -> Callable[[Path], object]:
    """run.json with other values; of dotted keys with `__`. ... removes a key."""

    def change(folder: Path) -> None:
        path = folder / "run.json"
        data = json.loads(path.read_text())
        for key, value in changes.items():
            *parents, last = key.split("__")
            block = data
            for parent in parents:
                block = block[parent]
            if value is ...:
                del block[last]
            else:
                block[last] = value
        path.write_text(json.dumps(data))

    return change


def checkpoint(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """The newest checkpoint with another content, and the digest of that."""

    def write(folder: Path) -> None:
        path = folder / "checkpoints" / "step-4.pt"
        content = torch.load(path, weights_only=True)
        changed = change(content)
        torch.save(content if changed is None else changed, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(path.name + ".sha256").write_text(f"{digest}  {path.name}\n")

    return write


def assign(*keys: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        block: Any = content
        for key in keys[:-1]:
            block = block[key]
        block[keys[-1]] = value

    return change


def replaced(name: str, how: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if how == "folder":
            path.mkdir()
        elif how == "dangling":
            path.symlink_to("nowhere")
        elif how == "pipe":
            os.mkfifo(path)
        elif how == "file":
            path.write_bytes(b"\xff\xfe")

    return change


def poisoned(content: dict[str, Any]) -> None:
    next(iter(content["parts"]["networks/G_AB"].values())).fill_(float("nan"))


RECORD = {
    "null": json_is("run.json", "null"),
    "a list": json_is("run.json", "[]"),
    "a number": json_is("run.json", "5"),
    "deep": json_is("run.json", "[" * 50_000),
    "deep objects": json_is("run.json", '{"format":1,"a":' * 5_000 + "1" + "}" * 5_000),
    "no JSON": json_is("run.json", "{"),
    "an endless number": json_is("run.json", f'{{"format": {"1" * 5000}}}'),
    "empty": json_is("run.json", ""),
    "another format": record(format=2),
    "a format that is text": record(format="1"),
    "no data": record(data=...),
    "data that are a list": record(data=[]),
    "channels that are text": record(data__channels={"A": "three", "B": 3}),
    "no channels below 1": record(data__channels={"A": 0, "B": 3}),
    "no fingerprint": record(data__fingerprint=...),
    "ranks that are text": record(ranks="two"),
    "no ranks": record(ranks=...),
    "a length that is a number": record(recipe__training__length=5),
    "a recipe that is text": record(recipe="r.yaml"),
    "results that are a list": record(results=[1]),
    "files that are a list": record(files=["a"]),
    "a file without its hash": record(files={"a.py": {"path": "a.py"}}),
    "plugins that are a list": record(plugins=["a"]),
    "applied that is a number": record(applied=5),
    "applied that names an unknown network": record(applied=["G_XY"]),
    "an end without a step": record(ended={"by": "me"}),
    "an end that is text": record(ended="yes"),
    "bytes that are no text": lambda folder: (folder / "run.json").write_bytes(b"\xff\xfe\x00"),
    "a folder": replaced("run.json", "folder"),
    "a dangling link": replaced("run.json", "dangling"),
}

CHECKPOINT = {
    "no parts": checkpoint(lambda content: content.pop("parts") and None),
    "parts that are a list": checkpoint(assign("parts", value=[])),
    "a part that is a tensor": checkpoint(assign("parts", "networks/G_AB", value=torch.ones(3))),
    "a network that is empty": checkpoint(assign("parts", "networks/G_AB", value={})),
    "a network of numbers": checkpoint(assign("parts", "networks/G_AB", value={"a": 5})),
    "an optimizer that is empty": checkpoint(assign("parts", "optimizers/generators", value={})),
    "an optimizer of text": checkpoint(assign("parts", "optimizers/generators", value={"state": "x", "param_groups": "y"})),
    "an optimizer of lists": checkpoint(assign("parts", "optimizers/generators", value={"state": {}, "param_groups": [5, 6]})),
    "an optimizer whose moments are lists": checkpoint(lambda content: content["parts"]["optimizers/generators"]["state"][0].update(exp_avg=[1.0])),
    "an optimizer whose moments have other shapes": checkpoint(lambda content: content["parts"]["optimizers/generators"]["state"][0].update(exp_avg=torch.ones(2))),
    "an optimizer whose moments are complex": checkpoint(lambda content: content["parts"]["optimizers/generators"]["state"][0].update(exp_avg=content["parts"]["optimizers/generators"]["state"][0]["exp_avg"].to(torch.complex64))),
    "an optimizer that lacks a moment": checkpoint(lambda content: content["parts"]["optimizers/generators"]["state"][1].pop("exp_avg_sq") is None or None),
    "an optimizer whose moments are numbers": checkpoint(lambda content: content["parts"]["optimizers/generators"]["state"][0].update(exp_avg=3)),
    "an optimizer with a rate of text": checkpoint(lambda content: content["parts"]["optimizers/generators"]["param_groups"][0].update(betas="x")),
    "a network without values": checkpoint(lambda content: content["parts"]["networks/G_AB"].update(dict.fromkeys(list(content["parts"]["networks/G_AB"])[:1], torch.ones(2, device="meta")))),
    "a pool of sparse images": checkpoint(assign("rank_parts", value=[{"losses/adversarial": {"pools.D_A": torch.eye(2).to_sparse()}}])),
    "an unknown part": checkpoint(assign("parts", "networks/Z", value={})),
    "parts of ranks that are a tensor": checkpoint(assign("rank_parts", value=torch.ones(2))),
    "no parts of ranks": checkpoint(assign("rank_parts", value=[])),
    "parts of a rank that are text": checkpoint(assign("rank_parts", value=["x"])),
    "a pool of whole numbers": checkpoint(assign("rank_parts", 0, "losses/adversarial", "pools.D_A._extra_state", "images", value=torch.ones(1, 3, 16, 16, dtype=torch.int8))),
    "a pool that is a number": checkpoint(assign("rank_parts", value=[{"losses/adversarial": {"pools.D_A": 5}}])),
    "a step that is text": checkpoint(assign("step", value="four")),
    "a step below 0": checkpoint(assign("step", value=-4)),
    "another step": checkpoint(assign("step", value=7)),
    "a record that is a list": checkpoint(assign("record", value=[])),
    "an end that is text": checkpoint(assign("record", "ended", value="yes")),
    "a list": checkpoint(lambda content: [content]),
    "a tensor": checkpoint(lambda content: torch.ones(3)),
    "another format": checkpoint(assign("format", value=9)),
    "a record without data": checkpoint(lambda content: content["record"].pop("data") and None),
}  # fmt: skip

DAMAGED = {
    "a digest of other bytes": replaced("checkpoints/step-4.pt.sha256", "file"),
    "a digest that is a folder": replaced("checkpoints/step-4.pt.sha256", "folder"),
    "no digest": replaced("checkpoints/step-4.pt.sha256", "nothing"),
    "a checkpoint that is a folder": replaced("checkpoints/step-4.pt", "folder"),
    "a checkpoint that is a dangling link": replaced("checkpoints/step-4.pt", "dangling"),
    "a checkpoint that is a pipe": replaced("checkpoints/step-4.pt", "pipe"),
    "a checkpoint of other bytes": replaced("checkpoints/step-4.pt", "file"),
    "weights that are not finite": checkpoint(poisoned),
}
HARMLESS = {
    "a line of the log without an object": lambda folder: (folder / "metrics.jsonl").write_text("5\n[]\nnull\n{}\n"),
    "a log of other bytes": replaced("metrics.jsonl", "file"),
    "no log": replaced("metrics.jsonl", "nothing"),
    "no samples": replaced("samples", "nothing"),
    "samples that are a dangling link": replaced("samples", "dangling"),
}


@pytest.fixture
def copy(trained: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    return trained[0], Path(shutil.copytree(trained[1], tmp_path / "run"))


def outcome(
    recipe: Path, folder: Path, picture: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, int, str]:
    """The status of applying the run, of continuing it, and all messages."""
    Image.new("RGB", (16, 16)).save(picture)
    out = picture.with_name("translated")
    applied = apply([str(folder), str(picture), "--out", str(out), "--device", "cpu", "--direction", "A-B"])
    longer = ["--set", "training.length=5 steps", *more]
    continued = run([str(recipe), "--out", str(folder), "--device", "cpu", *longer])
    return applied, continued, capsys.readouterr().err


GROUPS = {
    "run.json": (RECORD, ((2, 2), (2, 0)), ()),
    # A part that translations do not use may be wrong.
    "checkpoint": (CHECKPOINT, ((2, 2), (0, 2)), ("step-4.pt",)),
    "damaged": (DAMAGED, ((0, 0),), ("step-2.pt is used", "step-4.pt.damaged; the one before it is used")),
    "harmless": (HARMLESS, ((0, 0),), ()),
}
"""Edits, the statuses of applying the run and of continuing it, and what the messages hold."""


@pytest.mark.parametrize(
    ("edit", "statuses", "phrases"),
    [
        pytest.param(edit, statuses, phrases, id=f"{group}: {name}")
        for group, (edits, statuses, phrases) in GROUPS.items()
        for name, edit in edits.items()
    ],
)
def test_an_edited_run_folder(
    edit: Callable[[Path], None],
    statuses: tuple[tuple[int, int], ...],
    phrases: tuple[str, ...],
    copy: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(copy[1])
    applied, continued, messages = outcome(*copy, tmp_path / "a.png", capsys)
    assert (applied, continued) in statuses, messages
    assert all(phrase in messages for phrase in phrases), messages
    assert "Traceback" not in messages
    assert len(messages) < 3000


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda: {1: torch.ones(2)}, "is not a state_dict: it must map names to tensors, and nothing else"),
        (
            lambda: {"a": torch.eye(2).to_sparse()},
            "holds a tensor that is sparse: a. Save it as an ordinary tensor first",
        ),
        (lambda: {"a": torch.empty(2, device="meta")}, "holds a tensor that is without values (on the meta device): a"),
        (
            lambda: {"a": torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8)},
            "holds a tensor that is quantised: a",
        ),
        (lambda: {"a": torch.ones(2, dtype=torch.complex64)}, "holds a tensor that is complex: a"),
        (lambda: [torch.ones(2)], "is not a state_dict"),
    ],
    ids=["numbers for names", "sparse", "meta", "quantised", "complex", "a list"],
)
def test_weights_that_cannot_be_copied(
    state: Callable[[], Any],
    message: str,
    trained: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.save(state(), tmp_path / "g.pth")
    init = f"generator.init_from={tmp_path / 'g.pth'}"
    assert run([str(trained[0]), "--out", str(tmp_path / "run"), "--device", "cpu", "--set", init]) == 2
    messages = capsys.readouterr().err
    assert message in messages
    assert "Traceback" not in messages
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("name", ["losses.csv", "metrics.jsonl", ".lock"])
def test_a_pipe_in_the_folder(name: str, copy: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    replaced(name, "pipe")(copy[1])
    longer = ["--set", "training.length=5 steps", "--set", "observers.csv={type: csv}"]
    assert run([str(copy[0]), "--out", str(copy[1]), "--device", "cpu", *longer]) == 2
    assert f"{copy[1] / name} is a pipe, not a file: remove it" in capsys.readouterr().err


def test_a_pipe_among_the_embeddings(copy: tuple[Path, Path]) -> None:
    (kept,) = (copy[1] / "embeddings").glob("A,test,*")
    kept.unlink()
    os.mkfifo(kept)
    longer = ["--set", "training.length=5 steps"]
    assert run([str(copy[0]), "--out", str(copy[1]), "--device", "cpu", *longer]) == 0
    assert kept.is_file()


def test_a_folder_that_is_a_link_to_itself(
    copy: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "loop"
    place.symlink_to("loop")
    statuses = [
        run([str(copy[0]), "--device", "cpu", "--dry-run", "--set", f"plugins=[{place / 'a.py'}]"]),
        apply([str(copy[1]), str(place / "a.png"), "--out", str(tmp_path / "out"), "--device", "cpu"]),
        apply([str(copy[1]), str(tmp_path / "a.png"), "--out", str(place), "--device", "cpu"]),
        apply([str(place), str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--device", "cpu"]),
    ]
    messages = capsys.readouterr().err
    assert statuses == [2] * 4, messages
    assert "Traceback" not in messages
