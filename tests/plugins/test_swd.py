from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from translate_core.runtime.randomness import numpy_generator
from translate_plugins.metrics.swd import SWD, PyramidDescriptors, laplacian_pyramid, wasserstein

Array = npt.NDArray[np.float64]


def pictures(seed: int, count: int, *shape: int) -> list[Tensor]:
    """Smooth pictures with fine noise, (1, C, H, W)."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, shape[0], 5, 6, generator=rng) * 2 - 1
    smooth = F.interpolate(coarse, shape[1:], mode="bicubic")
    return list((smooth + 0.1 * torch.randn(count, *shape, generator=rng)).clamp(-1, 1).split(1))


def swd(outputs: list[Tensor], references: list[Tensor], metric: SWD | None = None) -> float:
    metric = metric or SWD()
    embedded = [
        tuple(map(torch.cat, zip(*(metric.embedding(item) for item in images), strict=True)))
        for images in (outputs, references)
    ]
    return metric.distance(embedded[0], embedded[1])


# An independent reference: loops over pixels, descriptors and directions, in float64.


def blurred(image: Array) -> Array:
    """(C, H, W) with the filter [1 4 6 4 1] / 16 in both directions, mirrored without repeating the edge."""
    height, width = image.shape[1:]

    def mirrored(place: int, length: int) -> int:
        place = abs(place)
        return place if place < length else 2 * (length - 1) - place

    weights = {-2: 1 / 16, -1: 4 / 16, 0: 6 / 16, 1: 4 / 16, 2: 1 / 16}
    lines = np.stack(
        [sum(w * image[:, mirrored(y + d, height)] for d, w in weights.items()) for y in range(height)], axis=1
    )
    return np.stack(
        [sum(w * lines[:, :, mirrored(x + d, width)] for d, w in weights.items()) for x in range(width)], axis=2
    )


def pyramid(image: Array) -> list[Array]:
    levels = []
    while min(math.ceil(image.shape[1] / 2), math.ceil(image.shape[2] / 2)) >= 16:
        small = blurred(image)[:, ::2, ::2]
        spread = np.zeros_like(image)
        spread[:, ::2, ::2] = small
        levels.append(image - 4 * blurred(spread))
        image = small
    return [*levels, image]


def descriptors(images: list[Array], number: int, count: int, seed: int) -> Array:
    """Rows of (C, 7, 7), at the positions that the metric draws."""
    rows = []
    for image in images:
        level = pyramid(image)[number]
        mean = round((image.mean() + 1) * 127.5)
        highest = (level.shape[1] - 6, level.shape[2] - 6)
        for y, x in numpy_generator(seed, number, mean).integers(0, highest, (count, 2)):
            rows.append(level[:, y : y + 7, x : x + 7])
    found = np.stack(rows)
    for channel in range(found.shape[1]):
        of_channel = found[:, channel]
        found[:, channel] = (of_channel - of_channel.mean()) / of_channel.std()
    return found.reshape(len(found), -1)


def expected(outputs: list[Tensor], references: list[Tensor], count: int, seed: int) -> float:
    stats = pytest.importorskip("scipy.stats")
    x, y = ([item[0].double().numpy() for item in images] for images in (outputs, references))
    values = []
    for number in range(len(pyramid(x[0]))):
        a, b = (descriptors(images, number, count, seed) for images in (x, y))
        rng = numpy_generator(seed, "directions", number)
        for _ in range(4):
            for direction in rng.standard_normal((128, a.shape[1])):
                along = direction / math.sqrt(float((direction**2).sum()))
                values.append(stats.wasserstein_distance(a @ along, b @ along))
    return 1000 * float(np.mean(values))


@pytest.mark.parametrize(
    ("shape", "numbers"), [((3, 64, 64), (3, 3)), ((1, 37, 51), (3, 2)), ((3, 70, 33), (2, 3)), ((2, 16, 20), (4, 1))]
)
def test_equals_a_plain_computation_in_float64(shape: tuple[int, int, int], numbers: tuple[int, int]) -> None:
    outputs, references = pictures(1, numbers[0], *shape), pictures(2, numbers[1], *shape)
    metric = SWD(descriptors=9, seed=5)
    assert swd(outputs, references, metric) == pytest.approx(expected(outputs, references, 9, 5), rel=1e-5)
    in_double = [[item.double() for item in images] for images in (outputs, references)]
    assert swd(*in_double, metric) == pytest.approx(expected(outputs, references, 9, 5), rel=1e-12)


@pytest.mark.parametrize("size", [(64, 64), (37, 51), (130, 33), (31, 90), (16, 16), (15, 40), (3, 4)])
def test_the_pyramid_gives_the_image_back(size: tuple[int, int]) -> None:
    """The levels are as the paper has them, and hold all of the image."""
    image = torch.cat(pictures(0, 2, 3, *size)).double()
    levels = laplacian_pyramid(image)
    extended = F.pad(image, (0, max(0, 7 - size[1]), 0, max(0, 7 - size[0])), mode="replicate")
    sizes = [(extended.shape[-2], extended.shape[-1])]
    while min(math.ceil(side / 2) for side in sizes[-1]) >= 16:
        sizes.append((math.ceil(sizes[-1][0] / 2), math.ceil(sizes[-1][1] / 2)))
    assert [tuple(level.shape[-2:]) for level in levels] == sizes
    whole = levels[-1].numpy()
    for level in reversed(levels[:-1]):
        spread = np.zeros(level.shape)
        spread[..., ::2, ::2] = whole
        whole = level.numpy() + 4 * np.stack([blurred(item) for item in spread])
    assert np.abs(whole - extended.numpy()).max() < 1e-12


def test_the_levels_of_the_paper() -> None:
    """Karras et al. have 1024, 512 … 16 pixels; here from 128."""
    assert [level.shape[-1] for level in laplacian_pyramid(torch.zeros(1, 3, 128, 128))] == [128, 64, 32, 16]


def test_is_zero_for_equal_sets_in_any_order() -> None:
    images = pictures(0, 5, 3, 40, 40)
    assert swd(images, images) == 0
    assert swd(images, images[::-1]) == pytest.approx(0, abs=1e-3)
    assert swd(images, images * 2) == pytest.approx(0, abs=1e-3)


def test_is_symmetric() -> None:
    for count in (4, 3):
        x, y = pictures(1, 4, 3, 40, 40), pictures(2, count, 3, 40, 40)
        assert swd(x, y) == pytest.approx(swd(y, x), rel=1e-6)


def test_does_not_depend_on_the_order_of_the_images() -> None:
    x, y = pictures(1, 6, 3, 40, 40), pictures(2, 4, 3, 40, 40)
    assert swd([x[index] for index in (3, 0, 5, 1, 4, 2)], y[::-1]) == pytest.approx(swd(x, y), rel=1e-5)


def test_grows_with_blur() -> None:
    sharp, others = pictures(1, 16, 3, 64, 64), pictures(2, 16, 3, 64, 64)
    blur = [[F.avg_pool2d(item, side, 1, side // 2) for item in sharp] for side in (1, 3, 5, 9)]
    values = [swd(images, others) for images in blur]
    assert values == sorted(values)
    assert values[-1] > 1.5 * values[0]


def test_more_images_of_one_kind_come_closer() -> None:
    values = [swd(pictures(1, count, 3, 32, 32), pictures(2, count, 3, 32, 32)) for count in (2, 8, 32)]
    assert values[0] > 1.5 * values[1] > 2.25 * values[2]


def test_a_repeated_set_counts_as_itself() -> None:
    """Each image of the larger set has a smaller weight: the distance is that of the distributions."""
    x, y = pictures(1, 3, 3, 32, 32), pictures(2, 4, 3, 32, 32)
    assert swd([*x, *x, *x], y) == pytest.approx(swd(x, y), rel=1e-5)


@pytest.mark.parametrize(("size_x", "size_y"), [(1, 1), (7, 7), (12, 8), (7, 5), (1, 9)])
def test_the_distance_of_numbers_is_that_of_scipy(size_x: int, size_y: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(20, size_x, generator=rng, dtype=torch.float64).sort(1).values
    y = torch.randn(20, size_y, generator=rng, dtype=torch.float64).sort(1).values + 0.3
    each = [stats.wasserstein_distance(a.numpy(), b.numpy()) for a, b in zip(x, y, strict=True)]
    assert wasserstein(x, y) == pytest.approx(np.mean(each), abs=1e-12)


def test_ignores_mean_colour_and_contrast_of_a_set() -> None:
    """As the paper normalises each set by itself; the documentation states it."""
    x, y = pictures(1, 4, 3, 32, 32), pictures(2, 4, 3, 32, 32)
    centred = [item - item.mean((2, 3), keepdim=True) for item in x]  # of equal means, hence of equal positions
    paler = [item * torch.tensor([0.5, 0.3, 0.8]).view(1, 3, 1, 1) for item in centred]
    tinted = [item + torch.tensor([0.3, -0.1, -0.2]).view(1, 3, 1, 1) for item in paler]
    assert swd(tinted, y) == pytest.approx(swd(centred, y), rel=1e-4)


def test_constant_images_give_a_number() -> None:
    constant = [torch.full((1, 3, 32, 32), 0.3)] * 3
    assert swd(constant, constant) == 0
    assert 100 < swd(constant, pictures(1, 3, 3, 32, 32)) < 10_000


@pytest.mark.parametrize("size", [(1, 1), (4, 300), (15, 15), (16, 16), (45, 17)])
def test_images_of_any_size(size: tuple[int, int]) -> None:
    x, y = pictures(1, 3, 3, *size), pictures(2, 2, 3, *size)
    assert math.isfinite(swd(x, y))
    assert swd(x, x) == 0


def test_images_of_several_sizes_are_compared_on_the_levels_that_both_sets_have() -> None:
    small, large = pictures(1, 2, 3, 32, 32), pictures(2, 2, 3, 64, 64)
    rows = PyramidDescriptors(8, 0)(large[0])
    assert [len(level) for level in rows[:4]] == [8, 8, 8, 0]
    assert math.isfinite(swd([*small, *large], large))
    assert math.isfinite(swd(small, large))


def test_positions_differ_between_images_and_depend_on_the_image_only() -> None:
    place = torch.arange(32 * 32, dtype=torch.float32).view(1, 1, 32, 32) / 1024
    dark, bright = place - 1, place
    corners = [PyramidDescriptors(16, 0)(item)[1][:, 0, 3, 3] for item in (dark, dark, bright)]
    assert torch.equal(corners[0], corners[1])
    assert not torch.equal(corners[0], corners[2] - 1)


def test_the_draws_are_those_of_the_seed_and_of_no_ambient_generator() -> None:
    x, y = pictures(1, 4, 3, 32, 32), pictures(2, 4, 3, 32, 32)
    values = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        values.append(swd(x, y))
    assert values[0] == values[1] != swd(x, y, SWD(seed=1))


def test_takes_images_that_require_gradients() -> None:
    x, y = pictures(1, 2, 3, 32, 32), pictures(2, 2, 3, 32, 32)
    assert swd([item.clone().requires_grad_() for item in x], y) == swd(x, y)


def test_the_protocol_names_its_options() -> None:
    metric = SWD(descriptors=64, seed=3)
    assert not metric.higher_is_better
    assert "64 random 7x7 neighbourhoods" in metric.protocol
    assert metric.protocol.endswith("seed 3")
    assert "\n" not in metric.protocol


def test_update_and_compute_are_those_of_any_metric() -> None:
    x, y = pictures(1, 3, 3, 32, 32), pictures(2, 3, 3, 32, 32)
    metric = SWD()
    for pair in zip(x, y, strict=True):
        metric.update(*pair)
    assert metric.compute() == swd(x, y)
