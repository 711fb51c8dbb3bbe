from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from translate_core.contracts.dataset import to_uint8, to_unit_range
from translate_core.contracts.metric import Metric
from translate_core.errors import UserError
from translate_plugins.metrics.psnr import PSNR
from translate_plugins.metrics.ssim import SSIM

SHAPES = [(3, 64, 48), (1, 33, 70), (3, 11, 11), (4, 12, 300)]


def pair(seed: int, shape: tuple[int, ...], noise: float = 0.2) -> tuple[Tensor, Tensor]:
    """A smooth picture and a noisy one, with some values outside [-1, 1]."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, shape[0], 4, 4, generator=rng) * 2 - 1
    reference = torch.nn.functional.interpolate(coarse, shape[1:], mode="bicubic")
    return (reference + noise * torch.randn(1, *shape, generator=rng)).clamp(-1.1, 1.1), reference.clamp(-1, 1)


def as_png(image: Tensor) -> npt.NDArray[np.uint8]:
    """(H, W, C) uint8, by the formula of the reference implementation."""
    array = (image[0].permute(1, 2, 0).numpy() + 1) / 2.0 * 255.0
    return np.clip(array, 0, 255).astype(np.uint8)


def value(metric: Metric, *pairs: tuple[Tensor, Tensor]) -> float:
    for output, reference in pairs:
        metric.update(output, reference)
    return metric.compute()


@pytest.mark.parametrize("shape", SHAPES)
def test_psnr_is_that_of_scikit_image(shape: tuple[int, ...]) -> None:
    skimage = pytest.importorskip("skimage.metrics")
    pairs = [pair(seed, shape, noise) for seed, noise in enumerate((0.02, 0.2, 0.5))]
    expected = [skimage.peak_signal_noise_ratio(as_png(y), as_png(x), data_range=255) for x, y in pairs]
    assert value(PSNR(), *pairs) == pytest.approx(np.mean(expected), abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_ssim_is_that_of_scikit_image(shape: tuple[int, ...]) -> None:
    skimage = pytest.importorskip("skimage.metrics")
    pairs = [pair(seed, shape, noise) for seed, noise in enumerate((0.02, 0.2, 0.5))]
    expected = [
        skimage.structural_similarity(
            as_png(x),
            as_png(y),
            data_range=255,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for x, y in pairs
    ]
    assert value(SSIM(), *pairs) == pytest.approx(np.mean(expected), abs=1e-9)


def test_psnr_by_hand() -> None:
    black, grey = torch.full((1, 1, 2, 2), -1.0), to_unit_range(torch.full((1, 1, 2, 2), 51, dtype=torch.uint8))
    level = int(to_uint8(grey)[0, 0, 0, 0])
    assert value(PSNR(), (black, grey)) == pytest.approx(20 * math.log10(255 / level), abs=1e-12)


def test_psnr_averages_over_images_and_not_over_errors() -> None:
    near, far = pair(0, (3, 16, 16), 0.02), pair(1, (3, 16, 16), 0.5)
    assert value(PSNR(), near, far) == pytest.approx((value(PSNR(), near) + value(PSNR(), far)) / 2, abs=1e-12)


def test_identical_images() -> None:
    image = pair(0, (3, 32, 32))[0]
    assert value(PSNR(), (image, image)) == 100
    assert value(SSIM(), (image, image)) == pytest.approx(1, abs=1e-12)


def test_psnr_is_limited_to_100_dB() -> None:
    reference = torch.zeros(1, 3, 256, 256)
    output = reference.clone()
    output[0, 0, 0, 0] = 0.8 / 127.5
    assert (to_uint8(output) - to_uint8(reference)).sum() == 1
    assert value(PSNR(), (output, reference)) == 100


@pytest.mark.parametrize("metric", [PSNR, SSIM])
def test_differences_below_8_bits_are_ignored(metric: type[Metric]) -> None:
    reference = pair(0, (3, 32, 32))[1]
    centred = (to_uint8(reference).float() + 0.5) / 127.5 - 1
    assert value(metric(), (centred + 1e-3, centred)) == value(metric(), (centred, centred))
    assert value(metric(), (centred + 1 / 127.5, centred)) < value(metric(), (centred, centred))


@pytest.mark.parametrize("metric", [PSNR, SSIM])
def test_takes_float64_and_images_that_require_gradients(metric: type[Metric]) -> None:
    output, reference = pair(0, (3, 32, 32))
    expected = value(metric(), (output, reference))
    assert value(metric(), (output.double().requires_grad_(), reference.double())) == expected


@pytest.mark.parametrize(("height", "width"), [(10, 64), (64, 10), (4, 4)])
def test_ssim_refuses_images_smaller_than_its_window(height: int, width: int) -> None:
    with pytest.raises(UserError, match=f"at least 11×11.*{height}×{width}"):
        SSIM().update(torch.zeros(1, 3, height, width), torch.zeros(1, 3, height, width))


@pytest.mark.parametrize("metric", [PSNR, SSIM])
def test_the_protocol_describes_the_computation(metric: type[Metric]) -> None:
    assert metric.higher_is_better
    assert "8 bits" in metric.protocol
    assert "\n" not in metric.protocol
