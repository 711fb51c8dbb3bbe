"""Decoded images in one file that all processes of a run share."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import weakref
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from translate_core import UserError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OPEN_FILES = Path("/proc/self/fd")


class ImageStore:
    """uint8 images (C, H, W), each of its own size, one after the other in a memory-mapped temporary file.

    Images are added one by one; after `seal` the store is only read. It pickles as the path of its file, so forked and
    spawned processes read the same pages. The file is removed when the process that wrote it closes the store, drops
    it, or ends; copies in other processes never remove it. On systems with /proc the file has no name from the start,
    so that not even a killed process leaves it behind.

    Raises:
        UserError: the temporary file cannot be created.
    """

    def __init__(self) -> None:
        self._places: list[tuple[int, int, int, int]] = []  # offset, channels, height, width
        self._end = 0
        self._bytes: NDArray[np.uint8] | None = None
        try:
            descriptor, name = tempfile.mkstemp(prefix="translate-images-", suffix=".bin")
        except OSError as error:
            raise UserError(
                f"a temporary file for the images cannot be created: {error}. Set TMPDIR to a folder with free space"
            ) from None
        self._path = Path(name)
        nameless = _OPEN_FILES.is_dir()
        if nameless:
            self._path.unlink()
            self._path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
        # Unbuffered, so that no bytes are left to be written when the file is closed because the disk is full.
        self._file: IO[bytes] | None = open(descriptor, "wb", buffering=0, closefd=not nameless)  # noqa: SIM115
        self._remove = weakref.finalize(
            self, _remove, descriptor if nameless else None, None if nameless else self._path, os.getpid()
        )

    def add(self, image: NDArray[np.uint8]) -> int:
        """Writes an image (C, H, W); returns its index.

        Raises:
            UserError: the temporary folder is full.
        """
        assert self._file is not None
        assert image.dtype == np.uint8
        assert image.ndim == 3
        content = np.ascontiguousarray(image).reshape(-1).data
        try:
            while content:
                content = content[self._file.write(content) :]
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise UserError(
                f"the temporary folder {tempfile.gettempdir()} is full after {len(self._places)} images "
                f"({self._end / 1e6:.0f} MB): free space there, or set TMPDIR to a folder on a larger disk"
            ) from None
        channels, height, width = image.shape
        self._places.append((self._end, channels, height, width))
        self._end += image.size
        return len(self._places) - 1

    def seal(self) -> None:
        """Ends writing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __len__(self) -> int:
        return len(self._places)

    def shape(self, index: int) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return self._places[index][1:]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """An image, read-only, (C, H, W), not copied; only after `seal`."""
        assert self._file is None
        if self._bytes is None:
            self._bytes = np.asarray(np.memmap(self._path, dtype=np.uint8, mode="r"))
        offset, channels, height, width = self._places[index]
        return self._bytes[offset : offset + channels * height * width].reshape(channels, height, width)

    def close(self) -> None:
        """Releases the file and, in the process that wrote it, removes it."""
        self._bytes = None
        self.seal()
        if hasattr(self, "_remove"):
            self._remove()

    def __getstate__(self) -> dict[str, Any]:
        assert self._file is None
        return {"_places": self._places, "_path": self._path, "_file": None, "_bytes": None}


def _remove(descriptor: int | None, path: Path | None, writer: int) -> None:
    if os.getpid() != writer:
        return
    if descriptor is not None:
        os.close(descriptor)
    if path is not None:
        # Windows keeps a file that another process still maps.
        with contextlib.suppress(PermissionError):
            path.unlink(missing_ok=True)
