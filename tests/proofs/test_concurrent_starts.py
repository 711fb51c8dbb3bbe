"""Many processes that start at once: in one run folder exactly one trains; runs of their own share one download."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.campaigns.kills import RECIPE, Server, archive, start
from tests.campaigns.rule import Ended, half_written
from tests.proofs.test_resume import differences
from tests.proofs.test_start_stop import logged, state

MANY = [6, pytest.param(24, marks=pytest.mark.slow)]
"""Processes that start at once."""
STEPS = 6
WAIT = """
import os, time
from translate_core import Observer, hookimpl

class Wait(Observer):
    def __init__(self, file: str) -> None:
        self.file = file

    def on_step(self, step: int) -> None:
        while not os.path.exists(self.file):
            time.sleep(0.02)

@hookimpl
def register(registry):
    registry.observer("wait", Wait)
"""


def waited_for(process: int, log: Path) -> Ended:
    _, status = os.waitpid(process, 0)
    return Ended("translate-run", os.waitstatus_to_exitcode(status), log.read_text(errors="replace"))


def write(folder: Path) -> list[str]:
    """A recipe whose run waits in its first step until the file `go` exists; the command."""
    (folder / "wait.py").write_text(WAIT)
    recipe = {
        **RECIPE,
        "plugins": ["wait.py"],
        "observers": {**RECIPE["observers"], "wait": {"type": "wait", "file": str(folder / "go")}},
        "training": {**RECIPE["training"], "length": f"{STEPS} steps", "log_every": "1 steps"},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    return ["run", str(folder / "recipe.yaml"), "--device", "cpu", "--out"]


def losses(out: Path) -> list[dict[str, Any]]:
    return [row for row in logged(out) if row["kind"] == "losses"]


def refused(ended: Sequence[Ended], out: Path) -> list[str]:
    """What is not as it should be of processes that did not get the folder."""
    message = re.escape(f"translate-run: another process is at work in {out}") + (
        r"( \(process \d+ on [\w.-]+\))?; wait for it, or choose another --out"
    )
    return [
        *(text for item in ended for text in item.broken(["another process"], allowed=(2,))),
        *(item.printed for item in ended if not re.fullmatch(message, item.printed.splitlines()[-1])),
    ]


@pytest.mark.parametrize("starters", MANY)
@pytest.mark.parametrize("before", ["nothing", "a run of 2 steps", pytest.param("--fresh", marks=pytest.mark.slow)])
def test_one_of_many_trains(before: str, starters: int, tmp_path: Path) -> None:
    command, out = write(tmp_path), tmp_path / "run"
    go = tmp_path / "go"
    go.touch()
    whole = waited_for(start([*command, str(tmp_path / "whole")], tmp_path / "log"), tmp_path / "log")
    assert whole.status == 0, whole.printed
    if before != "nothing":
        shorter = [*command, str(out), "--set", "training.length=2 steps"]
        assert waited_for(start(shorter, tmp_path / "log"), tmp_path / "log").status == 0
    go.unlink()
    more = ["--fresh"] if before == "--fresh" else []
    logs = {
        start([*command, str(out), *more], tmp_path / f"{number}.log"): tmp_path / f"{number}.log"
        for number in range(starters)
    }
    ended = []
    for _ in range(starters - 1):  # the one that trains waits
        process, status = os.wait()
        ended.append(Ended("translate-run", os.waitstatus_to_exitcode(status), logs.pop(process).read_text()))
    assert refused(ended, out) == []
    go.touch()
    ((process, log),) = logs.items()
    trained = waited_for(process, log)
    assert trained.status == 0, trained.printed
    assert differences(state(tmp_path / "whole", STEPS), state(out, STEPS)) == []
    assert losses(out) == losses(tmp_path / "whole")
    assert half_written(tmp_path) == []
    aside = [path.name for path in tmp_path.glob("run.*")]
    assert aside == (["run.1"] if before == "--fresh" else [])


@pytest.mark.parametrize("starters", MANY)
def test_many_runs_share_one_download(starters: int, tmp_path: Path) -> None:
    server = Server(archive())
    Thread(target=server.serve_forever, daemon=True).start()
    root = tmp_path / "data" / "images"
    url = f"http://127.0.0.1:{server.server_port}/a.zip"
    recipe = {
        **RECIPE,
        "data": {
            "type": "unpaired_folders",
            "root": str(root),
            "download": {"url": url},
            "transform": {"resize": 16},
        },
        "training": {**RECIPE["training"], "length": "1 steps"},
        "metrics": {},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    command = ["run", str(tmp_path / "recipe.yaml"), "--device", "cpu", "--out"]
    logs = {
        start([*command, str(tmp_path / f"run-{number}")], tmp_path / f"{number}.log"): tmp_path / f"{number}.log"
        for number in range(starters)
    }
    ended = [waited_for(process, log) for process, log in logs.items()]
    server.shutdown()
    assert Counter(item.status for item in ended) == {0: starters}, "\n".join(item.printed for item in ended)
    assert server.requests == 1
    assert [path.name for path in root.parent.iterdir()] == ["images"], "nothing is left beside the set"
    assert half_written(tmp_path) == []
    results = [(tmp_path / f"run-{number}" / "weights" / "G_AB.safetensors").read_bytes() for number in range(starters)]
    assert len(set(results)) == 1
