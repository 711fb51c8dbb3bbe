"""Datasets of generated images."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from translate_core import DataError, Dataset, TrainSplit, open_image
from translate_plugins.datasets import decoding

ONLY_8_BITS = "only 8 bits a channel are supported so far: convert it to 8 bits with the range that you want to keep"


def noise(seed: int, height: int = 24, width: int = 32, channels: int = 3) -> Image.Image:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels if channels > 1 else pixels[..., 0])


def plain(value: int, height: int = 24, width: int = 32) -> Image.Image:
    return Image.new("RGB", (width, height), (value, value, value))


def folders(root: Path, **files_of: dict[str, Image.Image]) -> Path:
    for folder, files in files_of.items():
        for name, image in files.items():
            path = root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    return root


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    whole = Image.new(left.mode, (left.width + right.width, left.height))
    whole.paste(left, (0, 0))
    whole.paste(right, (left.width, 0))
    return whole


def colour_png_of_16_bits(pixels: NDArray[Any]) -> bytes:
    """A PNG file of 16 bits a channel, which Pillow does not write. pixels: (H, W, C), of L, LA, RGB or RGBA."""
    height, width, channels = pixels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def bicubic(image: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def faults_of(data: Dataset) -> list[tuple[str, str]]:
    with pytest.raises(DataError) as failure:
        data.open()
    return [(fault.path, fault.message) for fault in failure.value.faults]


def place_of(cut: Tensor, whole: NDArray[np.uint8]) -> tuple[int, int, bool]:
    """Where the cut (C, H, W) lies in the whole (H, W, C), and whether it is mirrored; it must occur once."""
    height, width = cut.shape[1:]
    pixels = cut.permute(1, 2, 0).numpy()
    found = [
        (top, left, flipped)
        for top in range(whole.shape[0] - height + 1)
        for left in range(whole.shape[1] - width + 1)
        for flipped in (False, True)
        if np.array_equal(whole[top : top + height, left : left + width], pixels[:, ::-1] if flipped else pixels)
    ]
    (place,) = found
    return place


def share_crop_and_flip(split: TrainSplit, index: int, wholes: dict[str, NDArray[np.uint8]]) -> None:
    """Crops of 15×15 from a pair of 18×18 images are alike in both, and every place and both sides occur."""
    seen = set()
    for seed in range(120):
        item = split.draw(index, np.random.default_rng(seed))
        places = {place_of(item[key], whole) for key, whole in wholes.items()}
        assert len(places) == 1
        seen |= places
    assert {flipped for _, _, flipped in seen} == {False, True}
    assert {top for top, _, _ in seen} == {left for _, left, _ in seen} == {0, 1, 2, 3}


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The content of every file that is decoded after this call."""
    decoded: list[bytes] = []

    def counting(content: bytes, *rest: Any) -> Image.Image:
        decoded.append(content)
        return open_image(content, *rest)

    monkeypatch.setattr(decoding, "open_image", counting)
    return decoded
