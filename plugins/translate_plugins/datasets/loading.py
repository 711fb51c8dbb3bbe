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

from translate_core import progress
from translate_core.errors import DataError, Fault, UserError
from translate_core.runtime.images import open_image

from .store import ImageStore

FAULTS_SHOWN = 20
_EDGE = 64 * 1024


@dataclass(frozen=True)
class Source:
    """A file to load.

    Args:
        path: the image file.
        views: everything that is stored of it, given the image as `open_image` returns it; its UserError is a fault of
            this file.
    """

    path: Path
    views: Callable[[Image.Image], Sequence[Image.Image]]


@dataclass(frozen=True)
class Loaded:
    """What became of the files.

    Args:
        store: all that their views yielded.
        prints: of each file its length, and the CRCs of its two ends.
        places: of each file where its views are in the store.
    """

    store: ImageStore
    prints: list[str]
    places: list[range]


@dataclass(frozen=True)
class _Views:
    images: list[NDArray[np.uint8]]
    print: str


def load(subject: str, sources: Sequence[Source], twins: Sequence[tuple[int, int]] = ()) -> Loaded:
    """All views of all files, in the order of `sources`; every file is read and decoded once.

    Threads decode, since Pillow lets go of the interpreter meanwhile; only a few images are in memory at a time.

    Args:
        subject: what is loaded, for people: `data set data/horse2zebra`.
        sources: the files.
        twins: pairs of places in `sources`; their views must have the same sizes.

    Raises:
        DataError: files that cannot be used; the first 20 are named.
    """
    prints: list[str] = []
    places: list[range] = []
    sizes: list[list[tuple[int, int]] | None] = []
    faults: list[Fault] = []

    def usable() -> Iterator[NDArray[np.uint8]]:
        end = 0
        with progress(f"decoding {subject}", len(sources)) as advance:
            for result in _in_order(sources):
                advance(1)
                if isinstance(result, Fault):
                    faults.append(result)
                    sizes.append(None)
                    continue
                sizes.append([image.shape[1:] for image in result.images])
                prints.append(result.print)
                places.append(range(end, end + len(result.images)))
                end += len(result.images)
                if not faults:
                    yield from result.images

    store = ImageStore(usable())
    faults += _unlike(sources, sizes, twins)
    if faults:
        store.close()
        if len(faults) > FAULTS_SHOWN:
            subject += f" ({len(faults)} of its files cannot be used, {FAULTS_SHOWN} of them shown)"
        raise DataError(subject, faults[:FAULTS_SHOWN])
    return Loaded(store, prints, places)


def _unlike(
    sources: Sequence[Source], sizes: Sequence[list[tuple[int, int]] | None], twins: Sequence[tuple[int, int]]
) -> list[Fault]:
    """Twins that are to be cropped or compared together, and cannot be."""
    faults = []
    for one, other in twins:
        pairs = zip(sizes[one] or (), sizes[other] or (), strict=False)  # a file that cannot be used is a fault already
        unlike = next((pair for pair in pairs if pair[0] != pair[1]), None)
        if unlike is not None:
            first, second = (f"{height} × {width}" for height, width in unlike)
            faults.append(
                Fault(
                    str(sources[one].path),
                    f"is {first} (height × width) where its twin {sources[other].path} is {second}: "
                    "twins must have one size; make them alike, or set transform.resize without keep_aspect",
                )
            )
    return faults


def _in_order(sources: Sequence[Source]) -> Iterator[_Views | Fault]:
    threads = min(max(os.cpu_count() or 1, 2), 16)
    remaining = iter(sources)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        ahead: deque[Future[_Views | Fault]] = deque(pool.submit(_load, one) for one in islice(remaining, 2 * threads))
        try:
            while ahead:
                yield ahead.popleft().result()
                ahead.extend(pool.submit(_load, one) for one in islice(remaining, 1))
        finally:
            for future in ahead:
                future.cancel()


def _load(source: Source) -> _Views | Fault:
    try:
        content = source.path.read_bytes()
        images = [_planes(image) for image in source.views(open_image(content))]
    except UserError as error:
        return Fault(str(source.path), str(error))
    except OSError as error:
        return Fault(str(source.path), f"cannot be read: {error.strerror}")
    return _Views(images, f"{len(content)} {zlib.crc32(content[:_EDGE]):08x} {zlib.crc32(content[-_EDGE:]):08x}")


def _planes(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W) or (H, W, C) as (C, H, W)."""
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))
