"""Decodes many image files at once into a store."""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from translate_core.errors import DataError, Fault, UserError
from translate_core.images import Channels, decode

from .progress import progress
from .store import ImageStore

FAULTS_SHOWN = 20
_EDGE = 64 * 1024


@dataclass(frozen=True)
class Source:
    """A file to load.

    Args:
        path: the image file.
        channels: 3 for RGB, 1 for greyscale.
        prepare: brings the decoded image to its size in the store; its UserError is a fault of this file.
    """

    path: Path
    channels: Channels
    prepare: Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class _Loaded:
    image: NDArray[np.uint8]
    print: str


def load(subject: str, sources: Sequence[Source]) -> tuple[ImageStore, list[str]]:
    """All images in the order of `sources`, and a print of each file: its length, and the CRCs of its two ends.

    Threads decode, since Pillow lets go of the interpreter meanwhile; only a few images are in memory at a time.

    Args:
        subject: what is loaded, for people: `data set data/horse2zebra`.
        sources: the files.

    Raises:
        DataError: files that cannot be used; the first 20 are named.
    """
    prints: list[str] = []
    faults: list[Fault] = []

    def usable() -> Iterator[NDArray[np.uint8]]:
        with progress(f"decoding {subject}", len(sources)) as advance:
            for result in _in_order(sources):
                advance(1)
                if isinstance(result, Fault):
                    faults.append(result)
                elif not faults:
                    prints.append(result.print)
                    yield result.image

    store = ImageStore(usable())
    if faults:
        store.close()
        if len(faults) > FAULTS_SHOWN:
            subject += f" ({len(faults)} of its files cannot be used, {FAULTS_SHOWN} of them shown)"
        raise DataError(subject, faults[:FAULTS_SHOWN])
    return store, prints


def _in_order(sources: Sequence[Source]) -> Iterator[_Loaded | Fault]:
    threads = min(max(os.cpu_count() or 1, 2), 16)
    remaining = iter(sources)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        ahead: deque[Future[_Loaded | Fault]] = deque(pool.submit(_load, one) for one in islice(remaining, 2 * threads))
        try:
            while ahead:
                yield ahead.popleft().result()
                ahead.extend(pool.submit(_load, one) for one in islice(remaining, 1))
        finally:
            for future in ahead:
                future.cancel()


def _load(source: Source) -> _Loaded | Fault:
    try:
        content = source.path.read_bytes()
        image = np.asarray(source.prepare(decode(content, source.channels)))
    except UserError as error:
        return Fault(str(source.path), str(error))
    except OSError as error:
        return Fault(str(source.path), f"cannot be read: {error.strerror}")
    planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    ends = zlib.crc32(content[:_EDGE]), zlib.crc32(content[-_EDGE:])
    return _Loaded(np.ascontiguousarray(planes), f"{len(content)} {ends[0]:08x} {ends[1]:08x}")
