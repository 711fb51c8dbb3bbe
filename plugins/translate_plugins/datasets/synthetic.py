"""Drawn horses, zebras and ponies: a set without files, whose test images have targets to compare translations with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt

from translate_core import Dataset, Item, TestSplit, TrainSplit, UserError, numpy_generator

from ._drawing import DRAWING, PONIES, Species, draw

Images = NDArray[np.uint8]

SCENES: Mapping[str, str] = {"horse": "A", "zebra": "B", "pony": "C"}
"""Whose scenes the images of each species are: the horses of all sets are the same, whatever their domain is called."""


class Synthetic(Dataset):
    """Horses (A) and zebras (B), drawn when the set is opened: unpaired or paired, with targets for the test images.

    A scene is a landscape with an animal, drawn with a horse or with a zebra; each of the two images determines the
    other. The dark stripes of a zebra have the horse's colour; the cream colour between them is the same for all. A
    horse is faintly lighter where the zebra is cream. All other pixels are equal. No scene occurs in both training
    domains, unless `paired` is set; the test images of each domain are further scenes, with `target_A` or `target_B`.

    With `domains` it is a set of many domains, as `class_folders` is: a draw gives two images of one of them as `real`
    and `other`, each mirrored on its own, and its number as `label`. A pony is violet where a horse is brown or grey:
    the colour of its coat is a linear function of the horse's; mane and hooves are light, and it has the horse's faint
    stripes. So an image of any of the three determines the other two. Test images have a target in every other domain.

    Every image depends only on `seed`, its split, its domain and its number. An epoch is `train` draws: A in shuffled
    order, B at random with replacement; with `paired` both drawings of a scene, in shuffled order, mirrored together;
    with `domains` `train` draws for each domain, each image once as `real`. Images are uint8 (3, size, size).

    Args:
        size: height and width of the images, a multiple of 4, at most 1024; stripes are some 3 pixels wide at 64.
        train: training images in each domain, at most 10000: all are drawn before training.
        test: test images in each domain, at most 10000.
        seed: decides the scenes.
        flip: mirror each training image with a probability of one half.
        paired: train on pairs: B is the zebra of the scene that A shows with a horse. The test images do not change.
        domains: two or three of horse, zebra and pony, in the order of their labels; none for A and B.

    Raises:
        UserError: the options contradict each other.
    """

    def __init__(
        self,
        size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)] = 64,
        train: Annotated[int, Field(ge=1, le=10_000)] = 400,
        test: Annotated[int, Field(ge=1, le=10_000)] = 64,
        seed: NonNegativeInt = 0,
        flip: bool = True,
        paired: bool = False,
        domains: tuple[Species, ...] = (),
    ) -> None:
        _check(domains, train, paired)
        self._labelled = bool(domains)
        self._species: Mapping[str, Species] = {name: name for name in domains} or {"A": "horse", "B": "zebra"}
        self.domains = tuple(self._species)
        self.kinds = {"label": "label"} if domains else {}
        self.channels = dict.fromkeys(self.domains, 3)
        self.size = (size, size)
        self._side = size
        self._lengths = {"train": train, "test": test}
        self._seed = seed
        self._flip = flip
        self._paired = paired

    def open(self) -> None:
        """Draws all images: about 3 seconds for a thousand of 64×64."""
        self.train = self._train_split()
        self.test = {domain: self._test_split(domain) for domain in self.domains}

    def _train_split(self) -> TrainSplit:
        if self._paired:
            horses, zebras = self._draw("train", "A", ["horse", "zebra"])
            return _PairedTrain(horses, zebras, self._flip)
        images = [self._draw("train", domain, [species])[0] for domain, species in self._species.items()]
        if self._labelled:
            return _LabelledTrain(images, self._flip)
        horses, zebras = images
        return _Train(horses, zebras, self._flip)

    def _test_split(self, domain: str) -> TestSplit:
        drawn = self._draw("test", domain, list(self._species.values()))
        return _Test(
            {
                f"{'real' if of == domain else 'target'}_{of}": images
                for of, images in zip(self.domains, drawn, strict=True)
            }
        )

    def fingerprint(self) -> str:
        """16 hexadecimal digits of the options that decide the images and of the version of the drawing.

        The pixels are left out: their last bit may differ between processors, and a run may move to another machine.
        """
        decides = f"{DRAWING} {self._side} {self._lengths['train']} {self._lengths['test']} {self._seed}"
        if self._paired:
            decides += " paired"
        if self._labelled:
            decides += f" {' '.join(self.domains)} {PONIES}"
        return hashlib.sha256(decides.encode()).hexdigest()[:16]

    def _draw(self, split: Literal["train", "test"], domain: str, species: Sequence[Species]) -> list[Images]:
        """The scenes of one domain of a split, drawn with each species."""
        scenes = SCENES[self._species[domain]]
        drawn = [
            draw(numpy_generator(self._seed, "synthetic", split, scenes, index), self._side, species)
            for index in range(self._lengths[split])
        ]
        return [np.stack(images) for images in zip(*drawn, strict=True)]


def _check(domains: Sequence[str], train: int, paired: bool) -> None:
    """Raises UserError for options that contradict each other."""
    if not domains:
        return
    repeated = [name for number, name in enumerate(domains) if name in domains[:number]]
    if repeated:
        raise UserError(f"domains lists {repeated[0]} twice")
    if len(domains) == 1:
        raise UserError(f"domains lists {domains[0]} only: at least two of horse, zebra, pony are needed")
    if paired:
        raise UserError("paired is true, but with domains images are drawn one by one: leave one of the two out")
    if train < 2:
        raise UserError(
            "train is 1, but with domains a draw takes two different images of a domain: set it to 2 or more"
        )


class _Augmented(TrainSplit):
    """Mirrors images at random."""

    def __init__(self, flip: bool) -> None:
        self._flip = flip

    def _augmented(self, images: Sequence[Images], rng: np.random.Generator) -> list[torch.Tensor]:
        """Copies of the images, either all mirrored or none."""
        mirrored = self._flip and rng.random() < 0.5
        return [torch.from_numpy((image[..., ::-1] if mirrored else image).copy()) for image in images]


class _Train(_Augmented):
    def __init__(self, horses: Images, zebras: Images, flip: bool) -> None:
        super().__init__(flip)
        self._horses = horses
        self._zebras = zebras

    def __len__(self) -> int:
        return len(self._horses)

    def draw(self, index: int, rng: np.random.Generator) -> Item:
        other = int(rng.integers(len(self._zebras)))
        (horse,) = self._augmented([self._horses[index]], rng)
        (zebra,) = self._augmented([self._zebras[other]], rng)
        return {"real_A": horse, "real_B": zebra}


class _PairedTrain(_Train):
    def draw(self, index: int, rng: np.random.Generator) -> Item:
        horse, zebra = self._augmented([self._horses[index], self._zebras[index]], rng)
        return {"real_A": horse, "real_B": zebra}


class _LabelledTrain(_Augmented):
    """images: of each domain, in the order of their labels, equally many."""

    def __init__(self, images: Sequence[Images], flip: bool) -> None:
        super().__init__(flip)
        self._images = images

    def __len__(self) -> int:
        return sum(map(len, self._images))

    def draw(self, index: int, rng: np.random.Generator) -> Item:
        label, number = divmod(index, len(self._images[0]))
        images = self._images[label]
        other = (number + 1 + int(rng.integers(len(images) - 1))) % len(images)
        (first,) = self._augmented([images[number]], rng)
        (second,) = self._augmented([images[other]], rng)
        return {"real": first, "other": second, "label": torch.tensor(label)}


class _Test(TestSplit):
    """images: of the domain and of their targets, by name."""

    def __init__(self, images: Mapping[str, Images]) -> None:
        self._images = dict(images)

    def __len__(self) -> int:
        return len(next(iter(self._images.values())))

    def __getitem__(self, index: int) -> Item:
        return {name: torch.from_numpy(images[index].copy()) for name, images in self._images.items()}

    def name(self, index: int) -> str:
        return f"{index:04d}"
