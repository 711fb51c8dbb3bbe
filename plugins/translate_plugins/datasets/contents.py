"""What the files of a domain hold, images or label maps, and how each kind is read and resized."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from PIL import Image

from translate_core import Channels, UserError, convert_image, read_label_map

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
