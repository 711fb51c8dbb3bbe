from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from translate_plugins.discriminators.multiscale import Multiscale
from translate_plugins.generators.munit import MUNITGenerator
from translate_plugins.norms import AdaIN, SampleNorm


def instance_norm(x: Tensor) -> Tensor:
    deviation = x - x.mean(dim=(2, 3), keepdim=True)
    return deviation / (deviation.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()


class Weights:
    """The weights of a network in the order in which its layers are called, for a second implementation."""

    def __init__(self, values: dict[str, Tensor]) -> None:
        self.values = iter(values.values())

    def conv(self, x: Tensor, padding: int, stride: int = 1) -> Tensor:
        x = F.pad(x, (padding,) * 4, mode="reflect")
        return F.conv2d(x, next(self.values), next(self.values), stride=stride)

    def linear(self, x: Tensor) -> Tensor:
        return x @ next(self.values).T + next(self.values)

    def layer_norm(self, x: Tensor) -> Tensor:
        gamma, beta = next(self.values), next(self.values)
        normed = []
        for image in x:
            deviation = image - image.mean()
            std = (deviation.square().sum() / (image.numel() - 1)).sqrt()
            normed.append(deviation / (std + 1e-5))
        return torch.stack(normed) * gamma[:, None, None] + beta[:, None, None]


def encode(images: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """Content and style by the paper's equations, with 2 halvings of the content and 4 of the style."""
    x = instance_norm(weights.conv(images, 3)).relu()
    x = instance_norm(weights.conv(x, 1, stride=2)).relu()
    x = instance_norm(weights.conv(x, 1, stride=2)).relu()
    for _ in range(4):
        y = instance_norm(weights.conv(x, 1)).relu()
        x = x + instance_norm(weights.conv(y, 1))
    s = weights.conv(images, 3).relu()
    for _ in range(4):
        s = weights.conv(s, 1, stride=2).relu()
    s = weights.conv(s.mean(dim=(2, 3), keepdim=True), 0)
    return x, s[:, :, 0, 0]


def decode(content: Tensor, style: Tensor, weights: Weights) -> Tensor:
    channels = content.shape[1]
    parameters = weights.linear(weights.linear(weights.linear(style).relu()).relu())
    assert parameters.shape[1] == 8 * 2 * channels
    x, at = content, 0

    def adain(y: Tensor) -> Tensor:
        nonlocal at
        bias = parameters[:, at : at + channels, None, None]
        scale = parameters[:, at + channels : at + 2 * channels, None, None]
        at += 2 * channels
        return instance_norm(y) * scale + bias

    for _ in range(4):
        y = adain(weights.conv(x, 1)).relu()
        x = x + adain(weights.conv(y, 1))
    for _ in range(2):
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        x = weights.conv(x, 2)
        x = weights.layer_norm(x).relu()
    return weights.conv(x, 3).tanh()


@pytest.mark.parametrize("count", [1, 3])
def test_it_computes_the_network_of_the_paper(count: int) -> None:
    torch.manual_seed(0)
    network = MUNITGenerator(3, 2, width=4, mlp_width=16).double()
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.05 * torch.randn_like(value))  # so that biases and β have an effect
    weights = Weights(network.state_dict())
    images = torch.rand(count, 3, 32, 24, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        content, style = network.encode(images)
        expected = encode(images, weights)
        torch.testing.assert_close(content, expected[0], rtol=0, atol=1e-10)
        torch.testing.assert_close(style, expected[1], rtol=0, atol=1e-10)
        drawn = torch.randn(count, 8, dtype=torch.float64)
        translation = network.decode(content, drawn)
        torch.testing.assert_close(translation, decode(content, drawn, weights), rtol=0, atol=1e-10)
        assert next(weights.values, None) is None, "a weight was not used"
        torch.testing.assert_close(network(images), network.decode(content, style), rtol=0, atol=0)
    assert content.shape == (count, 16, 8, 6)
    assert style.shape == (count, 8)


def test_parameter_counts_are_the_published_ones() -> None:
    with torch.device("meta"):
        generator, discriminator = MUNITGenerator(3, 3), Multiscale(3)
    assert sum(value.numel() for value in generator.parameters()) == 15_026_187
    assert sum(value.numel() for value in discriminator.parameters()) == 8_271_171
    assert generator.style_channels == 8
    content, style = generator.encode(torch.empty(2, 3, 256, 256, device="meta"))
    assert (content.shape, style.shape) == ((2, 256, 64, 64), (2, 8))
    assert [tuple(map_.shape) for map_ in discriminator(torch.empty(2, 3, 256, 256, device="meta"))] == [
        (2, 1, 16, 16),
        (2, 1, 8, 8),
        (2, 1, 4, 4),
    ]


def test_the_output_changes_with_the_style() -> None:
    torch.manual_seed(0)
    network = MUNITGenerator(3, 3, width=4, blocks=1, style_channels=2)
    content, _ = network.encode(torch.rand(1, 3, 16, 16))
    left = network.decode(content, torch.zeros(1, 2))
    assert torch.equal(left, network.decode(content, torch.zeros(1, 2)))
    assert not torch.allclose(left, network.decode(content, torch.ones(1, 2)), atol=1e-4)


def test_discriminator_is_one_network_for_each_scale() -> None:
    torch.manual_seed(0)
    network = Multiscale(3, width=4).double()
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.05 * torch.randn_like(value))
    weights = Weights(network.state_dict())
    images = torch.rand(2, 3, 70, 65, dtype=torch.float64) * 2 - 1
    before = images.clone()
    with torch.no_grad():
        found = network(images)
        x = images
        for scale in range(3):
            if scale:
                # Averages over 3×3 pixels that leave out those outside the image.
                padded = F.pad(torch.stack((x, torch.ones_like(x))), (1, 1, 1, 1))
                sums = sum(
                    padded[..., i::2, j::2][..., : -(-x.shape[2] // 2), : -(-x.shape[3] // 2)]
                    for i in range(3)
                    for j in range(3)
                )
                assert isinstance(sums, Tensor)
                x = sums[0] / sums[1]
            y = x
            for _ in range(4):
                y = F.leaky_relu(weights.conv(y, 1, stride=2), 0.2)
            torch.testing.assert_close(found[scale], weights.conv(y, 0), rtol=0, atol=1e-10)
    assert next(weights.values, None) is None, "a weight was not used"
    assert torch.equal(images, before)


@pytest.mark.parametrize(("scales", "layers", "norm"), [(1, 1, "instance"), (3, 2, "none"), (2, 3, "instance")])
def test_discriminator_declares_its_smallest_side(scales: int, layers: int, norm: str) -> None:
    network = Multiscale(1, scales=scales, layers=layers, width=2, norm=norm)  # type: ignore[arg-type]
    assert len(network(torch.rand(1, 1, network.smallest, network.smallest + 3))) == scales
    with pytest.raises((RuntimeError, ValueError)):
        network(torch.rand(1, 1, network.smallest - 1, network.smallest - 1))


def test_adain_gives_each_map_its_mean_and_deviation() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 16, 16, dtype=torch.float64) * 5 + 7
    scale, bias = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    styled = AdaIN(3)(maps, scale, bias)
    torch.testing.assert_close(styled.mean(dim=(2, 3)), bias, rtol=0, atol=1e-10)
    torch.testing.assert_close(styled.std(dim=(2, 3), correction=0), scale.abs(), rtol=1e-5, atol=0)


def test_the_scales_of_the_layer_norm_are_drawn() -> None:
    torch.manual_seed(0)
    norm = SampleNorm(10_000)
    gamma = norm.gamma.detach()
    assert gamma.min() >= 0
    assert gamma.max() <= 1
    assert float(gamma.mean()) == pytest.approx(0.5, abs=0.02)
    assert (norm.beta == 0).all()


def test_half_precision_keeps_the_statistics_of_the_layer_norm() -> None:
    torch.manual_seed(0)
    norm = SampleNorm(4)
    maps = torch.randn(1, 4, 64, 64) + 10
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = norm(maps.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), norm(maps.bfloat16().float()), rtol=1e-2, atol=1e-2)
