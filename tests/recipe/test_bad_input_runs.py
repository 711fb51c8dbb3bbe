"""Faults of weights, data, run folders and checkpoints: the exact messages of the command."""

# ruff: noqa: E501 - a message stands on one line, as the user reads it

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.recipe.faults import RECIPE, indented, printed
from tests.reduced import make_images
from translate_core.commands.run import main
from translate_plugins.generators.resnet import ResNet

# Weights


class Opens:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, ("pwned", "w")


def _objects(path: Path) -> None:
    torch.save({"model": Opens()}, path)


def _bare_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Opens()))


def _truncated(path: Path) -> None:
    torch.save(ResNet(3, 3, blocks=1, width=4).state_dict(), path)
    path.write_bytes(path.read_bytes()[:3000])


def _with_other_names(path: Path) -> None:
    torch.save({"model.1.weight": torch.zeros(3, 3), "head": torch.zeros(2)}, path)


def _of_grey_images(path: Path) -> None:
    torch.save(ResNet(1, 1, blocks=1, width=4).state_dict(), path)


_OPTIONS = ". The options of the network (blocks, width, norm, dropout …) must be those that it was trained with"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no file w.pth"),
        (Path.mkdir, "w.pth is a folder, not a file"),
        (_objects, "w.pth holds Python objects beside tensors; it is refused because loading it could execute code"),
        (
            _bare_pickle,
            "w.pth holds Python objects beside tensors; it is refused because loading it could execute code",
        ),
        (_truncated, "w.pth is not a file of weights, or it is damaged"),
        (lambda path: path.write_bytes(b""), "w.pth is not a file of weights, or it is damaged"),
        (lambda path: path.write_bytes(b"abc"), "w.pth is not a file of weights, or it is damaged"),
        (
            lambda path: torch.save([1, 2], path),
            "w.pth is not a state_dict: it must map names to tensors, and nothing else",
        ),
        (
            _with_other_names,
            "w.pth does not fit G_AB: of 16 tensors, 15 missing (model.1.bias, model.4.weight, model.4.bias, …); "
            "1 not in the network (head); 1 of another shape (model.1.weight: 3×3 in the file, 4×3×7×7 in the network)"
            + _OPTIONS,
        ),
        (
            _of_grey_images,
            "w.pth does not fit G_AB: of 16 tensors, 3 of another shape (model.1.weight: 4×1×7×7 in the file, 4×3×7×7 "
            "in the network, model.18.weight: 1×4×7×7 in the file, 3×4×7×7 in the network, model.18.bias: 1 in the file, "
            "3 in the network)" + _OPTIONS,
        ),
    ],
    ids=[
        "missing",
        "a folder",
        "objects",
        "a bare pickle",
        "truncated",
        "empty",
        "junk",
        "a list",
        "another layout",
        "other channels",
    ],
)
def test_weights(make: Callable[[Path], object], message: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(place / "w.pth")
    faults = f"recipe r.yaml has 1 fault\n  networks.G_AB.init_from  {message}"
    assert printed(capsys, "r.yaml", "--set", "networks={G_AB: {init_from: w.pth}}") == (
        2,
        f"translate-run: {faults}\n",
    )
    assert not (place / "pwned").exists()


def test_faults_of_shared_weights_are_reported_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = "translate-run: recipe r.yaml has 1 fault\n  generator.init_from  there is no file w.pth\n"
    assert printed(capsys, "r.yaml", "--set", "generator.init_from=w.pth") == (2, expected)


# Data


def _without_train_b(root: Path) -> None:
    shutil.rmtree(root / "trainB")


def _with_an_empty_folder(root: Path) -> None:
    for file in (root / "trainB").iterdir():
        file.unlink()


def _with_broken_images(root: Path) -> None:
    (root / "trainA" / "1.png").write_bytes(b"no image")
    (root / "testB" / "0.png").write_bytes(b"")


@pytest.mark.parametrize(
    ("make", "messages"),
    [
        (
            shutil.rmtree,
            [
                "mine  does not exist. The current folder is {here}. "
                "Set data.root to the folder that holds trainA and trainB, or set data.download"
            ],
        ),
        (_without_train_b, ["mine/trainB  does not exist. mine holds: testA, testB, trainA"]),
        (
            _with_an_empty_folder,
            ["mine/trainB  holds no images; it needs jpg, jpeg, png, webp, bmp, tif or tiff files"],
        ),
        (
            _with_broken_images,
            [
                "mine/trainA/1.png  is not an image, or of a format that Pillow cannot read",
                "mine/testB/0.png   is empty (0 bytes)",
            ],
        ),
    ],
    ids=["missing", "no trainB", "an empty folder", "unreadable images"],
)
def test_data(
    make: Callable[[Path], object],
    messages: list[str],
    images: Path,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(images, place / "mine")
    make(place / "mine")
    faults = indented("\n".join(messages)).format(here=place)
    expected = f"translate-run: dataset mine has {len(messages)} fault{'s' if len(messages) > 1 else ''}\n{faults}\n"
    assert printed(capsys, "r.yaml", "--set", "data.root=mine") == (2, expected)
    assert not (place / "runs").exists()


# Run folders and checkpoints


@pytest.fixture(scope="module")
def trained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps with checkpoints at steps 2, 4 and 6."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("r.yaml").write_text(RECIPE)
        Path("data").symlink_to(images)
        assert main(["r.yaml", "--out", "run"]) == 0
    return folder / "run"


@pytest.fixture
def run(trained: Path, place: Path) -> Path:
    """A copy of the trained run, beside the recipe."""
    shutil.copytree(trained, place / "run")
    return place / "run"


def _contents(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}


_DAMAGED = "is damaged: its SHA-256 differs from the recorded one. It is now step-{0}.pt.damaged"


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    os.truncate(path, 1000)


@pytest.mark.parametrize("damage", [_flip, _truncate, _bare_pickle], ids=["a flipped bit", "truncated", "a pickle"])
def test_the_checkpoint_before_a_damaged_one_is_used(
    damage: Callable[[Path], None], run: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(run / "checkpoints" / "step-6.pt")
    status, error = printed(capsys, "r.yaml", "--out", "run")
    assert status == 0
    assert error.splitlines() == [
        f"warning: run/checkpoints/step-6.pt {_DAMAGED.format(6)}; the one before it is used",
        "continuing run after step 4 of 6",
        "done: run",
    ]
    assert not (place / "pwned").exists()


def test_no_checkpoint_is_valid(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for step in (2, 4, 6):
        _truncate(run / "checkpoints" / f"step-{step}.pt")
    gone = (
        "translate-run: no checkpoint in run/checkpoints is complete (step-2.pt.damaged, step-4.pt.damaged, "
        "step-6.pt.damaged); to start again from nothing, add --fresh (the old run is moved aside)\n"
    )
    status, error = printed(capsys, "r.yaml", "--out", "run")
    assert status == 2
    assert error == (
        f"warning: run/checkpoints/step-6.pt {_DAMAGED.format(6)}; the one before it is used\n"
        f"warning: run/checkpoints/step-4.pt {_DAMAGED.format(4)}; the one before it is used\n"
        f"warning: run/checkpoints/step-2.pt {_DAMAGED.format(2)}\n{gone}"
    )
    # The next start must not treat the folder as a run that has not begun.
    assert printed(capsys, "r.yaml", "--out", "run") == (2, gone)


def test_a_pickle_with_its_digest_is_refused(run: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "checkpoints" / "step-6.pt"
    _bare_pickle(path)
    path.with_name("step-6.pt.sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  step-6.pt\n")
    assert printed(capsys, "r.yaml", "--out", "run") == (
        2,
        "translate-run: run/checkpoints/step-6.pt is refused: it is not a checkpoint of this software, which holds "
        "tensors and plain data only; loading anything else could execute code. Remove it to continue from the one "
        "before, or start again with --fresh\n",
    )
    assert not (place / "pwned").exists()


@pytest.mark.parametrize(
    ("overrides", "differences"),
    [
        (
            ("generator.width=8", "losses.identity.weight=0", "optimizer.lr=1e-3"),
            ["generator.width: 4 there, 8 now", "losses.identity.weight: 5.0 there, 0.0 now",
             "optimizer.lr: 0.0002 there, 0.001 now"],
        ),
        (("training.length=4 steps",), ["training.length: 6 steps there, 4 steps now (it may only grow)"]),
        (("losses.identity=null",),
         ['losses.identity.type: "identity" there, absent now', "losses.identity.weight: 5.0 there, absent now",
          'losses.identity.distance: "l1" there, absent now', 'losses.identity.pairs: "identity" there, absent now']),
    ],
    ids=["other values", "a shorter run", "a missing block"],
)  # fmt: skip
def test_other_result_keys(
    overrides: tuple[str, ...], differences: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _contents(run)
    sets = [argument for override in overrides for argument in ("--set", override)]
    assert printed(capsys, "r.yaml", "--out", "run", *sets) == (
        2,
        "translate-run: run holds a run of another recipe:\n" + indented("\n".join(differences)) + "\n"
        "Choose another folder with --out, or start again here with --fresh (the old run is moved aside)\n",
    )
    assert _contents(run) == before


def test_a_folder_with_other_files(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "thesis").mkdir()
    (place / "thesis" / "chapter.tex").write_text("…")
    expected = "translate-run: thesis is not empty and is not a run folder (chapter.tex); choose another --out\n"
    assert printed(capsys, "r.yaml", "--out", "thesis") == (2, expected)
    assert os.listdir(place / "thesis") == ["chapter.tex"]


@pytest.mark.parametrize("out", ["images/trainA", "images/testB/runs/first"])
def test_a_folder_among_the_images(out: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_images("unpaired_folders", place / "images")
    before = _contents(place)
    folder = "/".join(out.split("/")[:2])
    data = "data={type: unpaired_folders, root: images, transform: {resize: 16, crop: 16}}"
    assert printed(capsys, "r.yaml", "--set", data, "--out", out) == (
        2,
        f"translate-run: {out} lies in {folder}, where the dataset looks for images, and would find the run's sample "
        f"pictures: choose another --out\n",
    )
    assert _contents(place) == before


def test_a_recipe_that_is_a_pipe(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(place / "pipe.yaml")
    assert printed(capsys, "pipe.yaml") == (2, "translate-run: pipe.yaml is a pipe, not a file\n")


def test_a_file_for_a_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "r.yaml", "--out", "r.yaml") == (
        2,
        "translate-run: r.yaml cannot be used: Not a directory\n",
    )
    assert (place / "r.yaml").read_text() == RECIPE


def test_a_second_process_in_the_folder(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hold = (
        "from pathlib import Path\n"
        "from translate_core.storage.run_folder import RunFolder\n"
        "with RunFolder(Path('run')).locked():\n"
        "    print('held', flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        holder = f"process {other.pid} on {socket.gethostname()}"
        expected = (
            f"translate-run: another process is at work in run ({holder}); wait for it, or choose another --out\n"
        )
        assert printed(capsys, "r.yaml", "--out", "run") == (2, expected)
        other.communicate(b"\n")


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU here")
def test_a_device_that_does_not_exist(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = (
        f"translate-run: there is no device 'cuda' here, or this build of torch ({torch.__version__}) cannot use it. "
        f"There is: cpu\n"
    )
    assert printed(capsys, "r.yaml", "--device", "cuda") == (2, expected)


# Observers


@pytest.mark.parametrize(
    ("watch", "message"),
    [
        (
            "cylce",
            "the run has no loss and no test metric 'cylce', did you mean 'cycle'? There are: adversarial, cycle, "
            "identity, rec/rec_A",
        ),
        (
            "psnr/fake_B",
            "the run has no loss and no test metric 'psnr/fake_B'. There are: adversarial, cycle, identity, rec/rec_A",
        ),
        (
            "rec/rec_A",
            "'rec/rec_A' is a test metric, which is computed at the end only: set training.evaluate_every, for example "
            "to 1 epoch",
        ),
        (
            "cycle/rec_C",
            "no logged loss is called 'cycle/rec_C', did you mean 'cycle/rec_B'? "
            "There are: cycle, cycle/rec_A, cycle/rec_B",
        ),
    ],
)
def test_early_stopping_by_what_does_not_occur(
    watch: str, message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is in the way of the corrected command."""
    metric = "metrics={rec: {type: psnr, pairs: {rec_A: real_A}}, swd: null}"
    command = ["r.yaml", "--out", "run", "--device", "cpu", "--set", "training.log_every=1 steps", "--set", metric]
    status, error = printed(capsys, *command, "--set", f"observers.early={{type: early_stopping, watch: {watch}}}")
    assert (status, error.splitlines()[-1]) == (2, f"translate-run: observer 'early': watch: {message}")
    assert printed(capsys, *command, "--set", "losses.cycle.weight=3", "--set", "training.length=1 steps")[0] == 0
