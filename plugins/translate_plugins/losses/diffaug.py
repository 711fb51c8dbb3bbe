"""Differentiable augmentation of the images that discriminators are given.

Zhao, Liu, Lin, Zhu and Han, Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020,
arXiv 2006.10738. Real images and fakes are augmented in the same way, in the losses of both sides: the discriminator
cannot memorise a small set of real images, and the generators do not learn to imitate the augmentation.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from translate_core import Tensors

Augmentation = Literal["color", "translation", "cutout"]

_DRAWS = 7
_SHIFT = 1 / 8
_CUT = 1 / 2


def augmented(images: Tensor, augment: tuple[Augmentation, ...], tensors: Tensors, *names: str) -> Tensor:
    """Augments images (N, C, H, W), in the order of `augment`, with separate draws for each image.

    names: identify the draws; the same names give the same augmentation within a batch.
    """
    if not augment:
        return images
    return apply(images, augment, tensors.uniform((_DRAWS, len(images)), images, "augment", *names))


def apply(images: Tensor, augment: tuple[Augmentation, ...], draws: Tensor) -> Tensor:
    """Augments images (N, C, H, W) by given draws, in the order of `augment`.

    color: brightness plus -0.5 … 0.5, then saturation times 0 … 2 (distance from the mean over the channels), then
    contrast times 0.5 … 1.5 (distance from the image's mean).
    translation: by up to an eighth of either side; uncovered pixels are zero.
    cutout: a rectangle of half of either side is set to zero; its centre is anywhere, so part of it may lie outside.

    draws: (7, N) from U[0, 1), of the dtype and device of the images; rows 0 to 2 for color, 3 and 4 for translation, 5
    and 6 for cutout.
    """
    for name in augment:
        if name == "color":
            images = _color(images, draws[0:3])
        elif name == "translation":
            images = _translation(images, draws[3:5])
        else:
            images = _cutout(images, draws[5:7])
    return images


def _color(images: Tensor, draws: Tensor) -> Tensor:
    brightness, saturation, contrast = draws.view(3, -1, 1, 1, 1)
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (contrast + 0.5)


def _translation(images: Tensor, draws: Tensor) -> Tensor:
    height, width = images.shape[2:]
    rows, inside_rows = _shifted(height, draws[0])
    columns, inside_columns = _shifted(width, draws[1])
    places = rows.unsqueeze(2) * width + columns.unsqueeze(1)  # (N, H, W): the source index of each pixel
    moved = images.flatten(2).gather(2, places.flatten(1).unsqueeze(1).expand(-1, images.shape[1], -1))
    inside = inside_rows.unsqueeze(2) & inside_columns.unsqueeze(1)
    return moved.view(images.shape) * inside.unsqueeze(1)


def _shifted(size: int, draw: Tensor) -> tuple[Tensor, Tensor]:
    """The source index of each of `size` pixels, clamped, and whether it lies inside the image; (N, size) both."""
    furthest = int(size * _SHIFT + 0.5)
    shift = _whole(draw, 2 * furthest + 1) - furthest
    source = torch.arange(size, device=draw.device) - shift.unsqueeze(1)
    return source.clamp(0, size - 1), (source >= 0) & (source < size)


def _cutout(images: Tensor, draws: Tensor) -> Tensor:
    rows = _covered(images.shape[2], draws[0])
    columns = _covered(images.shape[3], draws[1])
    return images * ~(rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)


def _covered(size: int, draw: Tensor) -> Tensor:
    """Whether each of `size` pixels lies in the cut-out; (N, size)."""
    length = int(size * _CUT + 0.5)
    # The centre of an even length lies between two pixels, so there is one more position for it.
    first = (_whole(draw, size + 1 - length % 2) - length // 2).unsqueeze(1)
    places = torch.arange(size, device=draw.device)
    return (places >= first) & (places < first + length)


def _whole(draw: Tensor, count: int) -> Tensor:
    """Maps U[0, 1) to the integers 0 … count - 1. The largest draw, 1 - 2⁻²⁴, never rounds up to `count`."""
    return (draw * count).long()
