"""The networks of StarGAN v2 against a second implementation, and their sizes, gradients and precisions."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate_core.training.channels_last import to_channels_last
from translate_plugins.discriminators.starganv2 import StarGANv2Discriminator
from translate_plugins.generators.starganv2 import StarGANv2Generator
from translate_plugins.networks.starganv2_mapping import StarGANv2Mapping
from translate_plugins.networks.starganv2_style import StarGANv2Style

DOMAINS, STYLE = 3, 5
LABEL = torch.tensor([2, 0])


def instance_norm(x: Tensor) -> Tensor:
    deviation = x - x.mean(dim=(2, 3), keepdim=True)
    return deviation / (deviation.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()


def act(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def pool(x: Tensor) -> Tensor:
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def enlarged(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


class Weights:
    """The weights of a network by name, for a second implementation; remembers which were used."""

    def __init__(self, network: nn.Module) -> None:
        self.values = dict(network.named_parameters())
        self.unused = set(self.values)

    def __call__(self, name: str) -> Tensor:
        self.unused.discard(name)
        return self.values[name]

    def conv(self, x: Tensor, name: str, padding: int = 0) -> Tensor:
        bias = self(f"{name}.bias") if f"{name}.bias" in self.values else None
        return F.conv2d(x, self(f"{name}.weight"), bias, padding=padding)

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self(f"{name}.weight").T + self(f"{name}.bias")

    def norm(self, x: Tensor, name: str) -> Tensor:
        return instance_norm(x) * self(f"{name}.weight")[:, None, None] + self(f"{name}.bias")[:, None, None]

    def skip(self, x: Tensor, name: str) -> Tensor:
        return self.conv(x, f"{name}.skip") if f"{name}.skip.weight" in self.values else x

    def adain(self, x: Tensor, style: Tensor, name: str) -> Tensor:
        parameters = self.linear(style, f"{name}.affine")[..., None, None]
        channels = x.shape[1]
        return instance_norm(x) * (1 + parameters[:, :channels]) + parameters[:, channels:]


def generate(x: Tensor, style: Tensor, weights: Weights, downs: int, blocks: int) -> Tensor:
    """The generator by the paper's table, from left to right."""
    y = weights.conv(x, "enter", 1)
    for place in range(downs + blocks):
        name, down = f"encoder.{place}", pool if place < downs else lambda z: z
        z = weights.conv(act(weights.norm(y, f"{name}.norm1")), f"{name}.conv1", 1)
        z = weights.conv(act(weights.norm(down(z), f"{name}.norm2")), f"{name}.conv2", 1)
        y = (down(weights.skip(y, name)) + z) / 2**0.5
    for place in range(blocks + downs):
        name, up = f"decoder.{place}", enlarged if place >= blocks else lambda z: z
        z = weights.conv(up(act(weights.adain(y, style, f"{name}.norm1"))), f"{name}.conv1", 1)
        z = weights.conv(act(weights.adain(z, style, f"{name}.norm2")), f"{name}.conv2", 1)
        y = (weights.skip(up(y), name) + z) / 2**0.5
    return weights.conv(act(weights.norm(y, "leave.0")), "leave.2")


def encode(x: Tensor, weights: Weights, downs: int) -> Tensor:
    """The trunk of the discriminator and of the style encoder, for images of 4 · 2^downs pixels a side."""
    y = weights.conv(x, "encoder.enter", 1)
    for place in range(downs):
        name = f"encoder.blocks.{place}"
        z = weights.conv(act(y), f"{name}.conv1", 1)
        z = weights.conv(act(pool(z)), f"{name}.conv2", 1)
        y = (pool(weights.skip(y, name)) + z) / 2**0.5
    y = act(weights.conv(act(y), "encoder.leave"))
    assert y.shape[2:] == (1, 1)
    return y[:, :, 0, 0]


def map_latent(latent: Tensor, label: int, weights: Weights, shared: int, unshared: int) -> Tensor:
    y = latent
    for place in range(shared):
        y = weights.linear(y, f"shared.{2 * place}").clamp(min=0)
    for place in range(unshared):
        y = weights.linear(y, f"branches.{label}.{2 * place}").clamp(min=0)
    return weights.linear(y, f"branches.{label}.{2 * unshared}")


def shaken(network: nn.Module) -> nn.Module:
    """The network in float64, with weights of which none is 0 or 1."""
    network = network.double()
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return network


def drawn(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7)) * 2 - 1


def generator() -> StarGANv2Generator:
    torch.manual_seed(0)
    return StarGANv2Generator(3, 2, STYLE, width=4, max_width=12, downs=2, blocks=1)


def discriminator() -> StarGANv2Discriminator:
    torch.manual_seed(0)
    return StarGANv2Discriminator(3, DOMAINS, width=4, max_width=6, downs=2)


def style_encoder() -> StarGANv2Style:
    torch.manual_seed(0)
    return StarGANv2Style(3, DOMAINS, STYLE, width=4, max_width=6, downs=2)


def mapping() -> StarGANv2Mapping:
    torch.manual_seed(0)
    return StarGANv2Mapping(DOMAINS, STYLE, latent_channels=4, width=8, shared=2, unshared=1)


NETWORKS = {
    "generator": (generator, (drawn(2, 3, 16, 24), drawn(2, STYLE))),
    "discriminator": (discriminator, (drawn(2, 3, 24, 16), LABEL)),
    "style": (style_encoder, (drawn(2, 3, 24, 16), LABEL)),
    "mapping": (mapping, (drawn(2, 4), LABEL)),
}
networks = pytest.mark.parametrize("name", NETWORKS)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("downs", "blocks"), [(2, 2), (3, 1), (1, 0)])
def test_the_generator_computes_the_network_of_the_paper(count: int, downs: int, blocks: int) -> None:
    torch.manual_seed(0)
    network = shaken(StarGANv2Generator(3, 2, STYLE, width=4, max_width=12, downs=downs, blocks=blocks))
    weights = Weights(network)
    x, style = drawn(count, 3, 16, 24).requires_grad_(), drawn(count, STYLE).requires_grad_()
    found, expected = network(x, style), generate(x, style, weights, downs, blocks)
    assert not weights.unused
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    wanted = [x, style, *network.parameters()]
    for one, two in zip(
        torch.autograd.grad(found.square().sum(), wanted),
        torch.autograd.grad(expected.square().sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("downs", [1, 3])
def test_discriminator_and_style_encoder_compute_the_networks_of_the_paper(downs: int) -> None:
    torch.manual_seed(0)
    options = {"width": 4, "max_width": 6, "downs": downs}
    D = shaken(StarGANv2Discriminator(3, DOMAINS, **options))
    E = shaken(StarGANv2Style(3, DOMAINS, STYLE, **options))
    x = drawn(2, 3, 4 * 2**downs, 4 * 2**downs)
    of_D, of_E = Weights(D), Weights(E)
    logits = of_D.linear(encode(x, of_D, downs), "heads")
    torch.testing.assert_close(D(x, LABEL), torch.stack([logits[0, 2:3], logits[1, 0:1]]), rtol=0, atol=1e-12)
    styles = of_E.linear(encode(x, of_E, downs), "heads")
    own = torch.stack([styles[0, 2 * STYLE : 3 * STYLE], styles[1, :STYLE]])
    torch.testing.assert_close(E(x, LABEL), own, rtol=0, atol=1e-12)
    assert not of_D.unused
    assert not of_E.unused


def test_the_mapping_network_computes_the_network_of_the_paper() -> None:
    torch.manual_seed(0)
    network = shaken(StarGANv2Mapping(DOMAINS, STYLE, latent_channels=4, width=8, shared=3, unshared=2))
    weights, latent = Weights(network), drawn(2, 4)
    expected = torch.cat([map_latent(latent[i : i + 1], int(LABEL[i]), weights, 3, 2) for i in range(2)])
    torch.testing.assert_close(network(latent, LABEL), expected, rtol=0, atol=1e-12)
    assert weights.unused == {name for name in weights.values if name.startswith("branches.1.")}
    assert network.latent_channels == 4


def test_parameter_counts_of_the_full_size() -> None:
    """For 256×256 images and two domains, without the high-pass skip; no source for published counts was at hand."""
    with torch.device("meta"):
        G, D = StarGANv2Generator(3, 3, 64), StarGANv2Discriminator(3, 2)
        E, M = StarGANv2Style(3, 2, 64), StarGANv2Mapping(2, 64)
    counts = [sum(value.numel() for value in network.parameters()) for network in (G, M, E, D)]
    assert counts == [33_892_995, 2_438_272, 20_916_928, 20_852_290]
    assert (D.smallest, E.smallest, G.multiple) == (256, 256, 16)
    images, label = torch.empty(2, 3, 256, 256, device="meta"), torch.empty(2, dtype=torch.int64, device="meta")
    assert G.encoder(G.enter(images)).shape == (2, 512, 16, 16)
    style = M(torch.empty(2, 16, device="meta"), label)
    assert style.shape == E(images, label).shape == (2, 64)
    assert G(images, style).shape == images.shape
    assert D(images, label).shape == (2, 1)


@networks
@pytest.mark.parametrize("autocast", [False, True])
def test_every_weight_that_is_used_gets_a_gradient(name: str, autocast: bool) -> None:
    build, given = NETWORKS[name]
    network = build()
    inputs = [value.float() if value.is_floating_point() else value for value in given]
    before = [value.clone() for value in inputs]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        output = network(*inputs)
    assert all(torch.equal(one, two) for one, two in zip(inputs, before, strict=True)), "an input was overwritten"
    output.float().square().sum().backward()
    for key, value in network.named_parameters():
        assert value.grad is not None, key
        assert value.grad.isfinite().all(), key
        if value.ndim > 1:
            # No image has the label 1: the branch of that domain is computed and not used.
            assert bool(value.grad.abs().sum() > 0) != key.startswith("branches.1."), key


@networks
def test_half_precision_is_near(name: str) -> None:
    build, given = NETWORKS[name]
    network = build().eval()
    inputs = [value.float() if value.is_floating_point() else value for value in given]
    with torch.no_grad():
        exact = network(*inputs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = network(*inputs)
    assert (exact - rough.float()).abs().mean() < 0.05 * max(float(exact.abs().mean()), 0.1)


@networks
@pytest.mark.parametrize("count", [1, 2])
def test_the_memory_format_does_not_change_the_result(name: str, count: int) -> None:
    build, given = NETWORKS[name]
    plain, last = shaken(build()), build().double()
    last.load_state_dict(plain.state_dict())
    to_channels_last(last)
    found = []
    for network in (plain, last):
        inputs = [value[:count] for value in given]
        if network is last and inputs[0].dim() == 4:
            inputs[0] = inputs[0].contiguous(memory_format=torch.channels_last)
        output = network(*inputs)
        found.append([output, *torch.autograd.grad(output.square().sum(), list(network.parameters()))])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)


@networks
def test_a_copy_and_a_reloaded_network_are_the_same(name: str) -> None:
    build, given = NETWORKS[name]
    network, other = shaken(build()), build().double()
    other.load_state_dict(network.state_dict())
    for same in (other, copy.deepcopy(network)):
        assert torch.equal(same(*given), network(*given))


@networks
def test_it_runs_on_the_meta_device(name: str) -> None:
    build, given = NETWORKS[name]
    with torch.device("meta"):
        network = build().double()
    output = network(*(value.to("meta") for value in given))
    assert output.shape == shaken(build())(*given).shape
    output.sum().backward()
    assert all(value.grad is not None for value in network.parameters())


def test_the_images_of_a_batch_do_not_affect_each_other() -> None:
    for build, given in NETWORKS.values():
        network = shaken(build())
        together = network(*given)
        for place in range(2):
            alone = network(*(value[place : place + 1] for value in given))
            torch.testing.assert_close(alone, together[place : place + 1], rtol=0, atol=1e-10)


def test_the_smallest_image_and_larger_ones() -> None:
    D, E, G = shaken(discriminator()), shaken(style_encoder()), shaken(generator())
    assert (D.smallest, E.smallest) == (16, 16)
    for network in (D, E):
        assert network(drawn(2, 3, 16, 16), LABEL).isfinite().all()
        assert network(drawn(2, 3, 37, 51), LABEL).isfinite().all()
        with pytest.raises(RuntimeError, match=r"[Kk]ernel size"):
            network(drawn(2, 3, 15, 16), LABEL)
    assert (G.multiple, G.smallest) == (4, 8)
    for height, width in ((8, 8), (12, 40)):
        assert G(drawn(1, 3, height, width), drawn(1, STYLE)).shape == (1, 2, height, width)


def test_the_average_over_the_positions_of_a_larger_image() -> None:
    """Of 20 rows the encoder leaves two positions."""
    E = style_encoder().double()
    weights = Weights(E)
    image = drawn(1, 3, 20, 16)
    y = weights.conv(image, "encoder.enter", 1)
    for place in range(2):
        name = f"encoder.blocks.{place}"
        z = weights.conv(act(y), f"{name}.conv1", 1)
        z = weights.conv(act(pool(z)), f"{name}.conv2", 1)
        y = (pool(weights.skip(y, name)) + z) / 2**0.5
    features = act(weights.conv(act(y), "encoder.leave"))
    assert features.shape[2:] == (2, 1)
    expected = weights.linear(features.mean(dim=(2, 3)), "heads")[:, :STYLE]
    torch.testing.assert_close(E(image, LABEL[1:]), expected, rtol=0, atol=1e-12)


def test_the_output_is_clamped_in_evaluation_mode_only() -> None:
    G = shaken(generator())
    x, style = drawn(2, 3, 16, 16), 30 * drawn(2, STYLE)
    free, clamped = G(x, style), G.eval()(x, style)
    assert free.abs().max() > 1
    assert torch.equal(clamped, free.clamp(-1, 1))


def test_the_output_changes_with_the_style_and_the_label() -> None:
    G, D, E, M = (shaken(build()) for build in (generator, discriminator, style_encoder, mapping))
    x = drawn(2, 3, 16, 16)
    assert (G(x, drawn(2, STYLE)) - G(x, -drawn(2, STYLE))).abs().mean() > 0.01
    for network, given in ((D, x), (E, x), (M, drawn(2, 4))):
        by_label = [network(given, torch.full((2,), label)) for label in range(DOMAINS)]
        assert all((by_label[i] - by_label[j]).abs().min() > 0 for i in range(DOMAINS) for j in range(i))


def test_initially_the_scale_of_adain_is_around_one_and_biases_are_zero() -> None:
    from translate_plugins.inits.weights import kaiming

    G = generator()
    kaiming(G)
    block = G.decoder[0]
    x = drawn(2, 12, 4, 4).float()
    assert torch.equal(
        block.norm1(x, torch.zeros(2, STYLE)), block.norm1.norm(x, torch.ones(2, 12), torch.zeros(2, 12))
    )
    assert abs(float(block.norm1.affine.weight.detach().std()) - (2 / STYLE) ** 0.5) < 0.15
    assert torch.equal(G.leave[0].weight, torch.ones(4))
