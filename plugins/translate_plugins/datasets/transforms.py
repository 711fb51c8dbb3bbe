"""Resizing, cropping and flipping of images between their file and a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import PositiveInt
from torch import Tensor

from translate_core import Length, UserError


@dataclass(frozen=True)
class Transform:
    """Size, crop and flip: of each image separately where images are unpaired, of both images of a pair alike.

    Test images are resized to the crop's size if there is one (with `keep_aspect`: scaled until they just cover it,
    then cropped in the middle), else they are resized as for training; they are never flipped.

    Args:
        resize: height and width of every image before the crop, one number for a square; the aspect is not kept.
        keep_aspect: `resize` is the length of the shorter side, and the aspect is kept.
        crop: height and width of a random crop in training, one number for a square.
        flip: mirror half of the training images, left to right.
        crop_until: number of epochs with cropping; from then on training images are sized as test images are, and only
            flipped (CUT: `200 epochs` of cropping, `resize: 286`, `crop: 256`, then resized to 256).

    Raises:
        UserError: the options contradict each other.
    """

    resize: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    keep_aspect: bool = False
    crop: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    flip: bool = True
    crop_until: Length | None = None

    def __post_init__(self) -> None:
        if self.crop_until is not None and self.crop is None:
            raise UserError("crop_until is the end of cropping, but crop is not given")
        if self.crop_until is not None and self.crop_until.unit != "epochs":
            raise UserError(f"crop_until must be in epochs, such as '200 epochs', not '{self.crop_until}'")
        if self.keep_aspect and not isinstance(self.resize, int):
            given = "is not given" if self.resize is None else "gives both sides"
            raise UserError(f"keep_aspect needs the shorter side as resize, one number, but resize {given}")
        if self.resize is not None and self.crop is not None:
            resize, crop = _both_sides(self.resize), _both_sides(self.crop)
            # The longer side of an image that keeps its aspect is not known here.
            fits = min(crop) <= resize[0] if self.keep_aspect else crop[0] <= resize[0] and crop[1] <= resize[1]
            if not fits:
                raise UserError(
                    f"crop {_show(self.crop)} is greater than resize {_show(self.resize)}: it must fit inside"
                )

    @property
    def stages(self) -> list[Stage]:
        """The stages of training: one way of sizing and augmenting images, or two with `crop_until`."""
        stages = [Stage(self.prepare_training, self, 0)]
        if self.crop_until is not None:
            stages.append(Stage(self.prepare_test, Transform(flip=self.flip), self.crop_until.count))
        return stages

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of every training image, or None if that depends on the image."""
        if self.crop is not None:
            return _both_sides(self.crop)
        if self.resize is not None and not self.keep_aspect:
            return _both_sides(self.resize)
        return None

    def prepare_training(self, image: Image.Image, resampling: Image.Resampling) -> Image.Image:
        """Sizes a training image; done once, when the set is opened. resampling: the filter where it is resized.

        Raises:
            UserError: the image is smaller than the crop.
        """
        if self.keep_aspect:
            assert isinstance(self.resize, int)
            image = _resize(image, _covering(image, (self.resize, self.resize)), resampling)
        elif self.resize is not None:
            image = _resize(image, _both_sides(self.resize), resampling)
        if self.crop is not None:
            height, width = _both_sides(self.crop)
            if image.height < height or image.width < width:
                raise UserError(
                    f"is {image.height} × {image.width} (height × width) where it is cropped, smaller than "
                    f"transform.crop {height} × {width}: remove it, or set transform.resize"
                )
        return image

    def prepare_test(self, image: Image.Image, resampling: Image.Resampling) -> Image.Image:
        """Sizes a test image. resampling: the filter where it is resized."""
        if self.crop is None:
            return self.prepare_training(image, resampling)
        height, width = _both_sides(self.crop)
        if not self.keep_aspect:
            return _resize(image, (height, width), resampling)
        image = _resize(image, _covering(image, (height, width)), resampling)
        top, left = (image.height - height) // 2, (image.width - width) // 2
        return image.crop((left, top, left + width, top + height))

    def augment(self, image: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
        """Crops and flips a training image at random. image: sized, uint8 (C, H, W). Returns a copy."""
        return self.augment_alike([image], rng)[0]

    def augment_alike(self, images: Sequence[NDArray[np.uint8]], rng: np.random.Generator) -> list[Tensor]:
        """Crops and flips images at random, all alike. images: as for `augment`, of one height and width.

        Draws from `rng` exactly as `augment` does for a single image.
        """
        if self.crop is not None:
            height, width = _both_sides(self.crop)
            top = int(rng.integers(images[0].shape[1] - height + 1))
            left = int(rng.integers(images[0].shape[2] - width + 1))
            images = [image[:, top : top + height, left : left + width] for image in images]
        if self.flip and rng.random() < 0.5:
            images = [image[:, :, ::-1] for image in images]
        # Copied by numpy: torch would share so small a copy among its threads, which costs more than it gains.
        return [torch.from_numpy(np.array(image, order="C")) for image in images]


@dataclass(frozen=True)
class Stage:
    """How training images are sized and augmented from some epoch on.

    Args:
        prepare: sizes an image by a filter, once, when the set is opened.
        transform: its `augment` and `augment_alike` are applied in each draw.
        first: the first epoch of this stage, counted from 0.
    """

    prepare: Callable[[Image.Image, Image.Resampling], Image.Image]
    transform: Transform
    first: int


def _both_sides(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _show(size: int | tuple[int, int]) -> str:
    return str(size) if isinstance(size, int) else f"{size[0]} × {size[1]}"


def _covering(image: Image.Image, size: tuple[int, int]) -> tuple[int, int]:
    """The smallest (height, width) of the image's aspect that covers `size`."""
    factor = max(size[0] / image.height, size[1] / image.width)
    return max(size[0], round(image.height * factor)), max(size[1], round(image.width * factor))


def _resize(image: Image.Image, size: tuple[int, int], resampling: Image.Resampling) -> Image.Image:
    return image.resize((size[1], size[0]), resampling)
