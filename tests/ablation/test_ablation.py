from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY, make_folders, write_small_recipe
from translate_core.ablation import table as ablation_table
from translate_core.ablation.file import parse_ablation
from translate_core.commands.run import main
from translate_core.contracts.observer import Result
from translate_core.recipe.file import read_recipe
from translate_core.recipe.resolver import resolve

PLUGIN = """
import os, signal
from translate_core import Loss, hookimpl

class Trap(Loss):
    '''A loss of 0. Raises or exits at its second call, or sends itself the signal in TRAP_SIGNAL at call TRAP_AT.'''

    def __init__(self, breaks: bool = False, exits: bool = False):
        super().__init__()
        self.breaks, self.exits, self.calls = breaks, exits, 0

    def generator_loss(self, tensors):
        image = tensors["fake_B"]
        if not image.is_meta:
            self.calls += 1
            if self.breaks and self.calls == 2:
                raise RuntimeError("trapped")
            if self.exits and self.calls == 2:
                raise SystemExit(0)
            count = int(os.environ.get("TRAP_CALLS", 0)) + 1
            os.environ["TRAP_CALLS"] = str(count)
            if os.environ.get("TRAP_AT") == str(count):
                os.kill(os.getpid(), int(os.environ["TRAP_SIGNAL"]))
        return {"nothing": image.mean() * 0}

@hookimpl
def register(registry):
    registry.loss("trap", Trap)
"""
METRICS = {
    "kept": {"type": "psnr", "pairs": {"fake_B": "real_A", "fake_A": "real_B"}},
    "cycle": {"type": "ssim", "pairs": {"rec_A": "real_A"}},
    "swd": None,
}
LOSSES = {
    "adversarial": {"type": "lsgan"},
    "cycle": {"type": "cycle", "weight": 10},
    "identity": {"type": "identity", "weight": 5},
    "trap": {"type": "trap"},
}
TWO_BY_TWO = "base: small.yaml\nvary: {losses.identity.weight: [5, 0]}\nseeds: [1, 0]\n"
ORDER = [f"losses.identity.weight={weight}/seed={seed}" for weight in (5, 0) for seed in (1, 0)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the base recipe, its data and its plugin."""
    folder = tmp_path_factory.mktemp("ablation")
    (folder / "trap.py").write_text(PLUGIN)
    training = {"length": "3 steps", "workers": 0, "checkpoint_every": "1 step", "sample_every": None}
    write_small_recipe(
        folder / "small.yaml",
        make_folders(folder / "data"),
        losses=LOSSES,
        metrics=METRICS,
        training=training,
        plugins=["trap.py"],
        observers={"tensorboard": None, "progress": None},
    )
    return folder


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    """The ablation's folder after a run without interruption."""
    (place / "two.yaml").write_text(TWO_BY_TWO)
    assert main([str(place / "two.yaml"), "--out", str(place / "two"), "--device", "cpu"]) == 0
    return place / "two"


def ablation(place: Path, name: str, text: str) -> Path:
    path = place / f"{name}.yaml"
    path.write_text(text)
    return path


def run(path: Path, *arguments: str) -> int:
    return main([str(path), "--out", str(path.with_suffix("")), "--device", "cpu", *arguments])


def results(run_folder: Path) -> dict[str, float]:
    content = json.loads((run_folder / "results.json").read_text())
    return {f"{item['direction']} {item['name']}": item["value"] for item in content["results"]}


def table_of(folder: Path) -> list[list[str]]:
    lines = [line for line in (folder / "table.md").read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def csv_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def checkpoint_times(folder: Path) -> dict[str, int]:
    return {path.parent.parent.name: path.stat().st_mtime_ns for path in folder.rglob("step-3.pt")}


# The table


def test_every_variant_is_trained_in_its_own_folder(trained: Path) -> None:
    found = sorted(path.parent.relative_to(trained).as_posix() for path in trained.rglob("run.json"))
    assert found == sorted(ORDER)
    for name in ORDER:
        recipe = json.loads((trained / name / "run.json").read_text())["recipe"]
        weight, seed = recipe["losses"]["identity"]["weight"], recipe["training"]["seed"]
        assert name == f"losses.identity.weight={weight:g}/seed={seed}"


def test_the_table_has_mean_and_deviation_in_the_order_of_the_file(trained: Path) -> None:
    header, rule, *rows = table_of(trained)
    columns = ["A-B kept/fake_B", "A-B cycle/rec_A", "B-A kept/fake_A"]
    assert header == ["losses.identity.weight", "seeds", *columns]
    assert [cell.endswith(":") for cell in rule] == [False, False, True, True, True]
    assert [row[:2] for row in rows] == [["5", "2"], ["0", "2"]]
    for index, column in enumerate(columns):
        values = {w: [results(trained / f"losses.identity.weight={w}/seed={s}")[column] for s in (1, 0)] for w in "50"}
        means = {weight: sum(pair) / 2 for weight, pair in values.items()}
        digits = 2 if "kept" in column else 5  # about 11 dB, about 0.03
        for row in rows:
            first, second = values[row[0]]
            mean = f"{means[row[0]]:.{digits}f}"
            shown = f"**{mean}**" if means[row[0]] == max(means.values()) else mean
            assert row[2 + index] == f"{shown} ± {abs(first - second) / 2**0.5:.{digits}f}"


def test_the_csv_has_full_precision(trained: Path) -> None:
    for row in csv_of(trained):
        values = [results(trained / row["variant"] / f"seed={seed}")["A-B kept/fake_B"] for seed in (1, 0)]
        assert float(row["A-B kept/fake_B mean"]) == statistics.fmean(values)
        assert float(row["A-B kept/fake_B std"]) == statistics.stdev(values)
        assert (row["A-B kept/fake_B n"], row["seeds"]) == ("2", "2")


def test_the_table_has_the_protocol_of_each_column(trained: Path) -> None:
    text = (trained / "table.md").read_text()
    assert (
        "\n- A-B kept/fake_B (higher is better): fake_B against real_A on all 3 test images of A at 24×24, "
        "weights as trained. PSNR in dB" in text
    )
    assert text.count("\n- ") == 3


def result(value: float, higher: bool = True, on: str = "some") -> Result:
    return Result("m/x", value, "A-B", higher, on, "how")


def table(*rows: dict[int, Any]) -> list[str]:
    return ablation_table.markdown(
        [ablation_table.Row(f"k={index}", {"k": index}, seeds) for index, seeds in enumerate(rows)]
    ).splitlines()


def test_the_lowest_is_best_where_lower_is_better() -> None:
    lines = table({0: [result(3.0, False)]}, {0: [result(2.0, False)]}, {0: [result(float("nan"), False)]})
    assert lines[:5] == [
        "| k   | seeds |   A-B m/x |",
        "| --- | ----- | --------: |",
        "| 0   | 1     |     3.000 |",
        "| 1   | 1     | **2.000** |",
        "| 2   | 1     |       nan |",
    ]
    assert "- A-B m/x (lower is better): some. how." in lines


def test_seeds_without_results_are_named() -> None:
    lines = table({0: [result(10)], 1: "failed", 2: [result(20)]}, {0: "unfinished", 1: "not begun", 2: "not begun"})
    assert [cell.strip() for cell in lines[2].split("|")[1:4]] == ["0", "2 of 3: seed 1 failed", "15.00 ± 7.07"]
    assert [cell.strip() for cell in lines[3].split("|")[1:4]] == [
        "1",
        "0 of 3: seed 0 unfinished, seed 1 not begun, seed 2 not begun",
        "–",
    ]


def test_a_column_with_two_protocols_has_a_note_for_each() -> None:
    lines = table({0: [result(10, on="some")]}, {0: [result(20, on="others")]})
    assert lines[-2:] == [
        "- A-B m/x (higher is better) of k=0: some. how.",
        "- A-B m/x (higher is better) of k=1: others. how.",
    ]


# Continuing


def test_the_same_command_again_trains_nothing(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, text = checkpoint_times(trained), (trained / "table.md").read_text()
    (trained / "table.md").unlink()
    assert run(trained.with_suffix(".yaml")) == 0
    printed = capsys.readouterr()
    assert checkpoint_times(trained) == before
    assert (trained / "table.md").read_text() == text == printed.out
    assert [line for line in printed.err.splitlines() if "finished already" in line] == [
        f"{name} is finished already" for name in ORDER
    ]


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)],
    ids=["ctrl_c", "kill"],
)
def test_it_continues_where_it_was_stopped(
    place: Path, trained: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped in the second step of the third of four runs of three steps."""
    path = ablation(place, f"stopped_{number.name}", TWO_BY_TWO)
    out = path.with_suffix("")
    command = ["-m", "translate_core.run", str(path), "--out", str(out), "--device", "cpu"]
    trap = {"TRAP_AT": "8", "TRAP_SIGNAL": str(int(number)), "TRAP_CALLS": "0"}
    stopped = subprocess.run([sys.executable, *command], env={**os.environ, **trap}, capture_output=True, text=True)
    assert stopped.returncode == (-9 if number == signal.SIGKILL else 130), stopped.stderr
    assert len(checkpoint_times(out)) == 2
    if number != signal.SIGKILL:
        assert "Traceback" not in stopped.stderr
        assert stopped.stderr.endswith(
            "stopped after step 2 of 3; saved. To continue, run the same command again:\n"
            f"  translate-run {path} --out {out} --device cpu\n"
            f"2 of 4 runs are finished; the table so far: {out / 'table.md'}\n"
        )
        assert [row[1] for row in table_of(out)[2:]] == ["2", "0 of 2: seed 1 unfinished, seed 0 not begun"]
        assert csv_of(out)[1]["A-B kept/fake_B n"] == "0"

    before = {name: (out / name / "checkpoints" / "step-3.pt").stat().st_mtime_ns for name in ORDER[:2]}
    assert run(path) == 0
    after = {name: (out / name / "checkpoints" / "step-3.pt").stat().st_mtime_ns for name in ORDER[:2]}
    assert after == before
    printed = capsys.readouterr().err
    for name in ORDER[:2]:
        assert f"{name} is finished already" in printed
    assert f"continuing {out / ORDER[2]} after step {1 if number == signal.SIGKILL else 2} of 3" in printed
    assert (out / "table.csv").read_bytes() == (trained / "table.csv").read_bytes()


def test_fresh_moves_the_old_folder_aside(place: Path, trained: Path) -> None:
    path = ablation(place, "fresh", TWO_BY_TWO)
    shutil.copytree(trained, path.with_suffix(""))
    (trained_once := path.with_suffix("") / ORDER[0] / "results.json").unlink()
    assert run(path, "--fresh", "--set", "training.length=1 step") == 0
    assert (place / "fresh.1" / ORDER[1] / "results.json").exists()
    assert json.loads(trained_once.read_text())["step"] == 1


def test_a_longer_run_continues(place: Path, trained: Path) -> None:
    path = ablation(place, "longer", TWO_BY_TWO)
    shutil.copytree(trained, path.with_suffix(""))
    assert run(path, "--set", "training.length=4 steps") == 0
    assert (path.with_suffix("") / ORDER[0] / "checkpoints" / "step-4.pt").exists()


def test_other_result_keys_are_refused_before_anything_is_trained(
    place: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trained.with_suffix(".yaml")
    assert run(path, "--set", "losses.cycle.weight=3") == 2
    assert capsys.readouterr().err.splitlines()[-4:] == [
        f"translate-run: {trained / ORDER[0]} holds a run of another recipe:",
        "  losses.cycle.weight: 10.0 there, 3.0 now",
        "Choose another folder with --out, or start again here with --fresh (the old run is moved aside)",
        "3 more runs of this ablation differ too",
    ]


def test_a_folder_with_other_files_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = ablation(place, "elsewhere", TWO_BY_TWO)
    path.with_suffix("").mkdir()
    (path.with_suffix("") / "run.json").write_text("{}")
    assert run(path) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"translate-run: {path.with_suffix('')} holds files that are not an ablation's (run.json); choose another --out"
    )


# Failures


def test_a_variant_that_fails_does_not_stop_the_others(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = ablation(place, "breaks", "base: small.yaml\nvary: {losses.trap.breaks: [true, false]}\n")
    out = path.with_suffix("")
    assert run(path) == 2
    printed = capsys.readouterr()
    error = out / "losses.trap.breaks=true" / "seed=0.error.txt"
    what = "loss 'trap' of plugin trap.py failed in generator_loss: RuntimeError: trapped (trap.py, line "
    assert "1 of 2 runs failed; the same command tries them again\n" in printed.err
    assert f"  losses.trap.breaks=true/seed=0: {what}" in printed.err
    assert printed.err.endswith(f"    {error}\n")
    assert "Traceback" not in printed.err
    assert error.read_text().startswith(what)
    assert "RuntimeError: trapped" in (error.parent / "seed=0" / "errors.log").read_text()
    assert [row[:2] for row in table_of(out)[2:]] == [["true", "0 of 1: seed 0 failed"], ["false", "1"]]
    assert printed.out == (out / "table.md").read_text()


def test_a_variant_that_exits_does_not_stop_the_others(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = ablation(place, "exits", "base: small.yaml\nvary: {losses.trap.exits: [true, false]}\n")
    assert run(path) == 2
    assert "1 of 2 runs failed" in capsys.readouterr().err
    text = (path.with_suffix("") / "losses.trap.exits=true" / "seed=0.error.txt").read_text()
    line = PLUGIN.splitlines().index("                raise SystemExit(0)") + 1
    assert text.startswith(
        "loss 'trap' of plugin trap.py failed in generator_loss: it tried to end the program with SystemExit(0) "
        f"(trap.py, line {line}): it must raise an error instead\n"
    )
    assert [row[:2] for row in table_of(path.with_suffix(""))[2:]] == [
        ["true", "0 of 1: seed 0 failed"],
        ["false", "1"],
    ]


def test_a_variant_that_diverges_is_the_users_fault(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = ablation(place, "diverges", "base: small.yaml\nvary: {optimizer.lr: [1e30, 1e-4]}\n")
    out = path.with_suffix("")
    assert run(path) == 2
    err = capsys.readouterr().err
    assert "1 of 2 runs failed; the same command tries them again\n  optimizer.lr=1e+30/seed=0: training has div" in err
    text = (out / "optimizer.lr=1e+30" / "seed=0.error.txt").read_text()
    assert text.startswith("training has diverged: at step 2 a weight of G_AB, ")
    assert csv_of(out)[1]["A-B kept/fake_B n"] == "1"


# Reading

FAULTS = {
    "vary: {losses.identity.weight: [0, 5]}": (
        "base", "is missing: give the path of the recipe to vary, relative to this file: ../recipe.yaml"),
    "base: 3\nvary: {losses.identity.weight: [0, 5]}": (
        "base", "must be a path, not 3: give the path of the recipe to vary, relative to this file: ../recipe.yaml"),
    "base: smal.yaml\nvary: {losses.identity.weight: [0, 5]}": (
        "base", "there is no file {place}/smal.yaml, did you mean 'small.yaml'?"),
    "base: two.yaml\nvary: {losses.identity.weight: [0, 5]}": (
        "base", "{place}/two.yaml is an ablation itself; give the recipe that it varies"),
    "base: small.yaml": (
        "vary", "is missing: give keys with lists of values, such as {{optimizer.lr: [1e-4, 2e-4]}}"),
    "base: small.yaml\nvary: [losses]": (
        "vary", "must not be [losses]: give keys with lists of values, such as {{optimizer.lr: [1e-4, 2e-4]}}"),
    "base: small.yaml\nvary: {losses: {identity: {weight: [0, 5]}}}": (
        "vary.losses", "must be a list of values to try, not {{identity: {{weight: [0, 5]}}}}; keys are dotted"),
    "base: small.yaml\nvary: {losses..weight: [0, 5]}": (
        "vary.losses..weight", "must be a dotted key, such as optimizer.lr"),
    "base: small.yaml\nvary: {losses.identity.weight: [0, 5, 0.0]}": ("vary.losses.identity.weight", "has 0.0 twice"),
    "base: small.yaml\nvary: {data.root: [a/b, a-b]}": (
        "vary.data.root", "'a/b' and 'a-b' would share the folder data.root=a-b; write one of them differently"),
    "base: small.yaml\nvary: {training.seed: [0, 1]}\nseeds: [0]": (
        "vary.training.seed", "'training.seed' cannot be set here: `seeds` gives the values of training.seed. "
        "Keep one of the two"),
    "base: small.yaml\nvary: {losses.identity.weight: [0], losses.identity: [null]}": (
        "vary.losses.identity",
        "'losses.identity' cannot be set here: `vary` gives the values of losses.identity.weight. "
        "Keep one of the two"),
    "base: small.yaml\nvary: {data.root.x: [0]}": (
        "vary.data.root.x", "'data.root.x' cannot be set: data.root is '{place}/data', not a block"),
    "base: small.yaml\nvary: {losses.cycle.weight: [0]}\nseeds: [0, 0]": ("seeds", "has a seed twice: [0, 0]"),
    "base: small.yaml\nvary: {losses.cycle.weight: [0]}\nseeds: 3": (
        "seeds", "must be a list of whole numbers of at least 0, not 3"),
    "base: small.yaml\nvary: {losses.cycle.weight: [1]}\nseeds: [true]": (
        "seeds", "must be a list of whole numbers of at least 0, not [true]"),
    "base: small.yaml\nvary: {losses.cycle.weight: [1]}\nseeds: [0]\ntraining: {seed: 3, length: 1 step}": (
        "training.seed", "'training.seed' cannot be set here: `seeds` gives the values of training.seed. "
        "Keep one of the two"),
    "base: small.yaml\nvary: {losses.cycle.weight: [1, 2]}\nlosses.cycle: {type: cycle}": (
        "losses.cycle", "'losses.cycle' cannot be set here: `vary` gives the values of losses.cycle.weight. "
        "Keep one of the two"),
}  # fmt: skip


@pytest.mark.parametrize("text", FAULTS)
def test_faults(place: Path, trained: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = ablation(place, "faulty", text)
    where, message = FAULTS[text]
    assert run(path) == 2
    assert capsys.readouterr().err == (
        f"translate-run: ablation {path} has 1 fault\n  {where}  {message.format(place=place)}\n"
    )
    assert not path.with_suffix("").exists()


def test_all_faults_are_reported_at_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = ablation(place, "faults", "base: none.yaml\nvary: {a.b: 3}\nseeds: []\n")
    assert run(path, "--set", "seeds=[0]", "--set", "nonsense") == 2
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()[1:]] == [
        "base",
        "vary.a.b",
        "seeds",
        "--set",
        "--set",
    ]


@pytest.mark.parametrize("setting", ["losses.identity.weight=1", "losses.identity={type: identity}", "training.seed=4"])
def test_a_varied_key_cannot_be_set(trained: Path, capsys: pytest.CaptureFixture[str], setting: str) -> None:
    assert run(trained.with_suffix(".yaml"), "--set", setting) == 2
    key = setting.partition("=")[0]
    setter, other = ("seeds", key) if "seed" in key else ("vary", "losses.identity.weight")
    assert capsys.readouterr().err.splitlines()[1] == (
        f"  --set  '{key}' cannot be set here: `{setter}` gives the values of {other}. Keep one of the two"
    )


def test_every_variant_is_validated_before_the_first_starts(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault of one recipe, a fault that needs the data, and a fault of all variants; nothing is trained."""
    text = "base: small.yaml\nvary: {generator.blocks: [1, -1], data.transform.crop: [24, 400]}\nschedule.constnt: 3\n"
    path = ablation(place, "invalid", text)
    assert run(path) == 2
    err = capsys.readouterr().err
    assert "\n  schedule.constnt" in err
    assert err.count("schedule.constnt") == 1
    assert err.count("generator.blocks=-1: generator.blocks") == 2
    assert not path.with_suffix("").exists()

    path.write_text("base: small.yaml\nvary: {generator.blocks: [1, -1], data.transform.crop: [24, 400]}\n")
    assert run(path) == 2
    err = capsys.readouterr().err
    assert f"ablation {path} has" in err
    assert "data.transform.crop=400,generator.blocks=1: " in err
    assert "data.transform.crop=24,generator.blocks=1: " not in err


def test_a_dry_run_shows_the_runs_and_trains_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "base: small.yaml\nvary: {generator: [{type: resnet, blocks: 1, width: 4}, {type: unet, downs: 2, width: 4}]}\n"
    )
    path = ablation(place, "dry", text + "training.seed: 7\n")
    out = path.with_suffix("")
    assert run(path, "--dry-run") == 0
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["generator", "seed", "steps", "parameters", "run folder", "state"]
    assert [row[0] for row in rows[2:]] == [
        "{type: resnet, blocks: 1, width: 4}",
        "{type: unet, downs: 2, width: 4}",
    ]
    assert rows[2][1:3] == ["7", "3"]
    assert rows[2][3] != rows[3][3]
    assert rows[2][4:] == [str(out / "generator.blocks=1,generator.type=resnet,generator.width=4/seed=7"), "not begun"]
    assert not out.exists()


def test_other_keys_change_the_base(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block changes keys of the base's block, or replaces it with a `type`; `--set` is part of the folder's name."""
    text = (
        "base: small.yaml\nvary: {losses.identity.weight: [0]}\n"
        "training: {length: 1 step}\ngenerator: {type: unet, downs: 2, width: 4}\nlosses.trap: null\n"
    )
    path = ablation(place, "other", text)
    monkeypatch.chdir(place)
    assert main([str(path), "--device", "cpu", "--set", "losses.cycle.weight=2", "--set", "training.workers=0"]) == 0
    folder = place / "runs" / "other,losses.cycle.weight=2" / "losses.identity.weight=0" / "seed=0"
    recipe = json.loads((folder / "run.json").read_text())["recipe"]
    assert (recipe["training"]["length"], recipe["training"]["checkpoint_every"]) == ("1 step", "1 step")
    assert recipe["generator"]["type"] == "unet"
    assert recipe["losses"]["cycle"]["weight"] == 2
    assert "trap" not in recipe["losses"]
    assert (folder / "results.json").exists()


def test_a_table_without_metrics_is_warned_of(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "base: small.yaml\nvary: {losses.identity.weight: [0]}\nmetrics: {kept: null, cycle: null, swd: null}\n"
    assert run(ablation(place, "unmeasured", text), "--dry-run") == 0
    assert (
        "warning: no metric can be computed on the test images of losses.identity.weight=0, "
        "so the table stays empty there; see `metrics:`" in capsys.readouterr().err
    )


SHIPPED = sorted(path.stem for path in (REPOSITORY / "recipes" / "ablations").glob("*.yaml"))
assert SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_ablations_resolve(place: Path, name: str) -> None:
    path = REPOSITORY / "recipes" / "ablations" / f"{name}.yaml"
    assert f"translate-run recipes/ablations/{name}.yaml" in path.read_text()
    for variant in parse_ablation(path, read_recipe(path)).variants:
        assert resolve(path, variant.recipe).metrics
