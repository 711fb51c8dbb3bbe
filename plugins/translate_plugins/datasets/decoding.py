"""Decodes every file of a dataset once, many at a time, into a store."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from translate_core import DataError, Fault, UserError, open_image, progress, read_file, reason_of

from .contents import Content
from .listing import Folder, Listing, Part
from .store import ImageStore
from .transforms import Transform

FAULTS_SHOWN = 20
_EDGE = 64 * 1024

Prepare = Callable[[Image.Image, Image.Resampling], Image.Image]
Parts = Callable[[Image.Image], Mapping[str, Image.Image]]
Places = Mapping[str, Sequence[Sequence[int]]]
"""Indices in a store: by domain, by stage of the transform, by file."""


@dataclass(frozen=True)
class Decoded:
    """The images of a dataset.

    Args:
        store: holds them.
        train: where the training images are.
        test: where the test images are, of one stage.
        fingerprint: 16 hexadecimal digits of the files' names, lengths and both ends.
    """

    store: ImageStore
    train: Places
    test: Places
    fingerprint: str


@dataclass(frozen=True)
class _File:
    """A file to decode.

    Args:
        path: the image file.
        name: its path below the root, for the fingerprint.
        domains: whose images it holds.
        prepares: sizes each of its images, once for each stage.
    """

    path: Path
    name: str
    domains: tuple[str, ...]
    prepares: Sequence[Prepare]


@dataclass(frozen=True)
class _Decoded:
    """What is kept of a file.

    Args:
        images: (C, H, W), by domain and, within it, by stage.
        print: the file's length and the CRCs of its two ends.
    """

    images: list[NDArray[np.uint8]]
    print: str


def decode(
    root: Path,
    listing: Listing,
    transform: Transform,
    contents: Mapping[str, Content],
    parts: Parts,
    max_pixels: int,
) -> Decoded:
    """Decodes and sizes every image of a dataset; every file is read once.

    Threads decode, since Pillow releases the interpreter's lock meanwhile; few images are in memory at a time.

    Args:
        root: the folder of the dataset.
        listing: its files.
        transform: how images are sized.
        contents: how the images of each domain are read and resized.
        parts: cuts a file that holds images of several domains.
        max_pixels: width × height of the largest file.

    Raises:
        DataError: files that cannot be used; the first 20 are named.
        UserError: the temporary folder is full.
    """
    stages = [stage.prepare for stage in transform.stages]
    files = [
        *(file for folder in listing.train.folders for file in _files(root, folder, stages)),
        *(file for folder in listing.test.folders for file in _files(root, folder, [transform.prepare_test])),
    ]
    sizes: list[list[tuple[int, ...]]] = []
    prints: list[str] = []
    places: list[list[int]] = []
    faults: list[Fault] = []
    store = ImageStore()
    try:
        with progress(f"decoding dataset {root}{listing.without}", len(files)) as advance:
            for file, decoded in zip(files, _in_order(files, contents, parts, max_pixels), strict=True):
                advance(1)
                if isinstance(decoded, Fault):
                    faults.append(decoded)
                    sizes.append([])
                    continue
                sizes.append([image.shape[1:] for image in decoded.images])
                prints.append(f"{file.name} {decoded.print}")
                if not faults:
                    places.append([store.add(image) for image in decoded.images])
        faults += _unlike(files, sizes, _pairs(listing))
        if faults:
            raise _refused(root, faults)
        store.seal()
    except BaseException:
        store.close()
        raise
    of_files = iter(places)
    return Decoded(
        store,
        _by_domain(listing.train, len(stages), of_files),
        _by_domain(listing.test, 1, of_files),
        hashlib.sha256("\n".join(prints).encode("utf-8", "surrogateescape")).hexdigest()[:16],
    )


def _files(root: Path, folder: Folder, prepares: Sequence[Prepare]) -> list[_File]:
    names = [f"{folder.name}/{name}" for name in folder.files]
    return [_File(root / name, name, folder.domains, prepares) for name in names]


def _in_order(
    files: Sequence[_File], contents: Mapping[str, Content], parts: Parts, max_pixels: int
) -> Iterator[_Decoded | Fault]:
    """The content of each file, decoded by threads that are a few files ahead."""
    threads = min(max(os.cpu_count() or 1, 2), 16)
    remaining = iter(files)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        ahead: deque[Future[_Decoded | Fault]] = deque()

        def submit(count: int) -> None:
            ahead.extend(pool.submit(_decode, file, contents, parts, max_pixels) for file in islice(remaining, count))

        try:
            submit(2 * threads)
            while ahead:
                yield ahead.popleft().result()
                submit(1)
        finally:
            for future in ahead:
                future.cancel()


def _decode(file: _File, contents: Mapping[str, Content], parts: Parts, max_pixels: int) -> _Decoded | Fault:
    try:
        data = read_file(file.path)
        image = open_image(data, max_pixels, "data.max_pixels: ")
        if len(file.domains) > 1:
            images = parts(image)
        else:
            images = {domain: contents[domain].read(image) for domain in file.domains}
        sized = [
            _planes(prepare(images[domain], contents[domain].resampling))
            for domain in file.domains
            for prepare in file.prepares
        ]
    except UserError as error:
        return Fault(str(file.path), str(error))
    except OSError as error:
        return Fault(str(file.path), f"cannot be read: {reason_of(error)}")
    return _Decoded(sized, f"{len(data)} {zlib.crc32(data[:_EDGE]):08x} {zlib.crc32(data[-_EDGE:]):08x}")


def _planes(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W) or (H, W, C) as (C, H, W)."""
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def _pairs(listing: Listing) -> list[tuple[int, int]]:
    """The files that are pairs, by their number in the order of decoding."""
    pairs: list[tuple[int, int]] = []
    start = 0
    for part in (listing.train, listing.test):
        counts = [len(folder.files) for folder in part.folders]
        if part.paired and len(counts) == 2:
            pairs += [(start + number, start + counts[0] + number) for number in range(counts[0])]
        start += sum(counts)
    return pairs


def _unlike(
    files: Sequence[_File], sizes: Sequence[Sequence[tuple[int, ...]]], pairs: Sequence[tuple[int, int]]
) -> list[Fault]:
    """A fault for each pair whose images differ in size, so that they cannot be cropped or compared together."""
    faults = []
    for one, other in pairs:
        both = zip(sizes[one], sizes[other], strict=False)  # a file that cannot be used is a fault already
        unlike = next((pair for pair in both if pair[0] != pair[1]), None)
        if unlike is not None:
            first, second = (f"{height} × {width}" for height, width in unlike)
            faults.append(
                Fault(
                    str(files[one].path),
                    f"is {first} (height × width), but its counterpart {files[other].path} is {second}: "
                    "the images of a pair must have one size; resize them, or set transform.resize without keep_aspect",
                )
            )
    return faults


def _refused(root: Path, faults: Sequence[Fault]) -> DataError:
    subject = f"dataset {root}"
    if len(faults) > FAULTS_SHOWN:
        subject += f" ({len(faults)} of its files cannot be used, {FAULTS_SHOWN} of them shown)"
    return DataError(subject, faults[:FAULTS_SHOWN])


def _by_domain(part: Part, stages: int, of_files: Iterator[list[int]]) -> Places:
    """of_files: the places of each file, by domain and, within it, by stage."""
    places: dict[str, list[list[int]]] = {}
    for folder in part.folders:
        rows = list(islice(of_files, len(folder.files)))
        for number, domain in enumerate(folder.domains):
            places[domain] = [[row[number * stages + stage] for row in rows] for stage in range(stages)]
    return places
