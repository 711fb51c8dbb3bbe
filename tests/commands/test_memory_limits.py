"""Too little memory (RLIMIT_AS), in real processes: status 2, a message about memory, nothing half-written."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.campaigns.rule import DONE, Ended, half_written
from tests.tiny_runs import train

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not apply RLIMIT_AS")

MEGABYTES = 2**20
CRASHED = (-signal.SIGSEGV, -signal.SIGABRT)
PROGRAM = "import sys; from translate_core.program import translate_{0} as command; sys.exit(command())"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, its images, its finished run, and a large image."""
    folder = tmp_path_factory.mktemp("memory")
    train(folder)
    pixels = np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), dtype=np.uint8)
    (folder / "large").mkdir()
    Image.fromarray(pixels).save(folder / "large" / "large.png")
    return folder


@pytest.fixture(scope="module")
def loaded() -> int:
    """What a process takes that has loaded torch, in megabytes."""
    show = "import torch; print(open('/proc/self/status').read())"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    peak = re.search(r"VmPeak:\s*(\d+) kB", done.stdout)
    assert peak is not None
    return int(peak[1]) // 1024


def limited(megabytes: int, command: str, *arguments: object) -> Ended:
    """Runs a command that may use so much memory."""
    import resource

    size = megabytes * MEGABYTES
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(command), *map(str, arguments), "--device", "cpu"],
        capture_output=True, text=True, check=False, timeout=200,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_AS, (size, size)),
    )  # fmt: skip
    return Ended(f"translate-{command}", done.returncode, done.stderr)


def check(ended: Ended, out: Path, *names: str) -> None:
    assert list(ended.broken(names or ("memory",))) == [], ended.printed
    assert half_written(out) == []


@pytest.mark.parametrize("command", ["run", "apply"])
def test_torch_cannot_be_loaded(command: str, made: Path, loaded: int, tmp_path: Path) -> None:
    first = (made / "tiny.yaml",) if command == "run" else (made / "run", made / "data" / "testA")
    ended = limited(loaded // 2, command, *first, "--out", tmp_path / "out")
    check(ended, tmp_path)
    assert ended.status == 2
    assert ended.printed == (
        f"translate-{command}: there is too little memory: torch and a small run do not fit into "
        f"the {(loaded // 2) / 1024:.2f} GiB that this process may use. Raise the limit (ulimit -v; in a batch system, "
        f"the memory of the job), or install a build of torch for the CPU, which takes less\n"
    )


@pytest.mark.slow
def test_training_takes_more(made: Path, loaded: int, tmp_path: Path) -> None:
    """And with smaller images the same limit is enough."""
    arguments = (made / "tiny.yaml", "--out", tmp_path / "run", "--set", "data.transform.resize=1024", "--set")
    ended = limited(loaded + 1200, "run", *arguments, "data.transform.crop=1024")
    check(ended, tmp_path, "there is too little memory: ")
    assert ended.status == 2
    assert "\nLower training.batch_size (and raise training.accumulate), training.workers, the size of the " in (
        ended.printed
    )
    assert limited(loaded + 1200, "run", made / "tiny.yaml", "--out", tmp_path / "run").status == DONE


def test_a_large_image_takes_more(made: Path, loaded: int, tmp_path: Path) -> None:
    """The other images are translated."""
    inputs = (made / "large", made / "data" / "testA")
    ended = limited(loaded + 500, "apply", made / "run", *inputs, "--out", tmp_path / "out")
    check(ended, tmp_path, "cpu has too little memory for an image of 3000×3000: use another device, or a smaller")
    assert ended.status == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png"]


@pytest.mark.slow
@pytest.mark.parametrize("more", [*range(-2800, 0, 400), *range(-150, 400, 25), 600, 900, 1300, 2000])
def test_any_limit(more: int, made: Path, loaded: int, tmp_path: Path) -> None:
    """Done or refused, never a defect and never a hang; what is there is whole.

    Above the limit that is refused at once, torch itself may crash where an allocation fails.
    """
    size = loaded + more
    if size < 50:
        pytest.skip("Python itself cannot start")
    for workers in (0, 2):
        out = tmp_path / f"run-{workers}"
        ended = limited(size, "run", made / "tiny.yaml", "--out", out, "--set", f"training.workers={workers}")
        if more > 300 and ended.status in CRASHED:
            continue
        check(ended, out)
        assert (out / "results.json").exists() == (ended.status == DONE)
    ended = limited(size, "apply", made / "run", made / "data" / "testA", made / "large", "--out", tmp_path / "out")
    if more <= 300 or ended.status not in CRASHED:
        check(ended, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*.png"):
        with Image.open(path) as image:
            image.load()
