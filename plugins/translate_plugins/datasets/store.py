"""Images in one file that all processes of a run share."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from translate_core.errors import UserError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OPEN_FILES = Path("/proc/self/fd")


class ImageStore:
    """uint8 images (C, H, W), each of its own size, one after the other in a memory-mapped temporary file.

    A store is written once, by its constructor, and only read after that. It pickles as the path of its file, so
    forked and spawned processes read the same pages. The file goes when the process that wrote it closes the store,
    lets go of it, or ends; copies in other processes never remove it. Where the system has /proc the file has no name
    from the start, so that not even a killed process leaves it behind.

    Args:
        images: arrays of type uint8 and shape (C, H, W); one at a time is held in memory.

    Raises:
        UserError: the temporary folder is full, or there is none.
    """

    def __init__(self, images: Iterable[NDArray[np.uint8]]) -> None:
        self._places: list[tuple[int, int, int, int]] = []  # offset, channels, height, width
        self._bytes: NDArray[np.uint8] | None = None
        try:
            descriptor, name = tempfile.mkstemp(prefix="translate-images-", suffix=".bin")
        except OSError as error:
            raise UserError(
                f"the images need a temporary file, and there is no place for one: {error}. "
                "Set TMPDIR to a folder with room"
            ) from None
        self._path = Path(name)
        if _OPEN_FILES.is_dir():
            self._path.unlink()
            self._path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
            self._remove = weakref.finalize(self, _end, descriptor, None, os.getpid())
        else:
            self._remove = weakref.finalize(self, _end, None, self._path, os.getpid())
        try:
            self._write(descriptor, images)
        except BaseException:
            self.close()
            raise

    def _write(self, descriptor: int, images: Iterable[NDArray[np.uint8]]) -> None:
        end = 0
        # Unbuffered, so that no bytes are left to be written when the file is closed because the disk is full.
        with open(descriptor, "wb", buffering=0, closefd=not _OPEN_FILES.is_dir()) as file:
            for image in images:
                assert image.dtype == np.uint8
                assert image.ndim == 3
                content = np.ascontiguousarray(image).reshape(-1).data
                try:
                    while content:
                        content = content[file.write(content) :]
                except OSError as error:
                    if error.errno not in _FULL:
                        raise
                    raise UserError(
                        f"the temporary folder {tempfile.gettempdir()} is full after {len(self._places)} images "
                        f"({end / 1e6:.0f} MB): make room there, or set TMPDIR to a folder on a larger disk"
                    ) from None
                channels, height, width = image.shape
                self._places.append((end, channels, height, width))
                end += image.size

    def __len__(self) -> int:
        return len(self._places)

    def shape(self, index: int) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return self._places[index][1:]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """An image, read-only, (C, H, W), not copied."""
        if self._bytes is None:
            self._bytes = np.asarray(np.memmap(self._path, dtype=np.uint8, mode="r"))
        offset, channels, height, width = self._places[index]
        return self._bytes[offset : offset + channels * height * width].reshape(channels, height, width)

    def close(self) -> None:
        """Let go of the file and, in the process that wrote it, remove it."""
        self._bytes = None
        if hasattr(self, "_remove"):
            self._remove()

    def __getstate__(self) -> dict[str, Any]:
        return {"_places": self._places, "_path": self._path, "_bytes": None}


def _end(descriptor: int | None, path: Path | None, writer: int) -> None:
    if os.getpid() != writer:
        return
    if descriptor is not None:
        os.close(descriptor)
    if path is not None:
        # Windows keeps a file that another process still maps.
        with contextlib.suppress(PermissionError):
            path.unlink(missing_ok=True)
