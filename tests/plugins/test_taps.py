from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from translate_core import UserError
from translate_plugins.discriminators.multiscale import Multiscale
from translate_plugins.discriminators.patchgan import PatchGAN
from translate_plugins.generators.johnson import Johnson
from translate_plugins.generators.resnet import ResidualBlock, ResNet
from translate_plugins.generators.unet import Level, UNet

NORMS: tuple[Any, ...] = ("instance", "batch", "none")

NETWORKS: dict[str, Callable[[], Johnson | ResNet | UNet]] = {
    **{f"resnet norm={norm}": partial(ResNet, 3, 2, blocks=2, width=4, norm=norm) for norm in NORMS},
    **{
        f"antialiased resnet norm={norm}": partial(ResNet, 3, 2, blocks=2, width=4, norm=norm, antialias=True)
        for norm in NORMS
    },
    "resnet downs=3": partial(ResNet, 1, 1, blocks=1, width=2, downs=3, padding="zero", upsample="resize_conv"),
    **{f"johnson norm={norm}": partial(Johnson, 3, 2, blocks=2, width=4, norm=norm) for norm in NORMS},
    **{f"unet norm={norm}": partial(UNet, 3, 2, downs=4, width=4, norm=norm) for norm in NORMS},
    "unet downs=2": partial(UNet, 1, 3, downs=2, width=2),
}


def expected_taps(network: Johnson | ResNet | UNet, images: Tensor) -> dict[str, Tensor]:
    """Every tap, by calling the layers one by one without in-place computation; names are counted separately."""
    found: dict[str, Tensor] = {}
    if isinstance(network, UNet):
        found["image"] = x = images
        first = network.model.model[0]
        levels = [module for module in network.modules() if isinstance(module, Level)]
        convolutions = [first, *(level.model[1] for level in levels)]
        # The innermost level has a ReLU in place of the norm.
        norms = [nn.Identity(), *(level.model[2] for level in levels[:-1]), nn.Identity()]
        for number, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True), start=1):
            found[f"down{number}"] = convolution(x)
            x = norm(found[f"down{number}"])
            x = torch.where(x > 0, x, 0.2 * x)
        return found
    x = images
    downs = blocks = 0
    for index, layer in enumerate(network.model):
        x = x.clamp(min=0) if isinstance(layer, nn.ReLU) else layer(x)
        if index == 0:
            found["image"] = x
        elif isinstance(layer, ResidualBlock):
            blocks += 1
            found[f"block{blocks}"] = x
        elif isinstance(layer, nn.Conv2d) and index > 1 and blocks == 0:
            downs += 1
            found[f"down{downs}"] = x
    return found


def images_for(network: Johnson | ResNet | UNet) -> Tensor:
    images: Tensor = torch.randn(2, network.taps["image"], 2 * network.smallest, 3 * network.smallest).double()
    return images


def build(name: str) -> Johnson | ResNet | UNet:
    torch.manual_seed(0)
    return NETWORKS[name]().double()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tap_has_its_map_and_its_channels(name: str) -> None:
    network = build(name)
    images = images_for(network)
    expected = expected_taps(network, images)
    assert list(expected) == list(network.taps)
    names = tuple(network.taps)
    for taps in (names, names[::-1], (names[-1], names[0]), (names[1], names[1]), ()):
        found = network.features(images, taps)
        assert len(found) == len(taps)
        for tap, value in zip(taps, found, strict=True):
            torch.testing.assert_close(value, expected[tap], rtol=0, atol=1e-12, msg=f"{tap} of {taps}")
            assert value.shape[1] == network.taps[tap]


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_the_returned_map(name: str) -> None:
    network = build(name)
    images = images_for(network).requires_grad_()
    names = tuple(network.taps)

    def gradients(maps: list[Tensor]) -> list[Tensor | None]:
        total = torch.stack([(value.sin() * (place + 1)).sum() for place, value in enumerate(maps)]).sum()
        return list(torch.autograd.grad(total, [images, *network.parameters()], allow_unused=True))

    expected = gradients([expected_taps(network, images)[tap] for tap in names])
    found = gradients(network.features(images, names))
    assert any(value is None for value in found), "what lies deeper than the last tap gets no gradient"
    for left, right in zip(expected, found, strict=True):
        assert (left is None) == (right is None)
        if left is not None and right is not None:
            torch.testing.assert_close(right, left, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_deeper_than_the_last_tap_is_computed(name: str) -> None:
    network = build(name)
    images = images_for(network)
    called: list[nn.Module] = []
    weighted = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    for module in weighted:
        module.register_forward_hook(lambda module, _, __: called.append(module))
    counts = {}
    for tap in network.taps:
        called.clear()
        network.features(images, (tap,))
        assert len(set(called)) == len(called), "a layer was called twice"
        counts[tap] = len(called)
    first = 0 if isinstance(network, UNet) else 1
    expected = {"image": 0}
    for tap in list(network.taps)[1:]:
        first += 2 if tap.startswith("block") else 1
        expected[tap] = first
    assert counts == expected
    called.clear()
    network.features(images, ())
    assert not called


DISCRIMINATORS: dict[str, Callable[[], PatchGAN | Multiscale]] = {
    **{f"patchgan norm={norm}": partial(PatchGAN, 3, layers=2, width=4, norm=norm) for norm in NORMS},
    "antialiased patchgan": partial(PatchGAN, 3, layers=2, width=4, antialias=True),
    "patchgan with a sigmoid": partial(PatchGAN, 3, layers=1, width=4, output="sigmoid"),
    **{f"multiscale norm={norm}": partial(Multiscale, 3, scales=2, layers=3, width=2, norm=norm) for norm in NORMS},
}


def expected_stages(network: PatchGAN | Multiscale, images: Tensor) -> dict[str, Tensor]:
    """Every tap of a discriminator: what each convolution is given, but the first, by calling the layers one by one."""
    if isinstance(network, PatchGAN):
        parts = {"": (network.model, images)}
    else:
        halved = nn.functional.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)
        parts = {"scale1_": (network.networks[0], images), "scale2_": (network.networks[1], halved)}
    found = {}
    for prefix, (layers, x) in parts.items():
        inputs = []
        for layer in layers:
            inputs += [x] if isinstance(layer, nn.Conv2d) else []
            x = torch.where(x > 0, x, 0.2 * x) if isinstance(layer, nn.LeakyReLU) else layer(x)
        found.update({f"{prefix}stage{stage}": value for stage, value in enumerate(inputs[1:], start=1)})
    return found


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_taps_of_discriminators(name: str) -> None:
    torch.manual_seed(0)
    network = DISCRIMINATORS[name]().double()
    images = torch.randn(2, 3, 32, 40).double()
    expected = expected_stages(network, images)
    assert list(network.taps) == list(expected)
    for names in (tuple(network.taps), tuple(network.taps)[::-1], tuple(network.taps)[:1], ()):
        found = network.features(images, names)
        assert len(found) == len(names)
        for tap, value in zip(names, found, strict=True):
            torch.testing.assert_close(value, expected[tap], rtol=0, atol=1e-12)
            assert value.shape[1] == network.taps[tap]
    with pytest.raises(UserError, match="the network has no tap 'stage9'"):
        network.features(images, ("stage9",))


@pytest.mark.parametrize("name", [*NETWORKS, *DISCRIMINATORS])
def test_the_output_and_the_features_of_one_pass(name: str) -> None:
    torch.manual_seed(0)
    network = (NETWORKS | DISCRIMINATORS)[name]().double()
    images = torch.randn(2, 3, 32, 40).double() if name in DISCRIMINATORS else images_for(build(name))
    expected = network(images)
    for names in (tuple(network.taps), tuple(network.taps)[::-1], tuple(network.taps)[:1], ()):
        output, maps = network.with_features(images, names)
        assert type(output) is type(expected)
        outputs, before = (output, expected) if isinstance(output, list) else ([output], [expected])
        assert all(torch.equal(one, other) for one, other in zip(outputs, before, strict=True))
        features = network.features(images, names)
        assert all(torch.equal(one, other) for one, other in zip(maps, features, strict=True))
    with pytest.raises(UserError, match="the network has no tap 'nothing'"):
        network.with_features(images, ("nothing",))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_unknown_tap_is_named_with_the_nearest(name: str) -> None:
    network = build(name)
    with pytest.raises(UserError) as caught:
        network.features(images_for(network), ("image", "Down1", "down2"))
    assert str(caught.value) == (
        f"the network has no tap 'Down1', did you mean 'down1'? It has: {', '.join(network.taps)}"
    )
    with pytest.raises(UserError, match=r"no tap 'encoder'\. It has: image"):
        network.features(images_for(network), ("encoder",))


def test_the_taps_of_cut() -> None:
    with torch.device("meta"):
        network = ResNet(3, 3, antialias=True)
    taps = ("image", "down1", "down2", "block1", "block5")
    assert tuple(network.taps[tap] for tap in taps) == (3, 128, 256, 256, 256)
    maps = network.features(torch.empty(1, 3, 256, 256, device="meta"), taps)
    assert [tuple(value.shape[1:]) for value in maps] == [
        (3, 262, 262), (128, 256, 256), (256, 128, 128), (256, 64, 64), (256, 64, 64),
    ]  # fmt: skip
    assert list(UNet(1, 1, downs=3, width=2).taps.items()) == [("image", 1), ("down1", 2), ("down2", 4), ("down3", 8)]


@pytest.mark.parametrize("name", NETWORKS)
def test_taps_do_not_change_the_translation_or_the_image(name: str) -> None:
    network = build(name).eval()
    images = images_for(network)
    before = images.clone()
    with torch.no_grad():
        translation = network(images)
        maps = network.features(images, tuple(network.taps))
        kept = [value.clone() for value in maps]
        assert torch.equal(network(images), translation)
    assert torch.equal(images, before)
    assert all(torch.equal(value, copy) for value, copy in zip(maps, kept, strict=True))
