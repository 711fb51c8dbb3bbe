"""Compares the components with independent references."""

from __future__ import annotations

import importlib.metadata
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from translate_structure.attention_unet import AttentionUNet, Gate
from translate_structure.edges import Edges, gradients
from translate_structure.gmsd import GMSD


def images(*shape: int) -> Tensor:
    """In [-1, 1], always the same."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


def test_the_entry_point_is_found() -> None:
    points = importlib.metadata.entry_points(group="translate_core")
    assert "translate_structure.plugin" in {point.value for point in points}


# The generator


@pytest.mark.parametrize(("given", "wanted"), [(3, 3), (1, 3), (3, 1)])
def test_the_generator(given: int, wanted: int) -> None:
    network = AttentionUNet(given, wanted, width=4, downs=2)
    assert (network.multiple, network.smallest) == (4, 8)
    output = network(images(2, given, 8, 20).float())
    assert output.shape == (2, wanted, 8, 20)
    assert output.abs().max() <= 1
    torch.autograd.backward(output.square().sum())
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_gate_is_equation_2() -> None:
    """α = σ(ψᵀ ReLU(W_x x + W_g g + b_g) + b_ψ), written with matrices, then enlarged."""
    gate = Gate(4, 6).double()
    x, g = images(1, 4, 8, 8), images(1, 6, 4, 4)
    patches = F.unfold(x, 2, stride=2)[0]  # (4 · 2 · 2, places)
    inner = gate.theta.weight.flatten(1) @ patches
    assert gate.phi.bias is not None
    assert gate.psi.bias is not None
    inner = inner + gate.phi.weight.flatten(1) @ g[0].flatten(1) + gate.phi.bias[:, None]
    alpha = torch.sigmoid(gate.psi.weight.flatten(1) @ inner.relu() + gate.psi.bias[:, None]).view(1, 1, 4, 4)
    enlarged = F.interpolate(alpha, size=(8, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(gate(x, g), x * enlarged)


def test_a_closed_gate_lets_nothing_pass() -> None:
    gate = Gate(4, 6)
    assert gate.psi.bias is not None
    torch.nn.init.constant_(gate.psi.bias, -100)
    torch.testing.assert_close(gate(images(1, 4, 8, 8).float(), images(1, 6, 4, 4).float()), torch.zeros(1, 4, 8, 8))


def test_the_size_in_the_paper_s_setting() -> None:
    def conv(source: int, target: int, side: int = 3, bias: int = 1) -> int:
        return source * target * side**2 + bias * target

    widths = [64, 128, 256, 512, 1024]
    encoder = sum(conv(a, b) + conv(b, b) for a, b in zip([3, *widths], widths, strict=False))
    steps = list(zip(widths[1:], widths[:-1], strict=True))
    gates = sum(conv(f, f // 2, 2, bias=0) + conv(c, f // 2, 1) + conv(f // 2, 1, 1) for c, f in steps)
    decoder = sum(conv(c, f) + conv(2 * f, f) + conv(f, f) for c, f in steps)
    total = encoder + gates + decoder + conv(64, 3, 1)
    assert sum(parameter.numel() for parameter in AttentionUNet(3, 3).parameters()) == total


def test_taps() -> None:
    network = AttentionUNet(3, 3, width=4, downs=2)
    assert network.taps == {"image": 3, "scale1": 4, "scale2": 8, "scale3": 16}
    called: list[int] = []
    for number, scale in enumerate(network.encoder, 1):
        scale.register_forward_hook(lambda *_, number=number: called.append(number))
    x = images(1, 3, 16, 16).float()
    maps = network.features(x, ("scale2", "image"))
    assert [tuple(item.shape) for item in maps] == [(1, 8, 8, 8), (1, 3, 16, 16)]
    assert called == [1, 2]
    torch.testing.assert_close(maps[1], x)


# The loss


def test_gradients_are_sobel_s() -> None:
    x = images(2, 3, 9, 11)
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64) / 8
    slopes = F.conv2d(x.mean(1, keepdim=True), torch.stack((across, across.T))[:, None])
    torch.testing.assert_close(gradients(x), torch.sqrt(slopes.square().sum(1, keepdim=True) + 1e-8))


def test_a_slope_of_one_a_pixel() -> None:
    ramp = torch.arange(8.0).expand(1, 3, 8, 8)
    torch.testing.assert_close(gradients(ramp), torch.ones(1, 1, 6, 6))


class Batch:
    """The part of a batch that the loss uses."""

    def __init__(self, **tensors: Tensor) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]


@pytest.mark.parametrize(("penalise", "stronger", "weaker"), [("lost", 0.0, 0.5), ("changed", 1.0, 0.5)])
def test_which_edges_cost(penalise: str, stronger: float, weaker: float) -> None:
    ramp = torch.arange(8.0).expand(1, 3, 8, 8)
    loss = Edges(penalise=penalise, pairs={"fake_B": "real_A"})  # type: ignore[arg-type]
    for factor, cost in ((2.0, stronger), (0.5, weaker), (1.0, 0.0)):
        (value,) = loss.generator_loss(Batch(fake_B=factor * ramp, real_A=ramp)).values()  # type: ignore[arg-type]
        assert value.item() == pytest.approx(cost, abs=1e-6)


def test_a_flat_image_has_a_gradient() -> None:
    fake = torch.zeros(1, 3, 8, 8, requires_grad=True)
    loss = Edges(pairs={"fake_B": "real_A"})
    (value,) = loss.generator_loss(Batch(fake_B=fake, real_A=images(1, 3, 8, 8).float())).values()  # type: ignore[arg-type]
    torch.autograd.backward(value)
    assert fake.grad is not None
    assert fake.grad.isfinite().all()


# The metric


def gmsd(x: list[list[float]], y: list[list[float]]) -> float:
    """Of two grey images in 0 … 255 with even sides, in loops, straight from the paper."""

    def magnitude(image: list[list[float]], row: int, column: int) -> float:
        def pixel(i: int, j: int) -> float:
            return image[i][j] if 0 <= i < len(image) and 0 <= j < len(image[0]) else 0.0

        span = (-1, 0, 1)
        across = sum(pixel(row + k, column - 1) - pixel(row + k, column + 1) for k in span) / 3
        down = sum(pixel(row - 1, column + k) - pixel(row + 1, column + k) for k in span) / 3
        return math.hypot(across, down)

    def half(image: list[list[float]]) -> list[list[float]]:
        return [
            [sum(image[i + a][j + b] for a in (0, 1) for b in (0, 1)) / 4 for j in range(0, len(image[0]), 2)]
            for i in range(0, len(image), 2)
        ]

    x, y = half(x), half(y)
    values = []
    for row in range(len(x)):
        for column in range(len(x[0])):
            one, other = magnitude(x, row, column), magnitude(y, row, column)
            values.append((2 * one * other + 170) / (one**2 + other**2 + 170))
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))


def test_the_metric() -> None:
    x, y = images(2, 1, 8, 12).unbind()
    metric = GMSD()
    metric.update(x[None], y[None])
    expected = gmsd(*(((image[0] + 1) * 127.5).tolist() for image in (x, y)))
    assert metric.compute() == pytest.approx(expected, rel=1e-12)
    assert expected > 0.01


def test_equal_images_deviate_by_nothing_and_images_are_averaged() -> None:
    x, y = images(2, 3, 8, 8).unbind()
    metric = GMSD()
    metric.update(x[None], x[None])
    assert metric.compute() == 0
    metric.update(x[None], y[None])
    alone = GMSD()
    alone.update(x[None], y[None])
    assert metric.compute() == pytest.approx(alone.compute() / 2)
