"""A limit of our own on the pixels of an image; Pillow's, which all threads of a process share, has no part in it."""

from __future__ import annotations

import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from tests.plugins.made_images import noise
from translate_core import MAX_PIXELS, UserError, convert_image, open_image
from translate_core.commands.apply import parser


def header(width: int, height: int) -> bytes:
    """A PNG file of some bytes that claims any size."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(100))
    parts = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (chunk, data))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def saved(image: Image.Image, form: str) -> bytes:
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize(("width", "height"), [(13_377, 13_378), (2**31 - 1, 2**31 - 1), (178_956_971, 1)])
def test_the_size_is_in_the_message(width: int, height: int) -> None:
    pixels = width * height
    message = (
        f"is {height:,} × {width:,} (height × width), {pixels:,} pixels; the limit is 178,956,970: make it smaller or "
        f"cut it into pieces, or, if you trust the file, raise the limit with max_pixels={pixels}"
    )
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        open_image(header(width, height))
    assert open_image(header(width, height), max_pixels=pixels).size == (width, height)


@pytest.mark.parametrize("side", [9_460, 13_377])
def test_up_to_the_limit_nothing_is_reported(side: int) -> None:
    """Pillow warns from 89,478,486 pixels on."""
    assert Image.MAX_IMAGE_PIXELS is not None
    assert Image.MAX_IMAGE_PIXELS < side * side <= MAX_PIXELS
    assert open_image(header(side, side)).size == (side, side)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"])
def test_a_large_image_is_decoded(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's limit in the place of a large image: more than the doubled limit is an error of Pillow."""
    image = noise(1, 40, 30)
    content = saved(image, form)
    plain = convert_image(open_image(content), 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(content))
    np.testing.assert_array_equal(np.asarray(convert_image(open_image(content), 3)), np.asarray(plain))
    assert Image.MAX_IMAGE_PIXELS == 500


def test_the_limit_of_pillow_is_the_same_after_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    content, damaged = (saved(noise(1, 40, 30), "TIFF")[: -end or None] for end in (0, 500))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    barrier = threading.Barrier(8)

    def decode(number: int) -> str:
        barrier.wait()
        for _ in range(50):
            with suppress(UserError):
                convert_image(open_image(damaged if number % 2 else content), 3)
        return "done"

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(decode, range(8))) == {"done"}
    assert Image.MAX_IMAGE_PIXELS == 500


def test_a_user_without_the_limit_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert convert_image(open_image(saved(noise(1, 40, 30), "TIFF")), 3).size == (30, 40)
    assert Image.MAX_IMAGE_PIXELS is None


def test_the_help_has_the_default() -> None:
    assert f"{MAX_PIXELS:,}" in parser().format_help()
