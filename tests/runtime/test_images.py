from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.plugins.made_images import ONLY_8_BITS, colour_png_of_16_bits, noise
from translate_core import UserError
from translate_core.runtime.images import convert_image, open_image

UPPER_8_BITS = ", of which Pillow reads the upper 8 bits"
LEVELS = np.linspace(300, 4095, 24).astype(np.int64).reshape(4, 6)
COLOURS = np.stack([LEVELS, LEVELS, np.full_like(LEVELS, 600)], 2)
TRANSPARENT = np.dstack([COLOURS, np.full_like(LEVELS, 65535)])


def saved(pixels: NDArray[Any], form: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def tiff(pixels: NDArray[Any], kind: int) -> bytes:
    """An uncompressed TIFF file of values that Pillow does not write. pixels: (H, W, C); kind: 1 unsigned, 2 signed."""
    height, width, channels = pixels.shape
    order = ">" if pixels.dtype.byteorder == ">" else "<"
    photometric = {1: 1, 3: 2, 4: 2}[channels]
    shorts = struct.pack(f"{order}{channels}H", *[8 * pixels.itemsize] * channels)
    kinds = struct.pack(f"{order}{channels}H", *[kind] * channels)
    count = 10
    after = 8 + 2 + 12 * count + 4

    def entry(tag: int, type_: int, count: int, value: int | bytes) -> bytes:
        letter = {3: "H", 4: "I"}[type_]
        packed = value if isinstance(value, bytes) else struct.pack(order + letter, value)
        return struct.pack(f"{order}HHI", tag, type_, count) + packed.ljust(4, b"\0")

    def placed(content: bytes, offset: int) -> bytes:
        return content if len(content) <= 4 else struct.pack(f"{order}I", offset)

    entries = [
        entry(256, 4, 1, width),
        entry(257, 4, 1, height),
        entry(258, 3, channels, placed(shorts, after)),
        entry(259, 3, 1, 1),
        entry(262, 3, 1, photometric),
        entry(273, 4, 1, after + 16),
        entry(277, 3, 1, channels),
        entry(278, 4, 1, height),
        entry(279, 4, 1, pixels.nbytes),
        entry(339, 3, channels, placed(kinds, after + 8)),
    ]
    start = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(f"{order}IH", 8, count)
    return start + b"".join(entries) + bytes(4) + shorts.ljust(8, b"\0") + kinds.ljust(8, b"\0") + pixels.tobytes()


DEEP = {
    "PNG, grey": (colour_png_of_16_bits(LEVELS[..., None]), "16-bit values 300 … 4095"),
    "PNG, grey with transparency": (
        colour_png_of_16_bits(TRANSPARENT[..., [0, 3]]),
        f"16-bit values within 256 … 4095{UPPER_8_BITS}",
    ),
    "PNG, RGB": (colour_png_of_16_bits(COLOURS), f"16-bit values within 256 … 4095{UPPER_8_BITS}"),
    "PNG, RGBA": (colour_png_of_16_bits(TRANSPARENT), f"16-bit values within 256 … 4095{UPPER_8_BITS}"),
    "PNG, few values": (colour_png_of_16_bits(np.full((2, 2, 1), 7)), "16-bit values 7 … 7"),
    "TIFF, grey": (saved(LEVELS.astype(np.uint16), "TIFF"), "16-bit values 300 … 4095"),
    "TIFF, grey, other byte order": (tiff(LEVELS[..., None].astype(">u2"), 1), "16-bit values 300 … 4095"),
    "TIFF, signed": (tiff(LEVELS[..., None].astype("<i2") - 1000, 2), "16-bit values -700 … 3095"),
    "TIFF, RGB": (tiff(COLOURS.astype("<u2"), 1), f"16-bit values within 256 … 4095{UPPER_8_BITS}"),
    "TIFF, RGB, other byte order": (tiff(COLOURS.astype(">u2"), 1), f"16-bit values within 256 … 4095{UPPER_8_BITS}"),
    "TIFF, RGBA": (tiff(TRANSPARENT.astype("<u2"), 1), f"16-bit values within 256 … 4095{UPPER_8_BITS}"),
    "TIFF, 32 bits": (saved((100 * LEVELS).astype(np.int32), "TIFF"), "32-bit values 30000 … 409500"),
    "TIFF, floating point": (
        saved((LEVELS / 4095).astype(np.float32), "TIFF"),
        "32-bit floating point values 0.0732601 … 1",
    ),
    "TIFF, floating point and NaN": (
        saved(np.array([[np.nan, -2.5, np.inf, 1e6]], np.float32), "TIFF"),
        "32-bit floating point values -2.5 … 1e+06",
    ),
    "TIFF, only NaN": (
        saved(np.full((1, 2), np.nan, np.float32), "TIFF"),
        "32-bit floating point values, none of them finite",
    ),
}


class TestMoreThan8Bits:
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize(("content", "what"), DEEP.values(), ids=DEEP)
    def test_are_refused_with_their_range(self, content: bytes, what: str, channels: Any) -> None:
        with pytest.raises(UserError) as failure:
            convert_image(open_image(content), channels)
        assert str(failure.value) == f"holds {what}; {ONLY_8_BITS}"

    def test_in_an_image_that_comes_from_no_file(self) -> None:
        with pytest.raises(UserError, match=r"^holds 16-bit values 300 … 4095; only 8 bits"):
            convert_image(Image.fromarray(LEVELS.astype(np.uint16)), 3)
        with pytest.raises(UserError, match=r"^holds 32-bit values 300 … 4095; only 8 bits"):
            convert_image(Image.fromarray(LEVELS.astype(np.int32)), 3)

    def test_in_a_damaged_file(self) -> None:
        with pytest.raises(UserError, match=r"^does not decode: "):
            convert_image(open_image(DEEP["PNG, grey"][0][:60]), 1)


MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "WEBP": ("L", "RGB", "RGBA"),
}


@pytest.mark.parametrize(("form", "mode"), [(form, mode) for form, modes in MODES.items() for mode in modes])
def test_8_bits_and_fewer_are_converted(form: str, mode: str) -> None:
    image = noise(1).convert(mode)
    out = io.BytesIO()
    image.save(out, form, **({"lossless": True} if form == "WEBP" else {}))
    converted = convert_image(open_image(out.getvalue()), 3)
    assert converted.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(converted), np.asarray(image.convert("RGB")))


def test_16_bits_a_pixel_are_fewer_than_8_a_channel() -> None:
    """A BMP file of 5, 6 and 5 bits, whose layout Pillow calls BGR;16."""
    pixels = struct.pack("<2H", 0xF800, 0x001F)
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 3, len(pixels), 0, 0, 0, 0)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    start = 14 + len(header) + len(masks)
    image = open_image(b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + masks + pixels)
    assert image.tile[0][3][0] == "BGR;16"
    assert np.asarray(convert_image(image, 3)).tolist() == [[[255, 0, 0], [0, 0, 255]]]
