from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from translate_core import UserError
from translate_plugins.discriminators.patchgan import PatchGAN
from translate_plugins.generators.resnet import ResNet
from translate_plugins.sampling import BlurDown, BlurUp


def by_hand(maps: Tensor, line: list[float]) -> Tensor:
    """Each map convolved with the outer product of `line` with itself, value by value, without padding."""
    height, width = (side - len(line) + 1 for side in maps.shape[2:])
    total = torch.zeros(*maps.shape[:2], height, width, dtype=maps.dtype)
    for i, vertical in enumerate(line):
        for j, horizontal in enumerate(line):
            total += vertical * horizontal * maps[..., i : i + height, j : j + width]
    return total


@pytest.mark.parametrize(("height", "width"), [(2, 2), (8, 6), (7, 9)])
def test_down_is_the_blur_at_every_second_pixel(height: int, width: int) -> None:
    maps = torch.randn(2, 3, height, width, dtype=torch.float64)
    expected = by_hand(F.pad(maps, (1, 1, 1, 1), mode="reflect"), [0.25, 0.5, 0.25])[..., ::2, ::2]
    torch.testing.assert_close(BlurDown(3).double()(maps), expected, rtol=0, atol=1e-12)
    assert expected.shape[2:] == (-(-height // 2), -(-width // 2))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 3), (5, 8)])
def test_up_is_the_blur_after_inserting_zeros(height: int, width: int) -> None:
    maps = torch.randn(2, 3, height, width, dtype=torch.float64)
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    spread = torch.zeros(2, 3, 2 * height + 4, 2 * width + 4, dtype=torch.float64)
    spread[..., ::2, ::2] = padded
    found = BlurUp(3).double()(maps)
    assert found.shape == (2, 3, 2 * height, 2 * width)
    expected = by_hand(spread, [0.25, 0.75, 0.75, 0.25])
    torch.testing.assert_close(found, expected[..., : 2 * height, : 2 * width], rtol=0, atol=1e-12)
    # [1, 3, 3, 1] is linear interpolation to twice the size.
    linear = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, linear, rtol=0, atol=1e-12)


def test_constant_maps_stay_constant() -> None:
    flat = torch.full((1, 2, 6, 6), 0.5, dtype=torch.float64)
    torch.testing.assert_close(BlurDown(2).double()(flat), flat[..., :3, :3], rtol=0, atol=1e-15)
    torch.testing.assert_close(BlurUp(2).double()(flat), flat.repeat(1, 1, 2, 2), rtol=0, atol=1e-15)


def test_the_kernels_are_in_the_state_dict_and_are_not_trained() -> None:
    for layer in (BlurDown(5), BlurUp(5)):
        assert list(layer.state_dict()) == ["filt"]
        assert list(layer.parameters()) == []
        assert layer.filt.shape[:2] == (5, 1)
    assert float(BlurDown(1).filt.sum()) == 1
    assert float(BlurUp(1).filt.sum()) == 4


def test_antialiased_networks_are_those_of_cut() -> None:
    with torch.device("meta"):
        generator, discriminator = ResNet(3, 3, antialias=True), PatchGAN(3, antialias=True)
    assert sum(value.numel() for value in generator.parameters()) == 11_378_179
    assert sum(value.numel() for value in discriminator.parameters()) == 2_764_737
    assert discriminator(torch.empty(1, 3, 256, 256, device="meta")).shape == (1, 1, 30, 30)
    kernels = {key: tuple(value.shape) for key, value in generator.state_dict().items() if key.endswith("filt")}
    assert kernels == {
        "model.7.filt": (128, 1, 3, 3),
        "model.11.filt": (256, 1, 3, 3),
        "model.21.filt": (256, 1, 4, 4),
        "model.25.filt": (128, 1, 4, 4),
    }
    convolutions = [key for key, value in generator.state_dict().items() if value.dim() == 4 and "filt" not in key]
    assert [key for key in convolutions if "block" not in key] == [
        f"model.{index}.weight" for index in (1, 4, 8, 22, 26, 30)
    ]
    blocks = [f"model.{index}.conv_block.{layer}.weight" for index in range(12, 21) for layer in (1, 5)]
    assert [key for key in convolutions if "block" in key] == blocks
    assert [key for key in discriminator.state_dict() if not key.endswith("bias")] == [
        "model.0.weight", "model.2.filt", "model.3.weight", "model.6.filt", "model.7.weight", "model.10.filt",
        "model.11.weight", "model.14.weight",
    ]  # fmt: skip


def instance_norm(x: Tensor) -> Tensor:
    deviation = x - x.mean(dim=(2, 3), keepdim=True)
    return deviation / (deviation.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()


def down(x: Tensor) -> Tensor:
    return by_hand(F.pad(x, (1, 1, 1, 1), mode="reflect"), [0.25, 0.5, 0.25])[..., ::2, ::2]


def up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def test_antialiased_resnet_computes_the_generator_of_cut() -> None:
    """Against the flat list of layers of CUT's generator, by its published indices, with plain functions."""
    torch.manual_seed(0)
    network = ResNet(3, 2, blocks=9, width=4, antialias=True).double()
    weights = network.state_dict()

    def conv(x: Tensor, key: str, padding: int = 0) -> Tensor:
        return F.conv2d(x, weights[f"model.{key}.weight"], weights[f"model.{key}.bias"], padding=padding)

    def reflect(x: Tensor, by: int) -> Tensor:
        return F.pad(x, (by, by, by, by), mode="reflect")

    images = torch.rand(2, 3, 24, 32, dtype=torch.float64) * 2 - 1
    taps = {0: reflect(images, 3)}
    x = instance_norm(conv(taps[0], "1")).relu()
    taps[4] = conv(x, "4", padding=1)
    x = down(instance_norm(taps[4]).relu())
    taps[8] = conv(x, "8", padding=1)
    x = down(instance_norm(taps[8]).relu())
    for index in range(12, 21):
        y = instance_norm(conv(reflect(x, 1), f"{index}.conv_block.1")).relu()
        x = x + instance_norm(conv(reflect(y, 1), f"{index}.conv_block.5"))
        taps[index] = x
    x = instance_norm(conv(up(x), "22", padding=1)).relu()
    x = instance_norm(conv(up(x), "26", padding=1)).relu()
    expected = conv(reflect(x, 3), "30").tanh()
    with torch.no_grad():
        torch.testing.assert_close(network(images), expected, rtol=0, atol=1e-10)
        found = network.features(images, ("image", "down1", "down2", "block1", "block5"))
    for value, index in zip(found, (0, 4, 8, 12, 16), strict=True):
        torch.testing.assert_close(value, taps[index], rtol=0, atol=1e-10)


def test_antialiased_patchgan_computes_the_discriminator_of_cut() -> None:
    torch.manual_seed(0)
    network = PatchGAN(3, width=4, antialias=True).double()
    weights = network.state_dict()

    def conv(x: Tensor, index: int) -> Tensor:
        return F.conv2d(x, weights[f"model.{index}.weight"], weights[f"model.{index}.bias"], padding=1)

    images = torch.rand(2, 3, 40, 33, dtype=torch.float64)
    x = down(F.leaky_relu(conv(images, 0), 0.2))
    x = down(F.leaky_relu(instance_norm(conv(x, 3)), 0.2))
    x = down(F.leaky_relu(instance_norm(conv(x, 7)), 0.2))
    x = conv(F.leaky_relu(instance_norm(conv(x, 11)), 0.2), 14)
    with torch.no_grad():
        torch.testing.assert_close(network(images), x, rtol=0, atol=1e-10)


def test_antialiasing_keeps_small_shifts_small() -> None:
    def change(antialias: bool) -> float:
        """The change of the output, besides a shift, when the image is shifted by one pixel."""
        torch.manual_seed(0)
        network = ResNet(1, 1, blocks=1, width=8, antialias=antialias).double()
        images = F.avg_pool2d(torch.randn(1, 1, 70, 71, dtype=torch.float64), 7, stride=1)
        with torch.no_grad():
            left, right = network(images[..., :-1]), network(images[..., 1:])
        inner = (left[..., 16:-16, 17:-16] - right[..., 16:-16, 16:-17]).abs().mean()
        return float(inner / left.std())

    assert change(antialias=True) < 0.5 * change(antialias=False)


def test_antialias_and_upsample_exclude_each_other() -> None:
    with pytest.raises(UserError, match=r"antialias: true and upsample: resize_conv.*leave one"):
        ResNet(3, 3, upsample="resize_conv", antialias=True)
