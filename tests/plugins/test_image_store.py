from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from translate_core import UserError
from translate_plugins.datasets import store as store_module
from translate_plugins.datasets.store import ImageStore

METHODS = [("spawn", True), ("fork", True), ("fork", False)]
SHAPES = [(3, 8, 8), (1, 5, 7), (3, 1, 1), (3, 40, 20)]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(params=["named", "nameless"])
def files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Files of a store in the temporary folder: one, or none where the system needs no name."""
    if request.param == "named":
        monkeypatch.setattr(store_module, "_OPEN_FILES", Path("/no/such/folder"))
        return 1
    if not store_module._OPEN_FILES.is_dir():
        pytest.skip("this system has no /proc/self/fd")
    return 0


def images() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in SHAPES]


def stored(images: Iterable[NDArray[np.uint8]]) -> ImageStore:
    store = ImageStore()
    for image in images:
        store.add(image)
    store.seal()
    return store


def checksums(store: ImageStore) -> list[int]:
    return [zlib.crc32(store[index].tobytes()) for index in range(len(store))]


def test_returns_the_images_that_were_added() -> None:
    store = stored(images())
    assert len(store) == 4
    assert [store.shape(index) for index in range(4)] == SHAPES
    for index, image in enumerate(images()):
        assert store[index].dtype == np.uint8
        np.testing.assert_array_equal(store[index], image)
    store.close()


def test_arrays_that_are_not_contiguous() -> None:
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3).transpose(2, 0, 1)
    store = stored([image])
    np.testing.assert_array_equal(store[0], image)
    store.close()


def test_images_are_read_only() -> None:
    store = stored(images())
    with pytest.raises(ValueError, match="read-only"):
        store[0][0, 0, 0] = 1
    store.close()


def test_no_images() -> None:
    store = stored([])
    assert len(store) == 0
    store.close()


def test_close_removes_the_file(temporary: Path, files: int) -> None:
    store = stored(images())
    assert len(list(temporary.iterdir())) == files
    store.close()
    store.close()
    assert list(temporary.iterdir()) == []


def test_a_dropped_store_removes_its_file(temporary: Path) -> None:
    store = stored(images())
    del store
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_the_interpreter_removes_the_file_when_it_exits(tmp_path: Path) -> None:
    program = (
        "import numpy as np, os, sys, tempfile\n"
        "from pathlib import Path\n"
        "from translate_plugins.datasets import store\n"
        "if len(sys.argv) == 1: store._OPEN_FILES = Path('/no/such/folder')\n"
        "from translate_plugins.datasets.store import ImageStore\n"
        "store = ImageStore()\n"
        "store.add(np.zeros((3, 4, 4), np.uint8))\n"
        "print(len(os.listdir(tempfile.gettempdir())), flush=True)\n"
        "os.kill(os.getpid(), 9) if len(sys.argv) > 1 else 1 / 0\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout == "1\n"
    assert list(tmp_path.iterdir()) == []
    if store_module._OPEN_FILES.is_dir():
        killed = subprocess.run(
            [sys.executable, "-c", program, "kill"], env=environment, capture_output=True, text=True
        )
        assert killed.stdout == "0\n"
        assert list(tmp_path.iterdir()) == []


def test_close_while_writing_removes_the_file(temporary: Path, files: int) -> None:
    store = ImageStore()
    store.add(images()[0])
    assert len(list(temporary.iterdir())) == files
    store.close()
    assert list(temporary.iterdir()) == []


def test_pickles_as_the_path(temporary: Path, files: int) -> None:
    store = stored([np.zeros((3, 500, 500), np.uint8)])
    content = pickle.dumps(store)
    assert len(content) < 1000
    copy = pickle.loads(content)
    np.testing.assert_array_equal(copy[0], store[0])
    copy.close()
    del copy
    gc.collect()
    assert len(list(temporary.iterdir())) == files
    store.close()


def read_in_worker(store: ImageStore, queue: multiprocessing.Queue[list[int]]) -> None:
    queue.put(checksums(store))
    store.close()


@pytest.mark.parametrize(
    ("method", "mapped"),
    [(m, mapped) for m, mapped in METHODS if m in multiprocessing.get_all_start_methods()],
)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_other_processes_read_the_same_bytes_and_remove_nothing(
    temporary: Path, files: int, method: str, mapped: bool
) -> None:
    store = stored(images())
    expected = [zlib.crc32(image.tobytes()) for image in images()]
    if mapped:
        assert checksums(store) == expected
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    workers = [context.Process(target=read_in_worker, args=(store, queue)) for _ in range(2)]  # type: ignore[attr-defined]
    for worker in workers:
        worker.start()
    read = [queue.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert read == [expected, expected]
    assert len(list(temporary.iterdir())) == files
    assert checksums(store) == expected
    store.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = temporary / "translate-images-x.bin"
    path.touch()
    monkeypatch.setattr(tempfile, "mkstemp", lambda **_: (os.open("/dev/full", os.O_WRONLY), str(path)))
    with pytest.raises(UserError) as failure:
        stored(images())
    assert str(failure.value) == (
        f"the temporary folder {temporary} is full after 0 images (0 MB): "
        "free space there, or set TMPDIR to a folder on a larger disk"
    )


def test_a_disk_that_fills_up_later_leaves_no_file(tmp_path: Path) -> None:
    """A full disk is simulated by a limit on the size of files."""
    program = (
        "import resource, numpy as np\n"
        "from translate_core import UserError\n"
        "from translate_plugins.datasets.store import ImageStore\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, 2_500_000))\n"
        "store = ImageStore()\n"
        "try:\n"
        "    for _ in range(5): store.add(np.zeros((1, 1000, 1000), np.uint8))\n"
        "except UserError as error: print(error)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"the temporary folder {tmp_path} is full after 2 images (2 MB): ")
    assert list(tmp_path.iterdir()) == []


def test_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(
        UserError, match=r"^a temporary file for the images cannot be created: .*Set TMPDIR to a folder with free space"
    ):
        stored(images())
