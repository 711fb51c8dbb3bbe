"""Grids of sample pictures with labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from translate_core import Sample

WORDS = {
    "real": "real",
    "fake": "fake",
    "rec": "reconstructed",
    "idt": "identity",
    "target": "target",
    "other": "another draw",
    "attention": "attention",
}
"""Column headings by the part of a tensor's name before `_`. Other tensors are headed by their name alone."""

# Limits of a picture's longer side in pixels. Smaller pictures are enlarged and larger ones reduced, all of a grid by
# the same factor.
_SMALLEST, _LARGEST = 128, 512
_MARGIN, _GAP = 12, 6
_TITLE, _WORD, _SMALL = 20, 16, 13
_BACKGROUND, _INK, _FAINT = (255, 255, 255), (0, 0, 0), (110, 110, 110)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_grids(step: int, samples: Sequence[Sample]) -> Iterator[tuple[str, Image.Image]]:
    """Yields each direction with its grid, in the order in which the directions first appear in `samples`."""
    for direction in dict.fromkeys(sample.direction for sample in samples):
        yield direction, _draw(f"{direction}   step {step}", [row for row in samples if row.direction == direction])


def _draw(title: str, rows: Sequence[Sample]) -> Image.Image:
    """A row for each image with its name below, a column for each tensor with its heading and its name above."""
    zoom = _zoom(rows)
    panels = [{label: _resized(picture, zoom) for label, picture in row.pictures.items()} for row in rows]
    labels = list(dict.fromkeys(label for row in panels for label in row))
    title_font, word_font, small_font = (ImageFont.load_default(size) for size in (_TITLE, _WORD, _SMALL))

    widths = {}
    for label in labels:
        heads = max(word_font.getlength(_word(label)), small_font.getlength(label))
        widths[label] = max(math.ceil(heads), *(row[label].width for row in panels if label in row))
    heights = [max(panel.height for panel in row.values()) for row in panels]
    inner = max(sum(widths.values()) + _GAP * (len(labels) - 1), math.ceil(title_font.getlength(title)))
    head, foot = _TITLE + _WORD + _SMALL + 4 * _GAP, _SMALL + 2 * _GAP
    size = (inner + 2 * _MARGIN, _MARGIN + head + sum(heights) + foot * len(rows))
    grid = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(grid)

    draw.text((_MARGIN, _MARGIN), title, fill=_INK, font=title_font)
    lefts = {}
    left = _MARGIN
    for label in labels:
        lefts[label] = left
        below = _MARGIN + _TITLE + 2 * _GAP
        draw.text((left, below), _word(label), fill=_INK, font=word_font)
        draw.text((left, below + _WORD + _GAP // 2), label, fill=_FAINT, font=small_font)
        left += widths[label] + _GAP
    top = _MARGIN + head
    for row, row_panels, height in zip(rows, panels, heights, strict=True):
        for label, panel in row_panels.items():
            grid.paste(panel, (lefts[label], top))
        draw.text((_MARGIN, top + height + _GAP // 2), _shortened(row.image, small_font, inner), _FAINT, small_font)
        top += height + foot
    return grid


def _word(label: str) -> str:
    return WORDS.get(label.partition("_")[0], "")


def _zoom(rows: Sequence[Sample]) -> int:
    """The factor of enlargement, or minus the factor of reduction; a whole number, so that no pixel is interpolated."""
    side = max(max(picture.shape[-2:]) for row in rows for picture in row.pictures.values())
    return math.ceil(_SMALLEST / side) if side <= _LARGEST else -math.ceil(side / _LARGEST)


def _resized(picture: Tensor, zoom: int) -> Image.Image:
    """picture: uint8 (3, H, W)."""
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    if zoom < 0:
        return image.reduce(-zoom)
    return image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST)


def _shortened(text: str, font: Font, width: int) -> str:
    """The text, with its middle replaced by `…` where it is wider than `width` pixels."""
    kept = len(text)
    short = text
    while font.getlength(short) > width and kept > 2:
        kept -= 1
        short = f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"
    return short
