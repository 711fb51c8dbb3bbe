from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageDraw
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils._pytree import tree_leaves

from tests.conftest import make_folders, write_small_recipe
from translate_core.commands.run import main
from translate_core.contracts.observer import Observer, Result, RunInfo, Sample
from translate_core.runtime import progress as display
from translate_core.training.trainer import Trainer
from translate_plugins.observers import progress
from translate_plugins.observers.grid import draw_grids
from translate_plugins.observers.metrics_log import MetricsLog
from translate_plugins.observers.samples import Samples
from translate_plugins.observers.tensorboard import TensorBoard

STEPS = 8
TRAINING = {
    "length": f"{STEPS} steps",
    "workers": 0,
    "log_every": "1 steps",
    "checkpoint_every": "4 steps",
    "sample_every": "3 steps",
    "samples": 2,
    "evaluate_every": "5 steps",
}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
METRICS = {"rec": {"type": "psnr", "pairs": {"rec_A": "real_A", "rec_B": "real_B"}}, "swd": None}

MISHAP = """
import os, signal
from translate_core import Observer, hookimpl

class Mishap(Observer):
    def __init__(self, step: int = 0, marker: str = "", what: str = "kill"):
        self.at, self.marker, self.what = step, marker, what

    def on_start(self, run):
        self.on_step(0)

    def on_step(self, step: int) -> None:
        if step != self.at or os.path.exists(self.marker):
            return
        open(self.marker, "w").close()
        if self.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "Ctrl-C":  # twice: the second one ends the run at once
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError

@hookimpl
def register(registry):
    registry.observer("mishap", Mishap)
"""


def write(folder: Path, **blocks: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "mishap.py").write_text(MISHAP)
    data = folder / "data"
    if not data.exists():
        make_folders(data)
    same_size = {"type": "unpaired_folders", "root": str(data), "transform": {"flip": True}}
    defaults = {"data": same_size, "training": TRAINING, "metrics": METRICS, "plugins": ["mishap.py"]}
    return write_small_recipe(folder / "small.yaml", data, **{**defaults, **blocks})


def train(recipe: Path, out: Path, *more: str) -> int:
    return main([str(recipe), "--out", str(out), "--device", "cpu", *more])


def command(recipe: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "translate_core.run", str(recipe), "--out", str(out), "--device", "cpu", *more]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 8 steps without interruption."""
    folder = tmp_path_factory.mktemp("unbroken")
    assert train(write(folder), folder / "run") == 0
    return folder / "run"


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, killed in step 7 after a checkpoint at step 4, and resumed."""
    folder = tmp_path_factory.mktemp("resumed")
    mishap = {"type": "mishap", "step": 7, "marker": str(folder / "happened")}
    recipe, out = write(folder, observers={"mishap": mishap}), folder / "run"
    killed = subprocess.run(command(recipe, out), capture_output=True, check=False, timeout=120, env=ENVIRONMENT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert logged(out)[-1]["step"] == 6
    with (out / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 7, "epo')
    time.sleep(1.1)  # the names of event files contain seconds, and determine their order
    assert train(recipe, out) == 0
    return out


def logged(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


# The log


def test_the_log_holds_losses_rates_and_results(unbroken: Path) -> None:
    rows = logged(unbroken)
    losses = [row for row in rows if row["kind"] == "losses"]
    assert [(row["step"], row["epoch"]) for row in losses] == [(n, (n - 1) // 6 + 1) for n in range(1, STEPS + 1)]
    for row in losses:
        assert {"adversarial", "adversarial/discriminators", "cycle", "cycle/rec_A", "identity"} <= row["losses"].keys()
        assert row["losses"]["cycle"] == pytest.approx(row["losses"]["cycle/rec_A"] + row["losses"]["cycle/rec_B"])
        assert row["learning_rates"].keys() == {"generators", "discriminators"}
    assert losses[0]["learning_rates"]["generators"] == 2e-4 > losses[-1]["learning_rates"]["generators"]
    evaluations = [row for row in rows if row["kind"] == "evaluation"]
    assert [row["step"] for row in evaluations] == [5, 8]
    first = evaluations[0]["results"][0]
    assert (first["name"], first["direction"], first["higher_is_better"]) == ("rec/rec_A", "A-B", True)
    assert 0 < first["value"] < 100
    assert "all 3 test images of A" in first["on"]
    assert first["protocol"].startswith("PSNR")
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


def test_the_log_of_a_resumed_run_equals_that_of_an_uninterrupted_one(unbroken: Path, resumed: Path) -> None:
    def timeless(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in row.items() if key != "seconds"}

    assert list(map(timeless, logged(resumed))) == list(map(timeless, logged(unbroken)))
    seconds = [row["seconds"] for row in logged(resumed)]
    assert seconds == sorted(seconds), "the time of the first session was forgotten"


def run_info(folder: Path, **values: Any) -> RunInfo:
    given = {"name": "x", "folder": folder, "recipe": {}, "start": 0, "length": 100, "epoch": 10, "images_per_step": 4}
    return RunInfo(**{**given, **values})


@pytest.mark.parametrize(("start", "kept"), [(0, []), (2, [1, 2, 2]), (9, [1, 2, 2, 3])])
def test_the_log_is_cut_where_a_session_starts(start: int, kept: list[int], tmp_path: Path) -> None:
    lines = [f'{{"step": {step}, "seconds": {step * 10}}}\n' for step in (1, 2, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(lines) + '{"step": 1, "sec')
    log = MetricsLog()
    log.on_start(run_info(tmp_path, start=start))
    assert [row["step"] for row in logged(tmp_path)] == kept
    log.on_losses(start + 1, {"a": 1.0}, {})
    last = logged(tmp_path)[-1]  # before the file is closed
    assert (last["step"], last["losses"]) == (start + 1, {"a": 1.0})
    assert last["seconds"] >= 10 * max(kept, default=0)
    log.on_stop(start + 1, finished=False)
    assert [item.name for item in tmp_path.iterdir()] == ["metrics.jsonl"]


# TensorBoard


def events(out: Path) -> EventAccumulator:
    found = EventAccumulator(str(out / "tensorboard"), size_guidance={"scalars": 0, "images": 0, TENSORS: 0})
    return found.Reload()


def test_tensorboard_shows_every_number_picture_and_the_recipe(unbroken: Path) -> None:
    found, rows = events(unbroken), logged(unbroken)
    expected: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name, value in row.get("losses", {}).items():
            expected.setdefault(f"loss/{name}", []).append((row["step"], value))
        for side, value in row.get("learning_rates", {}).items():
            expected.setdefault(f"learning_rate/{side}", []).append((row["step"], value))
        for result in row.get("results", []):
            tag = f"test/{result['direction']}/{result['name']}"
            expected.setdefault(tag, []).append((row["step"], result["value"]))
    assert {"loss/adversarial", "loss/cycle", "loss/identity", "test/B-A/rec/rec_B"} <= expected.keys()
    assert set(found.Tags()["scalars"]) == expected.keys()
    for tag, points in expected.items():
        assert [item.step for item in found.Scalars(tag)] == [step for step, _ in points]
        assert [item.value for item in found.Scalars(tag)] == pytest.approx([value for _, value in points], rel=1e-6)
    assert set(found.Tags()["images"]) == {"samples/A-B", "samples/B-A"}
    for shown in found.Images("samples/A-B"):
        picture = Image.open(io.BytesIO(shown.encoded_image_string))
        drawn = Image.open(unbroken / "samples" / f"step-{shown.step:07}-A-B.png")
        assert np.array_equal(np.asarray(picture), np.asarray(drawn))
    (text,) = found.Tensors("recipe/text_summary")
    assert "type: cyclegan" in text.tensor_proto.string_val[0].decode()
    assert "keep_checkpoints: 3" in text.tensor_proto.string_val[0].decode(), "defaults are filled in"


def test_tensorboard_shows_no_step_twice_after_a_resume(unbroken: Path, resumed: Path) -> None:
    assert len(list((resumed / "tensorboard").iterdir())) == 2
    once, twice = events(unbroken), events(resumed)
    assert set(twice.Tags()["scalars"]) == set(once.Tags()["scalars"])
    for tag in once.Tags()["scalars"]:
        points = [[(item.step, item.value) for item in found.Scalars(tag)] for found in (once, twice)]
        assert points[0] == points[1]
    for tag in once.Tags()["images"]:
        assert [item.step for item in twice.Images(tag)] == [3, 6, 8]


def test_tensorboard_writes_events_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = RecordWriter.write

    def slow(writer: RecordWriter, data: bytes) -> None:
        time.sleep(0.05)  # a thread of TensorBoard writes, and has to be waited for
        plain(writer, data)

    monkeypatch.setattr(RecordWriter, "write", slow)
    board = TensorBoard()
    board.on_start(run_info(tmp_path))
    board.on_losses(1, {"cycle": 0.5}, {})
    assert [item.step for item in events(tmp_path).Scalars("loss/cycle")] == [1]
    board.on_evaluation(1, [Result("psnr/fake_B", 12.0, "A-B", True, "", "")])
    assert [item.step for item in events(tmp_path).Scalars("test/A-B/psnr/fake_B")] == [1]
    board.on_samples(1, [sample("one.png", (8, 8), "real_A")])
    assert [item.step for item in events(tmp_path).Images("samples/A-B")] == [1]
    board.on_stop(1, finished=False)


# Sample grids


def places(grid: npt.NDArray[np.uint8], panel: npt.NDArray[np.uint8], tolerance: int = 0) -> list[tuple[int, int]]:
    """(left, top) of every position of the panel in the grid, with values equal up to `tolerance`."""
    height, width = panel.shape[:2]
    rows, wanted = grid.astype(np.int16), panel.astype(np.int16)
    starts = np.lib.stride_tricks.sliding_window_view(rows, (1, 9, 3))[:, :, 0, 0]
    found = np.argwhere((np.abs(starts - wanted[0, :9]) <= tolerance).all(axis=(-1, -2)))
    inside = [(x, y) for y, x in found.tolist() if y + height <= len(rows) and x + width <= rows.shape[1]]
    return [(x, y) for x, y in inside if np.abs(rows[y : y + height, x : x + width] - wanted).max() <= tolerance]


def enlarged(picture: npt.NDArray[np.uint8], zoom: int) -> npt.NDArray[np.uint8]:
    return picture.repeat(zoom, axis=0).repeat(zoom, axis=1)


def test_sample_files_sort_by_step(unbroken: Path) -> None:
    names = sorted(path.name for path in (unbroken / "samples").iterdir())
    assert names == [f"step-{n:07}-{direction}.png" for n in (3, 6, 8) for direction in ("A-B", "B-A")]


def test_the_first_column_shows_the_test_images(unbroken: Path) -> None:
    for direction, domain in (("A-B", "testA"), ("B-A", "testB")):
        grid = np.asarray(Image.open(unbroken / "samples" / f"step-0000008-{direction}.png"))
        found = []
        for name in ("0.png", "1.png"):
            picture = np.asarray(Image.open(unbroken.parent / "data" / domain / name))
            # From 8 bits to [-1, 1] and back, which truncates.
            found += places(grid, enlarged(picture, 4), tolerance=1)
        assert len(found) == 2
        (left, top), (left_below, below) = found
        assert left == left_below < 20
        assert below >= top + 128
        assert grid.shape[1] > left + 4 * 128, "real, fake, reconstructed and identity stand side by side"


def sample(image: str, sides: tuple[int, int], *labels: str) -> Sample:
    rng = torch.Generator().manual_seed(sum(map(ord, image)))
    return Sample(
        "A-B",
        image,
        {label: torch.randint(0, 256, (3, *sides), generator=rng, dtype=torch.uint8) for label in labels},
    )


@pytest.mark.parametrize(("side", "zoom"), [(24, 6), (64, 2), (128, 1), (256, 1)])
def test_a_panel_is_the_picture_below_its_labels(side: int, zoom: int, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[tuple[float, float], str]] = []
    plain = ImageDraw.ImageDraw.text

    def text(draw: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, *rest: Any, **more: Any) -> None:
        written.append((xy, text))
        plain(draw, xy, text, *rest, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    labels = {"real_A": "real", "fake_B": "fake", "rec_A": "reconstructed", "idt_A": "identity", "mask": ""}
    rows = [sample("one.png", (side, side), *labels), sample("two.png", (side, side), *labels, "target_B")]
    ((direction, image),) = draw_grids(1200, rows)
    grid = np.asarray(image)
    assert direction == "A-B"
    at = {text: xy for xy, text in written}
    tops = []
    for row in rows:
        lefts = []
        for label, picture in row.pictures.items():
            ((left, top),) = places(grid, enlarged(picture.permute(1, 2, 0).numpy(), zoom))
            word = {**labels, "target_B": "target"}[label]
            if word:
                assert at[word][0] == left
                assert at[word][1] < at[label][1] < top
            assert at[label][0] == left
            lefts.append(left)
            tops.append(top)
        assert lefts == sorted(set(lefts))
        assert tops[-1] + zoom * side < at[row.image][1], "the name of the image is below its row"
    assert max(tops) > at["one.png"][1]
    assert any("A-B" in text and "1200" in text for text in at)


def test_a_picture_that_cannot_be_written_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: Image.Image, path: Path, format: str) -> None:
        path.write_bytes(b"the beginning")
        raise OSError("no space left")

    samples = Samples()
    samples.on_start(run_info(tmp_path))
    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="no space left"):
        samples.on_samples(1, [sample("one.png", (8, 8), "real_A")])
    assert list((tmp_path / "samples").iterdir()) == []


def test_large_pictures_are_reduced() -> None:
    picture = torch.full((3, 1100, 600), 77, dtype=torch.uint8)
    ((_, image),) = draw_grids(1, [Sample("A-B", "x" * 300, {"real_A": picture})])
    assert places(np.asarray(image), np.full((366, 200, 3), 77, np.uint8))
    assert image.width < 300, "a long name is cut, the grid is not widened"


def test_each_direction_has_its_own_grid() -> None:
    other = Sample("B-A", "b.png", sample("b.png", (32, 32), "real_B").pictures)
    grids = dict(draw_grids(1, [sample("a.png", (32, 32), "real_A"), other]))
    assert list(grids) == ["A-B", "B-A"]
    panel = enlarged(other.pictures["real_B"].permute(1, 2, 0).numpy(), 4)
    assert [len(places(np.asarray(grid), panel)) for grid in grids.values()] == [0, 1]


# Progress


class Clock:
    """A clock that is set by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


LOSSES = {"adversarial": 0.5, "adversarial/D_A": 0.1, "adversarial/discriminators": 0.25, "cycle": 123.456}
RATES = {"generators": 1e-4, "discriminators": 1e-4}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(display, "time", clock)
    return clock


def run_steps(observer: Observer, clock: Clock, steps: range, seconds: float) -> None:
    for step in steps:
        clock.now += seconds
        observer.on_step(step)
        observer.on_losses(step, LOSSES, RATES)


def test_plain_lines_come_every_ten_seconds(clock: Clock, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    watched = progress.Progress()
    watched.on_start(run_info(tmp_path, start=20))
    clock.now += 300  # compiling
    run_steps(watched, clock, range(21, 81), 1.0)
    watched.on_stop(80, finished=False)
    lines = capsys.readouterr().err.splitlines()
    assert [int(line.split()[1].partition("/")[0]) for line in lines] == [21, 31, 41, 51, 61, 71, 80]
    assert lines[0].startswith("step  21/100  epoch  3/10  ")
    words = "step 80/100 epoch 8/10 4.0 images/s 0:00:20 left"
    assert lines[-1].split() == f"{words} adversarial 0.5000 adversarial/discriminators 0.2500 cycle 123.5".split()


def test_pauses_count_for_the_time_left_but_not_for_the_images_per_second(
    clock: Clock, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    watched = progress.Progress()
    watched.on_start(run_info(tmp_path))
    run_steps(watched, clock, range(1, 51), 2.0)
    clock.now += 100
    watched.on_evaluation(50, [])
    run_steps(watched, clock, range(51, 52), 2.0)
    watched.on_stop(51, finished=False)
    last = capsys.readouterr().err.splitlines()[-1]
    assert "  2.0 images/s" in last
    assert "0:03:16 left" in last, "49 steps at 4 s, pauses included"


def test_results_are_lines_with_their_direction(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    watched = progress.Progress()
    watched.on_start(run_info(tmp_path))
    up, down = (Result(name, 12.3456, "A-B", up, "", "") for name, up in (("psnr/fake_B", True), ("[fid]", False)))
    watched.on_evaluation(50, [up, down])
    assert capsys.readouterr().err.splitlines() == [
        "test metrics after step 50: A-B  psnr/fake_B  12.35 ↑",
        "test metrics after step 50: A-B  [fid]        12.35 ↓",
    ]


def test_a_run_without_a_terminal_prints_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(write(tmp_path), tmp_path / "run") == 0
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("step ")]
    assert lines[0].startswith("step 1/8  epoch 1/2  ")
    assert lines[-1].startswith("step 8/8  epoch 2/2  ")
    for word in (" images/s", " left", "  adversarial ", "  cycle ", "  identity "):
        assert word in lines[-1]
    assert "test metrics after step 8: A-B  rec/rec_A  " in captured.err
    assert captured.out == ""
    assert "\x1b" not in captured.err


@pytest.fixture
def terminal() -> Iterator[tuple[int, Callable[[], str]]]:
    """A terminal: the descriptor to write to, and a function that returns its output so far."""
    master, slave = pty.openpty()
    seen = bytearray()

    def read() -> None:
        while True:
            try:
                seen.extend(os.read(master, 4096))
            except OSError:
                return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()

    def shown() -> str:
        return seen.decode(errors="replace")

    yield slave, shown
    os.close(slave)
    reader.join(10)
    os.close(master)


def check_left_clean(shown: str) -> None:
    assert "\x1b[?25l" in shown, "the bar was never drawn"
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor stays hidden"
    assert not re.search(r"\nstep +\d", shown), "plain lines on a terminal"


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_terminal_shows_a_bar(interrupted: bool, tmp_path: Path, terminal: tuple[int, Callable[[], str]]) -> None:
    slave, shown = terminal
    length = 100000 if interrupted else STEPS
    process = subprocess.Popen(
        command(write(tmp_path), tmp_path / "run", "--set", f"training.length={length} steps"),
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**ENVIRONMENT, "TERM": "xterm", "COLUMNS": "100"},
    )
    if interrupted:
        while "cycle " not in shown():
            assert process.poll() is None, shown()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == (130 if interrupted else 0), shown()
    assert out == b""
    seen = shown()
    check_left_clean(seen)
    bar = [line for line in seen.split("\n") if "━" in line and "images/s" in line][-1]
    step = int(bar.partition(f"/{length}")[0].split()[-1].rpartition("m")[2])
    for word in (f"{step}/{length}", "epoch", " images/s", " left"):
        assert word in bar
    assert "adversarial " in seen
    assert interrupted or "test metrics after step 5" in seen
    end = seen.rpartition("images/s")[2]
    assert (f"stopped after step {step} of {length}; saved." if interrupted else "done: ") in end


@pytest.mark.parametrize(
    ("what", "step", "status"),
    [("Ctrl-C", 3, 130), ("raises", 3, 2), ("raises", 0, 2), ("diverged", 3, 2), ("defect", 3, 1)],
)
def test_the_terminal_is_restored_after_every_kind_of_end(
    what: str,
    step: int,
    status: int,
    tmp_path: Path,
    terminal: tuple[int, Callable[[], str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slave, shown = terminal
    options: Mapping[str, Any] = {"type": "mishap", "step": step, "marker": str(tmp_path / "happened"), "what": what}
    recipe = write(tmp_path, observers={"mishap": options})
    monkeypatch.setenv("TERM", "xterm")
    with open(os.dup(slave), "w", encoding="utf-8") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        changes = ["--set", "observers.mishap=null", "--set", "optimizer.lr=1e30"] if what == "diverged" else []
        if what == "defect":
            monkeypatch.setattr(Trainer, "save", None)
            changes = ["--set", "observers.mishap=null"]
        assert train(recipe, tmp_path / "run", *changes) == status
        assert sys.stderr is stderr
        stderr.write("the end\n")
    while "the end" not in shown():
        time.sleep(0.01)
    check_left_clean(shown())


# All observers


def test_observers_change_nothing(tmp_path: Path) -> None:
    generator = {"type": "resnet", "blocks": 1, "width": 4, "dropout": 0.5}
    recipe = write(tmp_path, generator=generator, training={**TRAINING, "sample_every": "1 steps", "ema": 0.9})
    none = "observers={progress: null, tensorboard: null, samples: null, metrics_log: null}"
    assert train(recipe, tmp_path / "watched") == 0
    assert train(recipe, tmp_path / "alone", "--set", none) == 0
    assert {item.name for item in (tmp_path / "watched").iterdir()} - {
        item.name for item in (tmp_path / "alone").iterdir()
    } == {"metrics.jsonl", "samples", "tensorboard"}
    watched, alone = (
        tree_leaves([content["parts"], content["rank_parts"]])
        for name in ("watched", "alone")
        for content in [torch.load(tmp_path / name / "checkpoints" / f"step-{STEPS}.pt", weights_only=True)]
    )
    assert len(watched) == len(alone) > 50
    for left, right in zip(watched, alone, strict=True):
        assert torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right
