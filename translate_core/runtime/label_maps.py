"""Label maps: images whose pixels are numbers of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from translate_core.errors import NoMemoryError, UserError
from translate_core.runtime.images import NO_MEMORY, without_limit

_UNITS = {"L;2": 85, "L;4": 17}  # Pillow scales greyscale PNG files of 2 and 4 bits a pixel to 0 … 255


def read_label_map(image: Image.Image, classes: Sequence[str]) -> Image.Image:
    """The numbers of the classes as an image of mode L: grey values, or the indices of a palette.

    The rotation in EXIF data is applied. Pass the image as `open_image` returns it: how many bits a pixel has is lost
    once it is decoded.

    classes: their names, in the order of their numbers.

    Raises:
        UserError: the file is damaged, is not a greyscale or palette PNG file of at most 8 bits a pixel, or holds
            numbers beyond the classes.
    """
    if image.format not in ("PNG", None) or image.mode not in ("1", "L", "P"):
        kind = f"a {image.format} file" if image.format else "an image"
        raise UserError(
            f"is {kind} of mode {image.mode}, not a label map: a greyscale or palette PNG file "
            "of at most 8 bits, where each pixel is the number of a class"
        )
    unit = next((_UNITS[layout] for layout in _layouts(image) if layout in _UNITS), 1)
    try:
        with without_limit():
            numbers = np.asarray(ImageOps.exif_transpose(image)).astype(np.uint8) // unit
    except MemoryError:
        raise NoMemoryError(NO_MEMORY) from None
    except Exception as error:  # an image that was only opened is decoded here
        raise UserError(f"does not decode: {error}") from None
    beyond = numbers >= len(classes)
    if beyond.any():
        row, column = divmod(int(beyond.argmax()), numbers.shape[1])
        raise UserError(
            f"holds the value {numbers[row, column]} (row {row}, column {column}), "
            f"but data.classes lists {len(classes)} classes, numbered 0 … {len(classes) - 1}"
        )
    return Image.fromarray(numbers)


def _layouts(image: Image.Image) -> list[str]:
    """How the pixels lie in the file, by part of it; only before they are decoded."""
    parts = getattr(image, "tile", ())
    return [str(part[3][0] if isinstance(part[3], tuple) else part[3]) for part in parts]
