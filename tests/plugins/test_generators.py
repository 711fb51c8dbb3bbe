from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate_core.storage.weights import clean
from translate_plugins.generators.johnson import Johnson
from translate_plugins.generators.munit import MUNITGenerator
from translate_plugins.generators.resnet import ResNet
from translate_plugins.generators.resnet_adalin import ResNetAdaLIN
from translate_plugins.generators.ugatit import UGATITGenerator
from translate_plugins.generators.unet import UNet

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden runs do not lie beside the repository")

NORMS: tuple[Any, ...] = ("instance", "batch", "none")
PADDINGS: tuple[Any, ...] = ("reflect", "replicate", "zero")
UPSAMPLES: tuple[Any, ...] = ("transposed", "resize_conv")

AUTHORS: dict[str, Callable[..., nn.Module]] = {
    "resnet_9blocks": partial(ResNet, 3, 3, blocks=9),
    "resnet_6blocks": partial(ResNet, 3, 3, blocks=6),
    "unet_256": partial(UNet, 3, 3, downs=8),
    "unet_128": partial(UNet, 3, 3, downs=7),
}
PUBLISHED: dict[str, Callable[[], nn.Module]] = {
    f"generator/{name}/norm={norm}/dropout={dropout > 0}": partial(network, norm=norm, dropout=dropout)
    for name, network in AUTHORS.items()
    for norm in ("instance", "batch")
    for dropout in (0.0, 0.5)
}

Generator = Johnson | MUNITGenerator | ResNet | ResNetAdaLIN | UGATITGenerator | UNet

VARIANTS: dict[str, Callable[[], Generator]] = {
    **{f"resnet norm={norm}": partial(ResNet, 3, 2, blocks=1, width=4, norm=norm) for norm in NORMS},
    **{
        f"resnet padding={padding} upsample={upsample}": partial(
            ResNet, 1, 3, blocks=2, width=4, padding=padding, upsample=upsample
        )
        for padding in PADDINGS
        for upsample in UPSAMPLES
    },
    **{f"resnet downs={downs}": partial(ResNet, 3, 3, blocks=1, width=2, downs=downs) for downs in (1, 3)},
    "resnet dropout": partial(ResNet, 3, 3, blocks=2, width=4, dropout=0.3),
    **{
        f"resnet antialias norm={norm}": partial(ResNet, 3, 2, blocks=1, width=4, norm=norm, antialias=True)
        for norm in NORMS
    },
    "resnet antialias bare": partial(ResNet, 3, 3, blocks=1, width=4, norm="none", padding="zero", antialias=True),
    "resnet bare": partial(ResNet, 3, 3, blocks=1, width=4, norm="none", padding="zero"),
    **{f"unet norm={norm}": partial(UNet, 3, 2, downs=3, width=4, norm=norm) for norm in NORMS},
    **{f"unet downs={downs}": partial(UNet, 1, 3, downs=downs, width=2) for downs in (2, 5, 6)},
    "munit": partial(MUNITGenerator, 3, 3, blocks=2, width=4, mlp_width=8),
    "munit downs=1": partial(MUNITGenerator, 1, 3, blocks=1, width=2, downs=1, style_downs=3, style_channels=1),
    "munit style_downs=1": partial(MUNITGenerator, 1, 3, blocks=1, width=2, downs=3, style_downs=1, mlp_width=8),
    "ugatit": partial(UGATITGenerator, 3, 3, blocks=2, width=4, size=16),
    "ugatit downs=1": partial(UGATITGenerator, 1, 3, blocks=1, width=8, downs=1, light=True),
    **{f"johnson norm={norm}": partial(Johnson, 3, 2, blocks=1, width=4, norm=norm) for norm in NORMS},
    **{
        f"johnson padding={padding} upsample={upsample}": partial(
            Johnson, 1, 3, blocks=2, width=4, padding=padding, upsample=upsample
        )
        for padding in PADDINGS
        for upsample in UPSAMPLES
    },
    "johnson bare": partial(Johnson, 3, 3, blocks=1, width=4, norm="none", padding="zero"),
    **{f"resnet_adalin blocks={blocks}": partial(ResNetAdaLIN, 3, 3, blocks=blocks, width=4) for blocks in (1, 2, 3)},
    "resnet_adalin downs=1": partial(ResNetAdaLIN, 1, 3, blocks=2, width=8, downs=1),
    "unet like training": partial(UNet, 3, 3, downs=5, width=2, norm="batch", dropout=0.5, test_like_training=True),
    "unet dropout": partial(UNet, 3, 3, downs=6, width=2, dropout=0.5),
}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@needs_golden
def test_every_published_layout_is_covered() -> None:
    published = json.loads((GOLDEN / "state_dict_keys.json").read_text())
    generators = {name for name in published if name.startswith("generator/")}
    assert len(generators) == 16
    assert set(PUBLISHED) == generators


@needs_golden
@pytest.mark.parametrize("name", PUBLISHED)
def test_state_dict_has_the_published_layout(name: str) -> None:
    expected = json.loads((GOLDEN / "state_dict_keys.json").read_text())[name]
    with torch.device("meta"):
        network = PUBLISHED[name]()
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == expected


def test_parameter_counts_are_the_published_ones() -> None:
    with torch.device("meta"):
        assert parameters(ResNet(3, 3)) == 11_378_179
        assert parameters(UNet(3, 3, norm="batch")) == 54_413_955
        # The biases with instance norm are fewer than the weights and biases of batch norm.
        assert parameters(UNet(3, 3)) == 54_409_603
        # The well-known port of Johnson's network has 1,679,235: its instance norms have two weights for each map.
        assert parameters(Johnson(3, 3)) == 1_679_235 - 2 * (32 + 64 + 128 + 10 * 128 + 64 + 32)
        # The light U-GAT-IT generator has two more blocks, and the attention.
        attention = 2 * 256 + 256 * 512 + 256
        blocks = 2 * 9 * 256**2 + (2 * 9 * 256**2 + 2 * 256)
        assert parameters(ResNetAdaLIN(3, 3)) == 10_589_888 - attention - blocks


@needs_golden
@pytest.mark.parametrize(
    ("run", "build"),
    [
        ("cyclegan_resnet6_lsgan", lambda: ResNet(3, 3, blocks=6, width=4)),
        ("cyclegan_unet128_bce", lambda: UNet(3, 3, downs=7, width=2)),
    ],
)
def test_outputs_are_those_of_the_reference(run: str, build: Callable[[], nn.Module]) -> None:
    with np.load(GOLDEN / f"{run}.npz") as golden:

        def load(role: str) -> nn.Module:
            prefix = f"init/{role}/"
            weights = {k[len(prefix) :]: torch.from_numpy(golden[k]) for k in golden.files if k.startswith(prefix)}
            network = build().double()
            network.load_state_dict(weights)
            return network

        real_A = torch.from_numpy(golden["A_uint8"][0]).double() / 127.5 - 1
        fake_B, rec_A = torch.from_numpy(golden["first/fake_B"]), torch.from_numpy(golden["first/rec_A"])
        with torch.no_grad():
            torch.testing.assert_close(load("G_A")(real_A), fake_B, rtol=0, atol=1e-12)
            torch.testing.assert_close(load("G_B")(fake_B), rec_A, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_option_builds_and_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    network = VARIANTS[name]()
    in_channels = next(module for module in network.modules() if isinstance(module, nn.Conv2d)).in_channels
    images = torch.rand(2, in_channels, 2 * network.smallest, 3 * network.smallest) * 2 - 1
    before = images.clone()
    output = network(images)
    assert output.shape == (2, 2 if "norm=" in name else 3, *images.shape[2:])
    assert output.abs().max() <= 1
    assert torch.equal(images, before), "the network overwrote its input"
    (output * torch.randn_like(output)).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        # The exact gradient of a bias before an instance norm is 0, so only weights must have a non-zero gradient.
        if parameter.ndim > 1:
            assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", VARIANTS)
def test_smallest_is_the_smallest_side(name: str) -> None:
    network = VARIANTS[name]()
    in_channels = next(module for module in network.modules() if isinstance(module, nn.Conv2d)).in_channels

    def translate(side: int) -> Tensor:
        output: Tensor = network(torch.rand(1, in_channels, side, side))
        return output

    assert translate(network.smallest).shape[2:] == (network.smallest, network.smallest)
    assert network.smallest % network.multiple == 0
    below = network.smallest - network.multiple
    if below > 0 and not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        with pytest.raises((RuntimeError, ValueError)):
            translate(below)


@pytest.mark.parametrize("build", [lambda: ResNet(3, 3, blocks=1, width=2), lambda: UNet(3, 3, downs=3, width=2)])
def test_sides_must_be_multiples(build: Callable[[], ResNet | UNet]) -> None:
    network = build()
    side = 4 * network.multiple
    assert network(torch.rand(1, 3, side, side + network.multiple)).shape[2:] == (side, side + network.multiple)
    try:
        shape = network(torch.rand(1, 3, side, side + 1)).shape[2:]
    except RuntimeError:
        return
    assert shape != (side, side + 1)


@pytest.mark.parametrize("build", [lambda: ResNet(3, 1), lambda: UNet(3, 1, dropout=0.5)])
def test_runs_on_the_meta_device(build: Callable[[], nn.Module]) -> None:
    with torch.device("meta"):
        network = build()
    output = network(torch.empty(2, 3, 256, 512, device="meta"))
    assert output.is_meta
    assert output.shape == (2, 1, 256, 512)


@pytest.mark.parametrize("downs", [4, 5, 6, 7, 8])
def test_unet_has_dropout_in_the_inner_levels_except_the_innermost(downs: int) -> None:
    network = UNet(3, 3, downs=downs, width=1, dropout=0.25)
    dropping = [key for key, module in network.named_modules() if isinstance(module, nn.Dropout)]
    assert all(module.p == 0.25 for module in network.modules() if isinstance(module, nn.Dropout))
    # Level i is model.model.1.model.3. … .model, with i - 1 times model.3.
    levels = [key.removesuffix(".7").count(".3") + 1 for key in dropping]
    assert sorted(levels) == list(range(4, downs - 1))
    assert len(levels) == max(downs - 5, 0)


def test_resnet_has_dropout_between_the_convolutions_of_every_block() -> None:
    network = ResNet(3, 3, blocks=2, width=2, dropout=0.25)
    dropping = [key for key, module in network.named_modules() if isinstance(module, nn.Dropout)]
    assert dropping == ["model.10.conv_block.4", "model.11.conv_block.4"]


def test_dropout_acts_in_training_only() -> None:
    images = torch.rand(1, 3, 64, 64)
    for network in (ResNet(3, 3, blocks=2, width=4, dropout=0.5), UNet(3, 3, downs=6, width=4, dropout=0.5)):
        assert not torch.equal(network(images), network(images))
        network.eval()
        assert torch.equal(network(images), network(images))


def test_test_like_training_keeps_dropout_and_uses_the_statistics_of_the_image() -> None:
    torch.manual_seed(0)
    network = UNet(3, 3, downs=6, width=4, norm="batch", dropout=0.5, test_like_training=True)
    usual = UNet(3, 3, downs=6, width=4, norm="batch", dropout=0.5)
    weights = clean(usual.state_dict(), network)
    assert len(weights) < len(usual.state_dict())
    network.load_state_dict(weights)
    assert not [key for key in network.state_dict() if "running" in key or "num_batches" in key]
    images = torch.rand(1, 3, 64, 64)
    network.eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        torch.manual_seed(5)
        tested = network(images)
        assert not torch.equal(network(images), tested), "nothing was dropped"
        torch.manual_seed(5)
        assert torch.equal(network(images), tested), "the seed decides what is dropped"
        torch.manual_seed(5)
        assert torch.equal(network.train()(images), tested)
        # pix2pix leaves the usual network in training mode.
        torch.manual_seed(5)
        assert torch.equal(usual.train()(images), tested)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_test_like_training_without_dropout_depends_on_the_image_alone() -> None:
    torch.manual_seed(0)
    network = UNet(3, 3, downs=3, width=4, norm="batch", test_like_training=True)
    images = torch.rand(2, 3, 16, 16)
    expected = network(images)
    network.eval()
    assert torch.equal(network(images), expected)
    assert not torch.allclose(network(images[:1]), expected[:1], atol=1e-3), "statistics are those of the batch"


def test_padding_determines_the_border() -> None:
    flat = torch.full((1, 1, 16, 16), 0.5)
    networks = {
        padding: ResNet(1, 1, blocks=1, width=4, norm="none", padding=padding)
        for padding in ("reflect", "replicate", "zero")
    }
    first = {}
    for padding, network in networks.items():
        network.load_state_dict(networks["reflect"].state_dict())
        first[padding] = network.model[:2](flat)
    # Reflecting or repeating a flat image keeps it flat; a border of zeros does not.
    assert first["reflect"].std(dim=(2, 3)).max() < 1e-6
    torch.testing.assert_close(first["replicate"], first["reflect"])
    assert first["zero"].std(dim=(2, 3)).min() > 1e-3
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    assert not torch.allclose(networks["replicate"].model[:2](ramp), networks["reflect"].model[:2](ramp))


def test_without_a_norm_only_the_last_convolution_has_a_bias() -> None:
    for network, last in (
        (ResNet(3, 3, blocks=1, width=2, norm="none"), "model.18.bias"),
        (ResNet(3, 3, blocks=1, width=2, norm="none", upsample="resize_conv"), "model.22.bias"),
        (UNet(3, 3, downs=3, width=2, norm="none"), "model.model.3.bias"),
    ):
        assert [key for key in network.state_dict() if key.endswith("bias")] == [last]


def test_resize_conv_repeats_pixels() -> None:
    network = ResNet(1, 1, blocks=1, width=2, upsample="resize_conv")
    double = next(layer for layer in network.model if isinstance(layer, nn.Upsample))
    maps = torch.rand(1, 8, 3, 5)
    assert torch.equal(double(maps), maps.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))


def test_resize_conv_makes_no_checkerboard() -> None:
    def ripple(upsample: Any) -> float:
        """The difference between neighbours of the output for a flat input."""
        torch.manual_seed(0)
        network = ResNet(1, 1, blocks=1, width=8, norm="none", padding="replicate", upsample=upsample)
        start = next(i for i, layer in enumerate(network.model) if isinstance(layer, nn.ConvTranspose2d | nn.Upsample))
        length = 1 if upsample == "transposed" else 3
        with torch.no_grad():
            output = network.model[start : start + length](torch.ones(1, 32, 8, 8))
        return float(output[..., 2:-2, 2:-2].std(dim=(2, 3)).max())

    assert ripple("resize_conv") < 1e-6
    assert ripple("transposed") > 1e-2


def reflect(x: Tensor, by: int) -> Tensor:
    return F.pad(x, (by, by, by, by), mode="reflect")


def instance_norm(x: Tensor) -> Tensor:
    deviation = x - x.mean(dim=(2, 3), keepdim=True)
    return deviation / (deviation.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()


@pytest.mark.parametrize("upsample", UPSAMPLES)
def test_johnson_computes_the_network_of_the_paper(upsample: Any) -> None:
    torch.manual_seed(0)
    network = Johnson(3, 2, width=4, upsample=upsample).double()
    values = iter(network.state_dict().values())

    def conv(x: Tensor, kernel: int, stride: int = 1) -> Tensor:
        return F.conv2d(reflect(x, kernel // 2), next(values), next(values), stride=stride)

    images = torch.rand(2, 3, 24, 32, dtype=torch.float64) * 2 - 1
    x = instance_norm(conv(images, 9)).relu()
    x = instance_norm(conv(x, 3, stride=2)).relu()
    x = instance_norm(conv(x, 3, stride=2)).relu()
    for _ in range(5):
        x = x + instance_norm(conv(instance_norm(conv(x, 3)).relu(), 3))
    for _ in range(2):
        if upsample == "resize_conv":
            x = conv(x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), 3)
        else:
            x = F.conv_transpose2d(x, next(values), next(values), stride=2, padding=1, output_padding=1)
        x = instance_norm(x).relu()
    with torch.no_grad():
        torch.testing.assert_close(network(images), conv(x, 9).tanh(), rtol=0, atol=1e-10)
    assert next(values, None) is None, "a weight was not used"


def test_resnet_adalin_is_u_gat_it_without_attention() -> None:
    """Against a light U-GAT-IT generator with three blocks in each half, whose attention returns the features."""
    torch.manual_seed(0)
    network, ugatit = (
        ResNetAdaLIN(3, 3, width=4).double(),
        UGATITGenerator(3, 3, width=4, blocks=3, light=True).double(),
    )
    missing = ugatit.load_state_dict(network.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert {key.partition(".")[0] for key in missing.missing_keys} == {"attention"}
    ugatit.attention.forward = lambda x: (x, x, x)  # type: ignore[method-assign]
    images = torch.rand(2, 3, 24, 16, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(network(images), ugatit(images), rtol=0, atol=0)
        for name, parameter in network.named_parameters():
            if name.endswith("rho"):
                parameter.fill_(-1)
    network.after_update()
    assert all((value >= 0).all() for key, value in network.state_dict().items() if key.endswith("rho"))
