"""Which files are images, and how any of them becomes 8-bit RGB or greyscale."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from translate_core.errors import UserError

Channels = Literal[1, 3]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""Endings of image files, compared without case."""


def is_image(name: str) -> bool:
    """Whether a file of this name is taken for an image: by its ending, and not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def find_images(folder: Path) -> list[str]:
    """Names of all images in a folder and its sub-folders, relative to it, with `/`, sorted by code point.

    Hidden files and folders are left out. Links to folders are followed, but no folder is visited twice.
    """
    found: list[str] = []
    visited: set[str] = set()
    for current, folders, files in os.walk(folder, followlinks=True):
        visited.add(os.path.realpath(current))
        folders[:] = [
            name
            for name in sorted(folders)
            if not name.startswith(".") and os.path.realpath(os.path.join(current, name)) not in visited
        ]
        found += [(Path(current) / name).relative_to(folder).as_posix() for name in files if is_image(name)]
    return sorted(found)


def decode(content: bytes, channels: Channels) -> Image.Image:
    """The image in a file, as `convert` makes it; of several frames the first one.

    Raises:
        UserError: the content is no image, is damaged, or is of a kind whose range of values nobody can know.
    """
    return convert(open_image(content), channels)


def open_image(content: bytes) -> Image.Image:
    """The image in a file as Pillow opens it: nothing but its header is read.

    Raises:
        UserError: the content is no image, or has more pixels than Pillow takes.
    """
    if not content:
        raise UserError("is empty (0 bytes)")
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise UserError("is not an image, or of a format that Pillow cannot read") from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UserError(f"has more than {limit:,} pixels: cut it into pieces, or make it smaller") from None
    except Exception as error:  # Pillow's decoders let everything through that a damaged file can cause
        raise UserError(f"does not decode: {error}") from None


def convert(image: Image.Image, channels: Channels) -> Image.Image:
    """Any image, upright as its EXIF data say, in mode RGB (3 channels) or L (1 channel).

    16-bit greyscale is scaled to 8 bits, transparency is put on white.

    Raises:
        UserError: its file is damaged, or it is of a kind whose range of values nobody can know.
    """
    try:
        return _flatten(ImageOps.exif_transpose(image)).convert("RGB" if channels == 3 else "L")
    except UserError:
        raise
    except Exception as error:  # an image that was only opened is decoded here
        raise UserError(f"does not decode: {error}") from None


def _flatten(image: Image.Image) -> Image.Image:
    """Without transparency and with 8 bits."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_16_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def _from_16_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UserError("holds floating point numbers, whose range is not known: save it with 8 or 16 bits")
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise UserError("holds 32-bit numbers outside 0 … 65535: save it with 8 or 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
