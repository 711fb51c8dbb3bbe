"""The observer that writes CSV files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from translate_core import Result, RunInfo
from translate_core.commands.run import main
from translate_plugins.observers.csv_files import CSVFiles

RATES = {"generators": 1e-4, "critic": 2e-4}


def started(folder: Path, start: int = 0) -> CSVFiles:
    observer = CSVFiles()
    observer.on_start(RunInfo("x", folder, {}, start, 100, 10, 1))
    return observer


def parsed(path: Path) -> list[list[str]]:
    """The records of a file by the grammar of RFC 4180, section 2, read character by character; nothing else passes."""
    text = path.read_bytes().decode("utf-8")
    records: list[list[str]] = [[]]
    place = 0
    while place < len(text):
        field = ""
        if text[place] == '"':
            place += 1
            while text[place] != '"' or text[place + 1] == '"':
                place += 2 if text[place] == '"' else 1
                field += text[place - 1]
            place += 1
        else:
            while text[place] not in ",\r":
                assert text[place] not in '"\n', "a field with this character must be quoted"
                field += text[place]
                place += 1
        records[-1].append(field)
        if text[place] == ",":
            place += 1
        else:
            assert text[place : place + 2] == "\r\n"
            place += 2
            records.append([])
    assert records.pop() == [], "the last line does not end"
    assert len({len(record) for record in records}) == 1, "records of different lengths"
    return records


def test_losses(tmp_path: Path) -> None:
    observer = started(tmp_path)
    observer.on_losses(10, {"cycle": 0.1, "cycle/rec_A": 1 / 3}, RATES)
    observer.on_losses(11, {"cycle": 2.0, "cycle/rec_A": 1e-30}, RATES)
    header, *rows = parsed(tmp_path / "losses.csv")
    assert header == [
        "step", "epoch", "loss/cycle", "loss/cycle/rec_A", "learning_rate/generators", "learning_rate/critic"
    ]  # fmt: skip
    assert [list(map(float, row)) for row in rows] == [[10, 1, 0.1, 1 / 3, 1e-4, 2e-4], [11, 2, 2.0, 1e-30, 1e-4, 2e-4]]
    assert not (tmp_path / "metrics.csv").exists()


def test_a_column_that_appears_later(tmp_path: Path) -> None:
    observer = started(tmp_path)
    observer.on_losses(1, {"a": 1.0, "b": 2.0}, {})
    observer.on_losses(2, {"b": 3.0}, {})
    observer.on_losses(3, {"late": 4.0, "a": 5.0}, {})
    observer.on_losses(4, {"a": 6.0, "later": 7.0}, {"side": 8.0})
    assert parsed(tmp_path / "losses.csv") == [
        ["step", "epoch", "loss/a", "loss/b", "loss/late", "loss/later", "learning_rate/side"],
        ["1", "1", "1.0", "2.0", "", "", ""],
        ["2", "1", "", "3.0", "", "", ""],
        ["3", "1", "5.0", "", "4.0", "", ""],
        ["4", "1", "6.0", "", "", "7.0", "8.0"],
    ]


def test_metrics_with_commas_quotes_and_other_scripts(tmp_path: Path) -> None:
    observer = started(tmp_path)
    observer.on_evaluation(5, [])
    assert not (tmp_path / "metrics.csv").exists()
    on = 'fake_B, "as trained"\r\non 3 images'
    results = [
        Result("psnr/fake_B", 21.5, "A-B", True, on, "10·log₁₀(…)"),
        Result("d", float("nan"), "é", False, "", ""),
    ]
    observer.on_evaluation(15, results)
    assert parsed(tmp_path / "metrics.csv") == [
        ["step", "epoch", "direction", "name", "value", "higher_is_better", "on", "protocol"],
        ["15", "2", "A-B", "psnr/fake_B", "21.5", "True", 'fake_B, "as trained" on 3 images', "10·log₁₀(…)"],
        ["15", "2", "é", "d", "nan", "False", "", ""],
    ]


def session(folder: Path, start: int, stop: int) -> None:
    """Losses at each step, the loss `late` from step 3 and `later` from step 5; two metrics at each even step."""
    observer = started(folder, start)
    for step in range(start + 1, stop + 1):
        late = {name: float(step) for name, first in (("late", 3), ("later", 5)) if step >= first}
        observer.on_losses(step, {"a": 1.0, **late}, {"side": 0.1})
        if step % 2 == 0:
            observer.on_evaluation(step, [Result(name, step / 2, "A-B", True, "all, of", "p") for name in ("m", "n")])
    observer.on_stop(stop, False)


@pytest.mark.parametrize("checkpoint", range(7))
@pytest.mark.parametrize("cut", [0, 1, 2, 7])
def test_a_resumed_run_has_the_files_of_an_uninterrupted_one(checkpoint: int, cut: int, tmp_path: Path) -> None:
    """Interrupted after step 6, in the middle of a line (`cut` bytes are missing), and resumed from a checkpoint."""
    for name in ("whole", "resumed"):
        (tmp_path / name).mkdir()
    session(tmp_path / "whole", 0, 9)
    session(tmp_path / "resumed", 0, 6)
    if cut and checkpoint < 6:
        for path in (tmp_path / "resumed").iterdir():
            path.write_bytes(path.read_bytes()[:-cut])
    session(tmp_path / "resumed", checkpoint, 9)
    for name in ("losses.csv", "metrics.csv"):
        assert parsed(tmp_path / "resumed" / name) == parsed(tmp_path / "whole" / name)


def test_a_session_without_steps_keeps_the_rows(tmp_path: Path) -> None:
    session(tmp_path, 0, 4)
    before = (tmp_path / "losses.csv").read_bytes()
    started(tmp_path, 4)
    assert (tmp_path / "losses.csv").read_bytes() == before
    started(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


def test_the_files_of_a_run(write_recipe: Callable[..., Path], folders: Path, tmp_path: Path) -> None:
    """They have the values of metrics.jsonl, also when the run is continued."""
    pairs = {"fake_B": "real_A", "fake_A": "real_B"}
    training: dict[str, Any] = {"workers": 0, "log_every": "1 steps", "evaluate_every": "2 steps", "sample_every": None}
    recipe = write_recipe(
        data={"type": "unpaired_folders", "root": str(folders), "transform": {"crop": 24}},
        metrics={"psnr": {"type": "psnr", "pairs": pairs}, "swd": None},
        observers={"csv": {"type": "csv"}, "progress": None, "tensorboard": None},
        training={"length": "3 steps", **training},
    )
    command = [str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert main(command) == 0
    assert main([*command, "--set", "training.length=5 steps"]) == 0
    logged = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    header, *rows = parsed(tmp_path / "run" / "losses.csv")
    assert [dict(zip(header, map(float, row), strict=True)) for row in rows] == [
        {
            "step": row["step"],
            "epoch": row["epoch"],
            **{f"loss/{name}": value for name, value in row["losses"].items()},
            **{f"learning_rate/{side}": rate for side, rate in row["learning_rates"].items()},
        }
        for row in logged
        if row["kind"] == "losses"
    ]
    assert len(rows) == 5
    header, *rows = parsed(tmp_path / "run" / "metrics.csv")
    results = [(row["step"], result) for row in logged if row["kind"] == "evaluation" for result in row["results"]]
    assert [(int(row[0]), row[header.index("name")], float(row[header.index("value")])) for row in rows] == [
        (step, result["name"], result["value"]) for step, result in results
    ]
    assert [row[header.index("protocol")] for row in rows] == [result["protocol"] for _, result in results]
    assert len(rows) == 8
