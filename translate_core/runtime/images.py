"""Finds image files, opens them, and converts any of them to 8-bit RGB or greyscale."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from translate_core.errors import NoMemoryError, UserError

Channels = Literal[1, 3]
"""Channels of the images of a domain: 1 for greyscale, 3 for RGB."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""Endings of image files, compared without case."""

MAX_PIXELS = 178_956_970
"""The default limit of width × height: 512 MiB of RGB, and the number that Pillow refuses to exceed."""

NO_MEMORY = "takes more memory than there is: make it smaller, or close other programs"
"""The message for an image that cannot be decoded for want of memory."""

_BITS_PER_SAMPLE = 258
"""The TIFF tag."""
_DEEP_LAYOUT = re.compile(r"(?:I|LA?|RGB[AXa]?|CMYK);(12|16|32)")
"""Pillow's name of a layout with more than 8 bits a channel, `RGB;16B`; not `BGR;16`, which is 16 bits a pixel."""


def is_image(name: str) -> bool:
    """Whether a file name is that of an image: it has the ending of one (jpg, png, tif …) and is not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def find_images(folder: Path) -> list[str]:
    """Paths of all images in a folder and its sub-folders, relative to it, with `/`, sorted by code point.

    Hidden files and folders are left out. Links to folders are followed, but no folder is visited twice.

    Raises OSError for a folder that cannot be read: leaving out its images would change what is learned.
    """
    found: list[str] = []
    visited: set[str] = set()
    for current, folders, files in os.walk(folder, onerror=_unless_missing, followlinks=True):
        visited.add(os.path.realpath(current))
        folders[:] = [
            name
            for name in sorted(folders)
            if not name.startswith(".") and os.path.realpath(os.path.join(current, name)) not in visited
        ]
        found += [(Path(current) / name).relative_to(folder).as_posix() for name in files if is_image(name)]
    return sorted(found)


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def open_image(content: bytes, max_pixels: int = MAX_PIXELS, option: str = "max_pixels=") -> Image.Image:
    """Opens the content of an image file with Pillow; only the header is read, pixels are decoded on first use.

    Pillow's own limit (`Image.MAX_IMAGE_PIXELS`), which is the same for all of a process, does not apply.

    max_pixels: width × height of the largest image that is opened; a small file can decode to any size.
    option: what raises this limit, up to the number, for the message: `data.max_pixels: `.

    Raises:
        UserError: the content is not an image, or has more pixels than `max_pixels`.
    """
    if not content:
        raise UserError("is empty (0 bytes)")
    try:
        with without_limit():
            image = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise UserError("is not an image, or of a format that Pillow cannot read") from None
    except MemoryError:
        raise NoMemoryError(NO_MEMORY) from None
    except Exception as error:  # a damaged file can cause any exception in Pillow's decoders
        raise UserError(f"does not decode: {error}") from None
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise UserError(
            f"is {image.height:,} × {image.width:,} (height × width), {pixels:,} pixels; the limit is {max_pixels:,}: "
            f"make it smaller or cut it into pieces, or, if you trust the file, raise the limit with {option}{pixels}"
        )
    return image


@contextmanager
def without_limit() -> Iterator[None]:
    """Suspends Pillow's limit, which is one of the process and warns at half of what it refuses.

    It is restored when the last of several threads has left.
    """
    global _inside, _limit
    with _counting:
        if _inside == 0:
            _limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _inside += 1
    try:
        yield
    finally:
        with _counting:
            _inside -= 1
            if _inside == 0:
                Image.MAX_IMAGE_PIXELS = _limit


_counting = Lock()
_inside = 0
_limit: int | None = None


def convert_image(image: Image.Image, channels: Channels) -> Image.Image:
    """An image of any mode with 8 bits a channel, in mode RGB (3 channels) or L (1 channel).

    The rotation in EXIF data is applied, transparency is put on white; of several frames the first one is used. Pass
    the image as `open_image` returns it: of a file with 16 bits a colour Pillow decodes 8, and once it is decoded
    nothing in the image shows that.

    Raises:
        UserError: the file is damaged, or holds more than 8 bits a channel.
    """
    try:
        with without_limit():
            _refuse_deep(image)
            return _on_white(ImageOps.exif_transpose(image)).convert("RGB" if channels == 3 else "L")
    except UserError:
        raise
    except MemoryError:
        raise NoMemoryError(NO_MEMORY) from None
    except Exception as error:  # an image that was only opened is decoded here
        raise UserError(f"does not decode: {error}") from None


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _refuse_deep(image: Image.Image) -> None:
    """Raises UserError for an image of more than 8 bits a channel, with the range of its values."""
    bits = _bits(image)
    if bits <= 8:
        return
    if image.mode == "F":
        values = np.asarray(image)
        finite = values[np.isfinite(values)]
        what = f"{bits}-bit floating point values"
        what += f" {finite.min():g} … {finite.max():g}" if finite.size else ", none of them finite"
    elif image.mode.startswith("I"):
        values = np.asarray(image)
        what = f"{bits}-bit values {values.min()} … {values.max()}"
    else:
        pixels = np.asarray(image)
        colours = pixels[..., :-1] if image.mode.endswith("A") else pixels
        unit = 2 ** (bits - 8)
        low, high = int(colours.min()) * unit, int(colours.max()) * unit + unit - 1
        what = f"{bits}-bit values within {low} … {high}, of which Pillow reads the upper 8 bits"
    raise UserError(
        f"holds {what}; only 8 bits a channel are supported so far: "
        "convert it to 8 bits with the range that you want to keep"
    )


def _bits(image: Image.Image) -> int:
    """Bits a channel, of the file where it is not decoded yet; 8 for fewer."""
    tags = getattr(image, "tag_v2", {})  # a TIFF file's
    if _BITS_PER_SAMPLE in tags:
        return max(8, *tags[_BITS_PER_SAMPLE])
    for tile in getattr(image, "tile", ()):  # how the pixels lie in the file, until they are decoded
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if match := _DEEP_LAYOUT.match(str(arguments[0])):
            return int(match[1])
    if image.mode.startswith("I;16"):
        return 16
    return 32 if image.mode in ("I", "F") else 8
