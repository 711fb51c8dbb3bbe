from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.conftest import shared
from translate_core import UserError
from translate_plugins.discriminators.unsb import UNSBDiscriminator
from translate_plugins.generators.unsb import UNSBGenerator
from translate_plugins.time_embedding import sinusoids

TIMES: tuple[Any, ...] = ("used", "ignored")


def networks(width: int) -> dict[str, nn.Module]:
    """The networks as published, by their name in the recorded run."""
    return {
        "G": UNSBGenerator(3, 3, width=width, time="ignored"),
        "D": UNSBDiscriminator(3, width=width),
        "E": UNSBDiscriminator(12, width=width),
    }


@pytest.mark.parametrize("name", ["G", "D", "E"])
@pytest.mark.parametrize(("size", "width"), [("full", 64), ("tiny", 4)])
def test_state_dict_has_the_published_layout(name: str, size: str, width: int) -> None:
    layouts = json.loads((shared("golden") / "state_dict_keys_2.json").read_text())
    with torch.device("meta"):
        network = networks(width)[name]
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == layouts["unsb"][size][name]


def test_what_the_published_generator_never_uses_is_no_parameter() -> None:
    golden = np.load(shared("golden") / "unsb_t012.npz")
    unmoved = [key.removeprefix("G/") for key in json.loads(str(golden["options"]))["unmoved"]]
    network = networks(4)["G"]
    assert len(unmoved) == 58
    fixed = {key for key, _ in network.named_buffers() if not key.endswith("filt")}
    assert fixed == set(unmoved)
    assert not [key for key, _ in UNSBGenerator(3, 3, width=4).named_buffers() if not key.endswith("filt")]


@pytest.mark.parametrize("time", [0, 4])
def test_outputs_are_those_of_the_reference(time: int) -> None:
    golden = np.load(shared("golden") / "unsb_t012.npz")
    made = networks(4)
    for name, network in made.items():
        prefix = f"init/{name}/"
        weights = {key[len(prefix) :]: torch.from_numpy(golden[key]) for key in golden.files if key.startswith(prefix)}
        network.double().load_state_dict(weights)
    A, B = (torch.from_numpy(golden[f"{domain}_uint8"][0]).double() / 127.5 - 1 for domain in "AB")
    index = torch.full((1,), time)
    latent = torch.linspace(-1, 1, 16, dtype=torch.float64)[None]
    with torch.no_grad():
        found = {
            f"first/G(A,t={time})": made["G"](A, index, latent),
            f"first/D(B,t={time})": made["D"](B, index),
            f"first/E(A,B;A,B,t={time})": made["E"](torch.cat((A, B, A, B), 1), index),
        }
    for key, value in found.items():
        torch.testing.assert_close(value, torch.from_numpy(golden[key]), rtol=0, atol=1e-12)


def moved(network: nn.Module) -> dict[str, Tensor]:
    """Changes every weight of the network, so that none is 0 or 1, and returns its state."""
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.1 * torch.rand_like(value))
    return network.state_dict()


def reflect(x: Tensor, by: int) -> Tensor:
    return F.pad(x, (by, by, by, by), mode="reflect")


def normed(x: Tensor) -> Tensor:
    deviation = x - x.mean(dim=(2, 3), keepdim=True)
    return deviation / (deviation.square().mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()


def expected_embedding(time: Tensor, channels: int, state: dict[str, Tensor], key: str) -> Tensor:
    rows = []
    for index in time.tolist():
        angles = [index * 10000 ** (-i / (channels // 2 - 1)) for i in range(channels // 2)]
        rows.append([math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles])
    x = torch.tensor(rows, dtype=torch.float64)
    for layer in (0, 2):
        x = F.leaky_relu(x @ state[f"{key}.main.{layer}.weight"].T + state[f"{key}.main.{layer}.bias"], 0.2)
    return x


@pytest.mark.parametrize("count", [1, 2])
def test_the_conditioned_generator_computes_its_equations(count: int) -> None:
    torch.manual_seed(0)
    width = 4
    network = UNSBGenerator(3, 2, width=width, blocks=2).double()
    state = moved(network)
    images = torch.rand(count, 3, 24, 16, dtype=torch.float64) * 2 - 1
    time, latent = torch.tensor([3, 1])[:count], torch.randn(count, 16, dtype=torch.float64)

    def conv(x: Tensor, key: str, padding: int = 0) -> Tensor:
        return F.conv2d(x, state[f"{key}.weight"], state[f"{key}.bias"], padding=padding)

    style = latent / (latent.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
    for layer in (1, 3, 5, 7):
        style = style @ state[f"z_transform.{layer}.weight"].T + state[f"z_transform.{layer}.bias"]
        style = torch.where(style > 0, style, 0.2 * style)
    style = style + expected_embedding(time, 16, state, "time_embed")

    x = normed(conv(reflect(images, 3), "model.1")).relu()
    for layer in (4, 8):
        x = normed(conv(x, f"model.{layer}", padding=1)).relu()
        x = F.conv2d(reflect(x, 1), state[f"model.{layer + 3}.filt"], stride=2, groups=x.shape[1])
    for block in range(2):
        key = f"model_res.{block}"
        linear = style @ state[f"{key}.style_net.weight"].T + state[f"{key}.style_net.bias"]
        gamma, beta = linear[:, :16, None, None], linear[:, 16:, None, None]
        y = normed(conv(reflect(x, 1), f"{key}.conv_block.1"))
        y = ((1 + gamma) * y + beta).relu()
        x = x + normed(conv(reflect(y, 1), f"{key}.conv_fin.2"))
    for layer in (1, 5):
        y = F.pad(x, (1, 1, 1, 1), mode="replicate")
        y = F.conv_transpose2d(y, state[f"model_upsample.{layer - 1}.filt"], stride=2, padding=2, groups=y.shape[1])[
            ..., 1:-1, 1:-1
        ]
        x = normed(conv(y, f"model_upsample.{layer}", padding=1)).relu()
    expected = conv(reflect(x, 3), "model_upsample.9").tanh()
    with torch.no_grad():
        torch.testing.assert_close(network(images, time, latent), expected, rtol=0, atol=1e-10)


def test_only_the_conditioned_generator_depends_on_the_time() -> None:
    torch.manual_seed(0)
    images, latent = torch.rand(2, 3, 16, 16), torch.randn(2, 16)
    early, late = torch.zeros(2, dtype=torch.int64), torch.full((2,), 4)
    for time in TIMES:
        network = UNSBGenerator(3, 3, width=4, blocks=1, time=time)
        moved(network)
        with torch.no_grad():
            first, second = network(images, early, latent), network(images, late, latent)
            other = network(images, early, -latent)
        assert torch.equal(first, second) == (time == "ignored")
        assert (first - other).abs().max() > 1e-4, "the latent vector has no effect"


def test_each_image_has_its_own_time_and_latent_vector() -> None:
    torch.manual_seed(0)
    network = UNSBGenerator(3, 3, width=4, blocks=2).double()
    moved(network)
    images, latent = torch.rand(3, 3, 16, 16).double(), torch.randn(3, 16).double()
    time = torch.tensor([0, 4, 2])
    together = network(images, time, latent)
    for place in range(3):
        one = slice(place, place + 1)
        torch.testing.assert_close(network(images[one], time[one], latent[one]), together[one], rtol=0, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 3])
def test_the_time_acts_in_the_first_stage_of_the_discriminator_only(layers: int) -> None:
    torch.manual_seed(0)
    network = UNSBDiscriminator(3, layers=layers, width=4).double()
    moved(network)
    images = torch.rand(2, 3, network.smallest + 3, network.smallest).double()
    time = torch.tensor([1, 4])
    with torch.no_grad():
        scores = network(images, time)
        assert scores.shape == (2, 1, (network.smallest + 3) // 2**layers - 2, 1)
        assert (network(images, time.flip(0)) - scores).abs().max() > 1e-4
        for stage in list(network.model_main)[1:]:
            for value in stage.dense.parameters():
                value.add_(1)
        torch.testing.assert_close(network(images, time), scores, rtol=0, atol=1e-10)
        next(iter(network.model_main)).dense.bias.add_(1)
        assert (network(images, time) - scores).abs().max() > 1e-2


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_networks_declare_their_smallest_side(layers: int) -> None:
    discriminator = UNSBDiscriminator(3, layers=layers, width=1)
    index = torch.zeros(1, dtype=torch.int64)
    side = discriminator.smallest
    assert discriminator(torch.rand(1, 3, side, side), index).shape == (1, 1, 1, 1)
    with pytest.raises((RuntimeError, ValueError)):
        discriminator(torch.rand(1, 3, side - 1, side - 1), index)
    for time in TIMES:
        network = UNSBGenerator(3, 3, width=2, blocks=1, time=time)
        assert network(torch.rand(1, 3, 8, 12), index, torch.randn(1, 8)).shape == (1, 3, 8, 12)
        with pytest.raises((RuntimeError, ValueError)):
            network(torch.rand(1, 3, 4, 4), index, torch.randn(1, 8))


@pytest.mark.parametrize("time", TIMES)
def test_every_parameter_gets_a_gradient(time: Any) -> None:
    torch.manual_seed(0)
    network = UNSBGenerator(3, 3, width=4, blocks=2, time=time)
    output = network(torch.rand(2, 3, 16, 16), torch.tensor([0, 3]), torch.randn(2, 16))
    (output * torch.randn_like(output)).sum().backward()
    for key, value in network.named_parameters():
        assert value.grad is not None, key
        assert value.grad.abs().sum() > 0 or value.dim() == 1, key


@pytest.mark.parametrize("time", TIMES)
def test_taps_are_those_of_the_layers(time: Any) -> None:
    torch.manual_seed(0)
    network = UNSBGenerator(3, 3, width=4, blocks=3, time=time).double()
    moved(network)
    images, latent = torch.rand(2, 3, 16, 24).double(), torch.randn(2, 16).double()
    index = torch.tensor([0, 2])
    outputs: dict[nn.Module, Tensor] = {}
    layers = {"image": network.model[0], "down1": network.model[4], "down2": network.model[8]}
    layers |= {f"block{number}": block for number, block in enumerate(network.model_res, 1)}
    for layer in layers.values():
        layer.register_forward_hook(lambda module, _, output: outputs.update({module: output.clone()}))
    with torch.no_grad():
        translation = network(images, index, latent)
        expected = {name: outputs[layer] for name, layer in layers.items()}
        assert {name: value.shape[1] for name, value in expected.items()} == network.taps
        for taps in (tuple(network.taps), ("block1", "image"), ("block3",), ()):
            output, maps = network.with_features(images, taps, index, latent)
            assert torch.equal(output, translation)
            for found in (maps, network.features(images, taps, index, latent)):
                assert len(found) == len(taps)
                assert all(torch.equal(value, expected[tap]) for tap, value in zip(taps, found, strict=True))


def test_nothing_deeper_than_the_last_tap_is_computed() -> None:
    network = UNSBGenerator(3, 3, width=2, blocks=3)
    called: list[nn.Module] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, _, __: called.append(module))
    for taps, expected in ((("block1", "down1"), 5), (("down2",), 3), (("image",), 0), ((), 0)):
        called.clear()
        network.features(torch.rand(1, 3, 16, 16), taps, torch.tensor([0]), torch.randn(1, 8))
        assert len(called) == expected
    for function in (network.features, network.with_features):
        with pytest.raises(UserError, match="the network has no tap 'blok1', did you mean 'block1'"):
            function(torch.rand(1, 3, 16, 16), ("blok1",), torch.tensor([0]), torch.randn(1, 8))


def test_the_embedding_keeps_the_precision_of_its_layers() -> None:
    """Indices are integers; sines are computed in the dtype of the weights, in float64 to its precision."""
    time = torch.tensor([0, 1, 999])
    exact = [[math.sin(t * 10000 ** (-i / 7)) for i in range(8)] for t in time.tolist()]
    torch.testing.assert_close(
        sinusoids(time, 16, torch.float64)[:, :8], torch.tensor(exact).double(), rtol=0, atol=1e-6
    )
    assert torch.equal(sinusoids(time, 16, torch.float32)[0], torch.tensor([0.0] * 8 + [1.0] * 8))
    assert math.isclose(
        float(sinusoids(time, 16, torch.float64)[2, 3]), math.sin(999 * 10000 ** (-3 / 7)), abs_tol=1e-12
    )
