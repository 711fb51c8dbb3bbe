"""Drawn horses and zebras: a dataset without files, whose test images have targets to compare translations with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt

from translate_core import Dataset, Item, TestSplit, TrainSplit, numpy_generator

from ._drawing import DRAWING, draw

Images = NDArray[np.uint8]
Domain = Literal["A", "B"]


class Synthetic(Dataset):
    """Horses (A) and zebras (B), drawn when the set is opened: unpaired or paired, with targets for the test images.

    A scene is a landscape with an animal, drawn with a horse or with a zebra; each of the two images determines the
    other. The dark stripes of a zebra have the horse's colour; the cream colour between them is the same for all. A
    horse is faintly lighter where the zebra is cream. All other pixels are equal. No scene occurs in both training
    domains, unless `paired` is set; the test images of each domain are further scenes, with `target_A` or `target_B`.

    Every image depends only on `seed`, its split, its domain and its number. An epoch is `train` draws: A in shuffled
    order, B at random with replacement; with `paired` both drawings of a scene, in shuffled order, mirrored together.
    Items are uint8 (3, size, size).

    Args:
        size: height and width of the images, a multiple of 4; stripes are some 3 pixels wide at 64.
        train: training images in each domain.
        test: test images in each domain.
        seed: decides the scenes.
        flip: mirror each training image with a probability of one half.
        paired: train on pairs: B is the zebra of the scene that A shows with a horse. The test images do not change.
    """

    def __init__(
        self,
        size: Annotated[int, Field(ge=16, multiple_of=4)] = 64,
        train: PositiveInt = 400,
        test: PositiveInt = 64,
        seed: NonNegativeInt = 0,
        flip: bool = True,
        paired: bool = False,
    ) -> None:
        self.channels = {"A": 3, "B": 3}
        self.size = (size, size)
        self._side = size
        self._lengths = {"train": train, "test": test}
        self._seed = seed
        self._flip = flip
        self._paired = paired

    def open(self) -> None:
        """Draws all images: about 3 seconds for a thousand of 64×64."""
        horses, zebras = self._draw("train", "A")
        if self._paired:
            self.train: TrainSplit = _PairedTrain(horses, zebras, self._flip)
        else:
            _, zebras = self._draw("train", "B")
            self.train = _Train(horses, zebras, self._flip)
        horses, as_zebras = self._draw("test", "A")
        as_horses, zebras = self._draw("test", "B")
        self.test = {"A": _Test("A", horses, as_zebras), "B": _Test("B", zebras, as_horses)}

    def fingerprint(self) -> str:
        """16 hexadecimal digits of the options that decide the images and of the version of the drawing.

        The pixels are left out: their last bit may differ between processors, and a run may move to another machine.
        """
        decides = f"{DRAWING} {self._side} {self._lengths['train']} {self._lengths['test']} {self._seed}"
        if self._paired:
            decides += " paired"
        return hashlib.sha256(decides.encode()).hexdigest()[:16]

    def _draw(self, split: Literal["train", "test"], domain: Domain) -> tuple[Images, Images]:
        """The scenes of one domain of a split, drawn with horses and with zebras."""
        scenes = [
            draw(numpy_generator(self._seed, "synthetic", split, domain, index), self._side)
            for index in range(self._lengths[split])
        ]
        horses, zebras = zip(*scenes, strict=True)
        return np.stack(horses), np.stack(zebras)


class _Train(TrainSplit):
    def __init__(self, horses: Images, zebras: Images, flip: bool) -> None:
        self._horses = horses
        self._zebras = zebras
        self._flip = flip

    def __len__(self) -> int:
        return len(self._horses)

    def draw(self, index: int, rng: np.random.Generator) -> Item:
        other = int(rng.integers(len(self._zebras)))
        (horse,) = self._augmented([self._horses[index]], rng)
        (zebra,) = self._augmented([self._zebras[other]], rng)
        return {"real_A": horse, "real_B": zebra}

    def _augmented(self, images: Sequence[Images], rng: np.random.Generator) -> list[torch.Tensor]:
        """Copies of the images, either all mirrored or none."""
        mirrored = self._flip and rng.random() < 0.5
        return [torch.from_numpy((image[..., ::-1] if mirrored else image).copy()) for image in images]


class _PairedTrain(_Train):
    def draw(self, index: int, rng: np.random.Generator) -> Item:
        horse, zebra = self._augmented([self._horses[index], self._zebras[index]], rng)
        return {"real_A": horse, "real_B": zebra}


class _Test(TestSplit):
    def __init__(self, domain: Domain, images: Images, targets: Images) -> None:
        self._keys = (f"real_{domain}", "target_B" if domain == "A" else "target_A")
        self._images = images
        self._targets = targets

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Item:
        pair = (self._images[index], self._targets[index])
        return {key: torch.from_numpy(image.copy()) for key, image in zip(self._keys, pair, strict=True)}

    def name(self, index: int) -> str:
        return f"{index:04d}"
