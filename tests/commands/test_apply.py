from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.plugins.made_images import ONLY_8_BITS, colour_png_of_16_bits
from tests.tiny_runs import PLUGIN, train
from translate_core import Translator
from translate_core.commands.apply import main
from translate_core.errors import Interrupted
from translate_core.runtime import progress
from translate_plugins.generators.resnet import ResNet

MODES = {"a.png": "RGB", "b.JPG": "RGB", "deep/c.tif": "L", "deep/d.webp": "RGBA", "e.bmp": "P"}
SIZES = {"a.png": (20, 12), "b.JPG": (1, 1), "deep/c.tif": (3, 50), "deep/d.webp": (33, 17), "e.bmp": (16, 16)}
KINDS = ".bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("applied"), training={"length": "4 steps"})


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Five images of five kinds, one of them in a sub-folder, and files that are not images."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "inputs"
    for name, mode in MODES.items():
        width, height = SIZES[name]
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode).save(path)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def translate(*arguments: Any) -> int:
    return main([*map(str, arguments), "--device", "cpu"])


def written(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


class TestWriting:
    def test_every_image_of_a_folder_at_its_own_size_under_its_name(
        self, run: Path, inputs: Path, out: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert translate(run, inputs, "--out", out) == 0
        assert written(out) == {"a.png", "b.png", "deep/c.png", "deep/d.png", "e.png"}
        for name, size in SIZES.items():
            with Image.open((out / name).with_suffix(".png")) as image:
                assert (image.size, image.mode, image.format) == (size, "RGB", "PNG")
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err == (
            f"translating 5 images A-B on cpu, with {run} after step 4 (it has A-B, B-A: choose with --direction)\n"
            f"done: {out}\n"
        )

    def test_what_the_translator_gives(self, run: Path, inputs: Path, out: Path) -> None:
        arguments = ("--direction", "B-A", "--checkpoint", "2")
        assert translate(run, inputs / "deep/d.webp", "--out", out / "new", *arguments) == 0
        translator = Translator.load(run, checkpoint=2, device="cpu")
        with Image.open(inputs / "deep/d.webp") as source, Image.open(out / "new/d.png") as target:
            assert (np.asarray(translator.translate(source, "B-A")) == np.asarray(target)).all()

    def test_one_image_in_a_direction_that_was_asked_for(
        self, run: Path, inputs: Path, out: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert translate(run, inputs / "a.png", "--out", out, "--direction", "B-A") == 0
        assert capsys.readouterr().err == (f"translating 1 image B-A on cpu, with {run} after step 4\ndone: {out}\n")

    def test_existing_outputs_are_replaced_whole(self, run: Path, inputs: Path, out: Path) -> None:
        out.mkdir()
        (out / "a.png").write_text("old")
        assert translate(run, inputs / "a.png", "--out", out) == 0
        with Image.open(out / "a.png") as image:
            image.load()
        assert written(out) == {"a.png"}

    def test_one_file_named_twice_is_translated_once(
        self, run: Path, inputs: Path, out: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert translate(run, inputs, inputs / "a.png", "--out", out) == 0
        assert "translating 5 images" in capsys.readouterr().err

    def test_results_inside_an_input_folder_are_no_input(self, run: Path, inputs: Path) -> None:
        out = inputs / "results"
        for _ in range(2):
            assert translate(run, inputs, "--out", out) == 0
        assert written(out) == {"a.png", "b.png", "deep/c.png", "deep/d.png", "e.png"}

    def test_a_file_of_another_ending_is_tried(self, run: Path, inputs: Path, out: Path) -> None:
        (inputs / "a.png").rename(inputs / "photo.v2")
        assert translate(run, inputs / "photo.v2", "--out", out) == 0
        assert written(out) == {"photo.png"}

    def test_lines_elsewhere_when_it_takes_long(
        self, run: Path, inputs: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(progress, "LINE", 0.0)
        assert translate(run, inputs / "deep", "--out", out) == 0
        assert capsys.readouterr().err.splitlines()[1:] == [
            "translating 1/2 images  –:––:–– left",
            "translating 2/2 images  0:00:00 left",
            f"done: {out}",
        ]


class TestWhatCannotBeTranslated:
    def test_is_named_at_the_end_and_the_others_are_translated(
        self, run: Path, inputs: Path, out: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (inputs / "a.png").write_bytes(b"")
        (inputs / "deep/c.tif").write_bytes(b"no image")
        (inputs / "broken.png").symlink_to("nowhere")
        (inputs / "bits.png").write_bytes(colour_png_of_16_bits(np.full((20, 12, 3), 4000)))
        (inputs / "endless.png").symlink_to("/dev/zero")
        os.mkfifo(inputs / "pipe.png")
        assert translate(run, inputs, "--out", out) == 2
        assert written(out) == {"b.png", "deep/d.png", "e.png"}
        assert capsys.readouterr().err.splitlines()[1:] == [
            "translate-apply: 6 of 9 images could not be translated",
            f"  {inputs}/a.png: is empty (0 bytes)",
            f"  {inputs}/bits.png: the image holds 16-bit values within 3840 … 4095, of which Pillow reads the upper 8 "
            f"bits; {ONLY_8_BITS}",
            f"  {inputs}/broken.png: cannot be read: {os.strerror(errno.ENOENT)}",
            f"  {inputs}/deep/c.tif: is not an image, or of a format that Pillow cannot read",
            f"  {inputs}/endless.png: is a device, not a file",
            f"  {inputs}/pipe.png: is a pipe, not a file",
        ]

    def test_an_image_above_the_limit(
        self, run: Path, inputs: Path, out: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        limited = [run, inputs, "--out", out, "--max-pixels", "400"]
        assert translate(*limited) == 2
        message = (
            "deep/d.webp: is 17 × 33 (height × width), 561 pixels; the limit is 400: make it smaller or cut it into "
            "pieces, or, if you trust the file, raise the limit with --max-pixels 561"
        )
        messages = capsys.readouterr().err
        assert message in messages
        assert "1 of 5 images could not be translated" in messages
        assert len(written(out)) == 4
        assert translate(*limited[:-1], "561") == 0

    @pytest.mark.parametrize("number", ["0", "-5", "many"])
    def test_a_limit_that_is_not_a_number_above_zero(
        self, number: str, run: Path, inputs: Path, out: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            translate(run, inputs, "--out", out, f"--max-pixels={number}")
        assert ended.value.code == 2
        assert "--max-pixels" in capsys.readouterr().err

    def test_for_lack_of_memory_is_named_too(
        self, run: Path, inputs: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        forward = ResNet.forward

        def limited(self: ResNet, x: torch.Tensor) -> torch.Tensor:
            if x.shape[-1] > 32:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
            return forward(self, x)

        monkeypatch.setattr(ResNet, "forward", limited)
        assert translate(run, inputs, "--out", out) == 2
        assert written(out) == {"a.png", "b.png", "deep/c.png", "e.png"}
        assert capsys.readouterr().err.splitlines()[1:] == [
            "translate-apply: 1 of 5 images could not be translated",
            f"  {inputs}/deep/d.webp: cpu has too little memory for an image of 33×17: "
            f"use another device, or a smaller image",
        ]

    def test_an_interrupt_leaves_nothing_half_written(
        self, run: Path, inputs: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def interrupted(self: Image.Image, path: Path, format: str) -> None:
            path.write_text("half")
            raise Interrupted

        monkeypatch.setattr(Image.Image, "save", interrupted)
        assert translate(run, inputs, "--out", out) == 130
        assert written(out) == set()
        assert capsys.readouterr().err.splitlines()[1:] == ["translate-apply: interrupted"]

    def test_a_place_that_cannot_be_written_to(
        self, run: Path, inputs: Path, out: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (out / "a.png").mkdir(parents=True)
        assert translate(run, inputs / "a.png", "--out", out) == 2
        assert list(out.iterdir()) == [out / "a.png"]
        assert capsys.readouterr().err.splitlines()[1:] == [
            f"translate-apply: {out}/a.png cannot be written: {os.strerror(errno.EISDIR)}"
        ]


class TestFaults:
    """Nothing is written, and one message states the reason."""

    @pytest.fixture
    def fault(self, out: Path, capsys: pytest.CaptureFixture[str]) -> Any:
        def run_and_read(*arguments: Any) -> str:
            assert translate(*arguments) == 2
            assert not out.exists() or written(out) == set()
            captured = capsys.readouterr()
            assert captured.out == ""
            return captured.err

        return run_and_read

    def test_inputs_that_are_not_there(
        self, run: Path, inputs: Path, out: Path, fault: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (inputs / "empty").mkdir()
        monkeypatch.chdir(inputs)
        assert fault(run, "a.png", "a.pgn", "empty", "--out", out) == (
            f"translate-apply: what to translate has 2 faults\n"
            f"  a.pgn  does not exist, did you mean 'a.png'?\n"
            f"  empty  holds no images: no {KINDS} files\n"
        )

    def test_two_inputs_for_one_output(
        self, run: Path, inputs: Path, out: Path, fault: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Image.new("RGB", (8, 8)).save(inputs / "a.jpg")
        monkeypatch.chdir(inputs.parent)
        assert fault(run, "inputs", "--out", "out") == (
            "translate-apply: what to translate has 1 fault\n"
            "  inputs/a.png  would be written to out/a.png, and so would inputs/a.jpg: rename one\n"
        )

    @pytest.mark.parametrize("place", ["", "deep"])
    def test_an_output_over_an_input(
        self, run: Path, inputs: Path, place: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (inputs / "deep/c.tif").rename(inputs / "deep/c.png")
        before = {path: path.read_bytes() for path in inputs.rglob("*") if path.is_file()}
        out = inputs / place
        assert translate(run, out, "--out", out / ".." / out.name) == 2
        name = "c.png" if place else "a.png"
        assert capsys.readouterr().err == (
            f"translate-apply: what to translate has 1 fault\n"
            f"  --out  {out}/../{out.name}/{name} is an input, and would be overwritten: choose another folder\n"
        )
        assert {path: path.read_bytes() for path in inputs.rglob("*") if path.is_file()} == before

    def test_an_output_that_is_a_file(self, run: Path, inputs: Path, out: Path, fault: Any) -> None:
        out.write_text("mine")
        assert fault(run, inputs, "--out", out) == (
            f"translate-apply: what to translate has 1 fault\n  --out  {out} is a file, not a folder\n"
        )
        assert out.read_text() == "mine"

    @pytest.mark.parametrize("place", [".", "translated", "samples/new"])
    def test_an_output_in_a_run_folder(self, run: Path, inputs: Path, place: str, capsys: Any) -> None:
        before = sorted(run.rglob("*"))
        assert translate(run, inputs, "--out", run / place) == 2
        assert capsys.readouterr().err == (
            f"translate-apply: what to translate has 1 fault\n"
            f"  --out  {run / place} lies in the run folder {run}, whose files only training writes: choose another\n"
        )
        assert sorted(run.rglob("*")) == before

    def test_a_run_that_is_not_there(self, run: Path, inputs: Path, out: Path, fault: Any) -> None:
        wrong = run.with_name("ran")
        assert fault(wrong, inputs, "--out", out) == (
            f"translate-apply: there is no run folder {wrong}, did you mean 'run'?\n"
        )

    def test_a_direction_that_the_run_does_not_have(self, run: Path, inputs: Path, out: Path, fault: Any) -> None:
        assert fault(run, inputs, "--out", out, "--direction", "b-A") == (
            "translate-apply: there is no direction 'b-A', did you mean 'B-A'? The run has: A-B, B-A\n"
        )

    def test_a_checkpoint_that_is_not_there(self, run: Path, inputs: Path, out: Path, fault: Any) -> None:
        assert fault(run, inputs, "--out", out, "--checkpoint", "3") == (
            "translate-apply: there is no checkpoint step-3. The run has: step-4, step-2\n"
        )

    def test_a_run_with_somebody_elses_code(
        self, inputs: Path, out: Path, tmp_path: Path, fault: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "mine.py").write_text(PLUGIN)
        run = train(tmp_path, plugins=["mine.py"], generator={"type": "mine"}, training={"length": "1 steps"})
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
        message = fault(run, inputs, "--out", out)
        assert f"loading this run would execute code that it names: {run}/plugins/mine.py. It is not" in message
        assert translate(run, inputs, "--out", out, "--trust") == 0

    def test_a_command_that_lacks_something(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            main([str(run), "image.png"])
        assert caught.value.code == 2
        assert "the following arguments are required: --out" in capsys.readouterr().err

    def test_the_command_itself_has_the_exit_status(self, run: Path, out: Path, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "translate_core.apply", str(run), "nothing.png", "--out", str(out)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == ("translate-apply: what to translate has 1 fault\n  nothing.png  does not exist.\n")


class TestPairs:
    """A run that was trained on pairs side by side."""

    @pytest.fixture(scope="class")
    @classmethod
    def run(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("pairs")
        for name in ("train", "test"):
            (folder / "pairs" / name).mkdir(parents=True)
            for number in range(2):
                pixels = np.random.default_rng(number).integers(0, 256, (32, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "pairs" / name / f"{number}.png")
        data = {"type": "paired_side_by_side", "root": str(folder / "pairs"), "left": "B", "transform": {"crop": 32}}
        return train(folder, data=data, training={"length": "1 steps", "checkpoint_every": "1 steps"})

    @pytest.fixture
    def pairs(self, run: Path) -> Path:
        return run.parent / "pairs" / "test"

    def test_the_user_must_say_what_the_files_hold(self, run: Path, pairs: Path, out: Path, capsys: Any) -> None:
        assert translate(run, pairs, "--out", out) == 2
        message = capsys.readouterr().err
        assert "this run was trained on files that hold several images (paired_side_by_side)" in message
        assert "Add --files pairs to translate one half of such files, or --files images" in message

    def test_of_pairs_the_half_of_the_source_domain_is_translated(self, run: Path, pairs: Path, out: Path) -> None:
        for direction, right in (("A-B", True), ("B-A", False)):
            assert translate(run, pairs, "--out", out, "--files", "pairs", "--direction", direction) == 0
            translator = Translator.load(run, device="cpu")
            for name in ("0.png", "1.png"):
                half = Image.open(pairs / name).crop((32, 0, 64, 32) if right else (0, 0, 32, 32))
                assert Image.open(out / name).tobytes() == translator.translate(half, direction).tobytes()

    def test_whole_images(self, run: Path, pairs: Path, out: Path) -> None:
        assert translate(run, pairs, "--out", out, "--files", "images") == 0
        assert Image.open(out / "0.png").size == (64, 32)

    def test_a_file_that_is_not_a_pair(self, run: Path, out: Path, tmp_path: Path, capsys: Any) -> None:
        Image.new("RGB", (31, 20)).save(tmp_path / "odd.png")
        assert translate(run, tmp_path / "odd.png", "--out", out, "--files", "pairs") == 2
        assert "an odd width has no two halves" in capsys.readouterr().err
        assert not out.exists()


def test_pairs_of_a_run_that_was_trained_on_single_images(run: Path, inputs: Path, out: Path, capsys: Any) -> None:
    assert translate(run, inputs, "--out", out, "--files", "pairs") == 2
    message = capsys.readouterr().err
    assert "was trained on files that hold one image each (unpaired_folders): leave --files out" in message
