"""Sliced Wasserstein distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from translate_core import SetMetric, numpy_generator

_SIDE = 7
"""Height and width of a descriptor in pixels."""
_SMALLEST = 16
"""The shorter side of the coarsest level in pixels, at least."""
_LEVELS = 12
"""Levels of a pyramid at most: enough for images of 32768 pixels."""
_REPEATS = 4
_PROJECTIONS = 128
_FLAT = 1e-5
"""The least standard deviation by which a channel is divided: images may have a constant colour."""


@dataclass(frozen=True)
class PyramidDescriptors:
    """Random neighbourhoods of 7×7 pixels on every level of an image's Laplacian pyramid.

    The levels are the full resolution, half of it, and so on while the shorter side has at least 16 pixels; a smaller
    image has one level, and is extended to 7 pixels by repeating its edges. The positions are drawn from a seed that
    depends on the image's mean value in 8 bits: they differ between images, and are a function of the image.

    Args:
        count: descriptors of each level and image.
        seed: decides the positions.
    """

    count: int
    seed: int

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """images: (N, C, H, W). Returns (N · count, C, 7, 7) for each of 12 levels, and no rows above the coarsest."""
        images = images.detach()
        means = images.mean((1, 2, 3)).add(1.0).mul(127.5).round().int().tolist()
        levels = [self._descriptors(level, number, means) for number, level in enumerate(laplacian_pyramid(images))]
        none = images.new_empty(0, images.shape[1], _SIDE, _SIDE)
        return (*levels, *[none] * (_LEVELS - len(levels)))

    def _descriptors(self, level: Tensor, number: int, means: list[int]) -> Tensor:
        windows = level.unfold(2, _SIDE, 1).unfold(3, _SIDE, 1)
        highest = (windows.shape[2], windows.shape[3])
        drawn = np.stack(
            [numpy_generator(self.seed, number, mean).integers(0, highest, (self.count, 2)) for mean in means]
        )
        rows, columns = torch.from_numpy(drawn).to(level.device).unbind(2)
        image = torch.arange(len(level), device=level.device)[:, None]
        return windows[image, :, rows, columns].flatten(0, 1)


def laplacian_pyramid(images: Tensor) -> list[Tensor]:
    """The levels of Burt and Adelson's Laplacian pyramid, fine to coarse; the last is the low-pass rest.

    Each level is halved after the 5×5 binomial filter [1 4 6 4 1], mirrored at the edges. Sides that are odd are halved
    upwards.
    """
    height, width = images.shape[-2:]
    coarse = F.pad(images, (0, max(0, _SIDE - width), 0, max(0, _SIDE - height)), mode="replicate")
    levels = []
    while min((side + 1) // 2 for side in coarse.shape[-2:]) >= _SMALLEST:
        fine, coarse = coarse, _filtered(coarse)[..., ::2, ::2]
        spread = torch.zeros_like(fine)
        spread[..., ::2, ::2] = 4.0 * coarse
        levels.append(fine - _filtered(spread))
    return [*levels, coarse]


def _filtered(images: Tensor) -> Tensor:
    """The binomial filter in both directions.

    Shifted copies are added up instead of convolved: a GPU may convolve in TensorFloat-32, which is too coarse.
    """
    height, width = images.shape[-2:]
    padded = F.pad(images, (2, 2, 2, 2), mode="reflect")
    weights = [weight / 16 for weight in (1, 4, 6, 4, 1)]
    lines = torch.stack([weight * padded.narrow(-2, place, height) for place, weight in enumerate(weights)]).sum(0)
    return torch.stack([weight * lines.narrow(-1, place, width) for place, weight in enumerate(weights)]).sum(0)


class SWD(SetMetric[tuple[Tensor, ...]]):
    """Sliced Wasserstein distance between two sets of images (Karras et al., Progressive Growing of GANs, ICLR 2018).

    It compares local structure at several scales and needs no weights and no targets (section 5 of the paper). On each
    level of the Laplacian pyramids, random neighbourhoods of 7×7 pixels are normalised: each channel to mean 0 and
    standard deviation 1 over its set. The distance of a level is the mean over 512 random directions of the Wasserstein
    distance between the projections of both sets; the value is the mean over the levels, multiplied by 1000.

    Mean colour and contrast of a whole set do not count, because of the normalisation. The fewer the images, the
    larger the value, for equal distributions too: compare only values of equal numbers of images and equal sizes.

    Args:
        descriptors: neighbourhoods of each level and image.
        seed: decides their positions and the directions.
    """

    higher_is_better = False

    def __init__(self, *, descriptors: PositiveInt = 128, seed: NonNegativeInt = 0) -> None:
        self._seed = seed
        self.embedding = PyramidDescriptors(descriptors, seed)
        self.protocol = (
            f"sliced Wasserstein distance x 1000 of Karras et al. 2018: images in [-1, 1], not quantised; Laplacian "
            f"pyramids (5x5 binomial filter, mirrored edges) from full resolution while the shorter side has 16 "
            f"pixels; {descriptors} random 7x7 neighbourhoods of each level and image; each channel normalised over "
            f"its set; {_REPEATS} x {_PROJECTIONS} random directions; 1-D Wasserstein distance, exact also between "
            f"sets of different size; mean over levels; seed {seed}"
        )

    def distance(self, outputs: tuple[Tensor, ...], references: tuple[Tensor, ...]) -> float:
        """The mean over the levels that both sets have. Sets of any number of images, of the same channels."""
        distances = [
            self._of_level(number, *level)
            for number, level in enumerate(zip(outputs, references, strict=True))
            if all(map(len, level))
        ]
        return 1000.0 * sum(distances) / len(distances)

    def _of_level(self, number: int, outputs: Tensor, references: Tensor) -> float:
        x, y = normalised(outputs), normalised(references)
        rng = numpy_generator(self._seed, "directions", number)
        # A repeat at a time: the projections take more memory than the descriptors.
        return sum(_mean_distance(x, y, rng) for _ in range(_REPEATS)) / _REPEATS


def normalised(descriptors: Tensor) -> Tensor:
    """(N, C, 7, 7) as (N, C · 49), each channel with mean 0 and standard deviation 1 over the set."""
    variance, mean = torch.var_mean(descriptors, (0, 2, 3), correction=0, keepdim=True)
    return ((descriptors - mean) / variance.sqrt().clamp(min=_FLAT)).flatten(1)


def _mean_distance(x: Tensor, y: Tensor, rng: np.random.Generator) -> float:
    """The mean over 128 random directions of the distance between the projections of x and y."""
    directions = rng.standard_normal((_PROJECTIONS, x.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    along = torch.from_numpy(directions).to(x.device, x.dtype)
    return wasserstein(_sorted(along @ x.T), _sorted(along @ y.T))


def wasserstein(x: Tensor, y: Tensor) -> float:
    """The Wasserstein-1 distance between two sets of numbers, averaged over the leading dimension.

    It is the integral of the difference of both quantile functions. For sets of equal size this is the mean absolute
    difference of sorted values; otherwise each value has the weight of one over the size of its set.

    x, y: (K, N) and (K, M), sorted along the second dimension.
    """
    size_x, size_y = x.shape[1], y.shape[1]
    if size_x == size_y:
        return (x - y).abs().mean().item()
    # Both quantile functions are constant between multiples of 1/N and 1/M; here multiplied by N · M.
    ends = torch.unique(torch.cat((torch.arange(1, size_x + 1) * size_y, torch.arange(1, size_y + 1) * size_x)))
    starts = F.pad(ends[:-1], (1, 0))
    weights = ((ends - starts).double() / (size_x * size_y)).to(x.device, x.dtype)
    of_x, of_y = ((starts // size).to(x.device) for size in (size_y, size_x))
    return ((x[:, of_x] - y[:, of_y]).abs() @ weights).mean().item()


def _sorted(values: Tensor) -> Tensor:
    """Sorted along the last dimension; on a CPU by numpy, which is three times as fast."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.sort(values.numpy(), axis=-1))
    return values.sort(-1).values
