"""What the files of a domain hold, images or label maps, and how each kind is read and resized."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageOps

from translate_core import Channels, UserError, convert_image

_UNITS = {"L;2": 85, "L;4": 17}  # Pillow scales greyscale PNG files of 2 and 4 bits a pixel to 0 … 255
_MOST = 256


@dataclass(frozen=True)
class Content:
    """How the images of a domain are read and resized.

    Args:
        read: an opened file as an image of 8 bits a channel. Raises UserError for a file that cannot be used.
        resampling: Pillow's filter for resizing.
    """

    read: Callable[[Image.Image], Image.Image]
    resampling: Image.Resampling = Image.Resampling.BICUBIC


def images(channels: Channels) -> Content:
    """Images of any kind, with 3 (RGB) or 1 (greyscale) channels."""
    return Content(partial(convert_image, channels=channels))


def label_maps(classes: Sequence[str]) -> Content:
    """Label maps: PNG files whose pixels are numbers of classes, resized by nearest neighbour."""
    return Content(partial(read_label_map, classes=classes), Image.Resampling.NEAREST)


def read_label_map(image: Image.Image, classes: Sequence[str]) -> Image.Image:
    """The numbers of the classes as an image of mode L: grey values, or the indices of a palette.

    The rotation in EXIF data is applied. Pass the image as `open_image` returns it: how many bits a pixel has is lost
    once it is decoded.

    Raises:
        UserError: the file is damaged, is not a greyscale or palette PNG file of at most 8 bits a pixel, or holds
            numbers beyond the classes.
    """
    if image.format != "PNG" or image.mode not in ("1", "L", "P"):
        raise UserError(
            f"is a {image.format} file of mode {image.mode}, not a label map: a greyscale or palette PNG file "
            "of at most 8 bits, where each pixel is the number of a class"
        )
    unit = next((_UNITS[layout] for layout in _layouts(image) if layout in _UNITS), 1)
    try:
        numbers = np.asarray(ImageOps.exif_transpose(image)).astype(np.uint8) // unit
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


def channels_of(
    given: Mapping[str, Channels | None], maps: Sequence[str], classes: Sequence[str]
) -> dict[str, Channels]:
    """The number of channels by domain: 1 for label maps, else as given, by default 3.

    Args:
        given: by domain.
        maps: the domains whose files are label maps.
        classes: the names of the classes, in the order of their numbers.

    Raises:
        UserError: the options contradict each other.
    """
    if repeated := _repeated(maps):
        raise UserError(f"maps lists {repeated} twice")
    if maps and not classes:
        raise UserError(
            "maps needs classes, the names of the numbers 0, 1, … in the label maps, such as classes: [sky, road]"
        )
    if classes and not maps:
        raise UserError("classes are those of label maps, but maps is empty: list their domain, such as maps: [A]")
    if repeated := _repeated(classes):
        raise UserError(f"classes lists {repeated} twice")
    if len(classes) > _MOST:
        raise UserError(f"classes lists {len(classes)} names, but an 8-bit label map has at most {_MOST} numbers")
    for domain in maps:
        if given[domain] not in (None, 1):
            raise UserError(
                f"channels_{domain} is {given[domain]}, but the label maps of {domain} have 1 channel: leave it out"
            )
    return {domain: 1 if domain in maps else channels or 3 for domain, channels in given.items()}


def _repeated(names: Sequence[str]) -> str:
    """The first name that occurs more than once, or nothing."""
    return next((name for name, count in Counter(names).items() if count > 1), "")
