from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from translate_plugins.generators.time_blocks import SelfAttention, time_embedding
from translate_plugins.generators.unet_diffusion import UNetDiffusion
from translate_plugins.inits.weights import normal

SMALL: dict[str, Any] = {"width": 8, "groups": 4, "head_channels": 4, "multipliers": (1, 2)}
VARIANTS: Mapping[str, dict[str, Any]] = {
    "small": SMALL,
    "attention at every level": {**SMALL, "multipliers": (1, 2, 4), "attention": (1, 2, 4)},
    "attention at one level": {**SMALL, "multipliers": (1, 2, 3), "attention": (2,), "head_channels": 8},
    "bias only": {**SMALL, "scaled": False},
    "convolutions": {**SMALL, "resample": "convolution", "multipliers": (1, 2, 2)},
    "one level": {**SMALL, "multipliers": (2,)},
    "one channel per group": {**SMALL, "groups": 8, "multipliers": (1, 1)},
    "three blocks": {**SMALL, "blocks": 3, "attention": (1,)},
    "a level that narrows": {**SMALL, "multipliers": (2, 1), "blocks": 1, "dropout": 0.5},
}


def drawn(seed: int = 0, in_channels: int = 6, out_channels: int = 3, **options: Any) -> UNetDiffusion:
    """A network in float64 with weights of a scale at which every layer matters, those that begin as 0 included."""
    torch.manual_seed(seed)
    network = UNetDiffusion(in_channels, out_channels, **options).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) / max(parameter[0].numel(), 4) ** 0.5)
    return network


def inputs(network: UNetDiffusion, in_channels: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    side = 4 * network.multiple
    images = torch.rand(2, in_channels, side, side + network.multiple, generator=generator, dtype=torch.float64)
    return images * 2 - 1, torch.tensor([0, 731])


class Reference:
    """The network by its equations, from a state_dict in the layout of Dhariwal and Nichol's code.

    Nothing is shared with the implementation: the layers follow from the keys, norms and attention are written out.
    """

    def __init__(self, state: Mapping[str, Tensor], width: int, groups: int, heads: int, blocks: int) -> None:
        self.state, self.width, self.groups, self.head_channels, self.blocks = state, width, groups, heads, blocks

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        embedded = torch.stack([self.embedding(float(t)) for t in time])
        embedded = self.linear("time_embed.2", self.silu(self.linear("time_embed.0", embedded)))
        maps = []
        for stage in range(self.count("input_blocks")):
            halves = stage > 0 and stage % (self.blocks + 1) == 0
            x = self.stage(f"input_blocks.{stage}", x, embedded, "down" if halves else None)
            maps.append(x)
        x = self.stage("middle_block", x, embedded, None)
        for stage in range(self.count("output_blocks")):
            doubles = stage % (self.blocks + 1) == self.blocks
            x = self.stage(f"output_blocks.{stage}", torch.cat((x, maps.pop()), 1), embedded, "up" if doubles else None)
        assert not maps
        return self.conv("out.2", self.silu(self.norm("out.0", x)))

    def count(self, prefix: str) -> int:
        return 1 + max(int(key.split(".")[1]) for key in self.state if key.startswith(prefix + "."))

    def stage(self, prefix: str, x: Tensor, embedded: Tensor, resize: str | None) -> Tensor:
        layers = sorted(
            {int(key[len(prefix) + 1 :].split(".")[0]) for key in self.state if key.startswith(prefix + ".")}
        )
        for layer in layers:
            name = f"{prefix}.{layer}"
            if f"{name}.qkv.weight" in self.state:
                x = self.attention(name, x)
            elif f"{name}.in_layers.0.weight" in self.state:
                # Of the stages that double, the last layer does; those that halve have one layer.
                resized = resize if layer == layers[-1] and (resize == "down" or layer > 0) else None
                x = self.residual(name, x, embedded, resized)
            elif f"{name}.op.weight" in self.state:
                x = F.conv2d(x, self.state[f"{name}.op.weight"], self.state[f"{name}.op.bias"], stride=2, padding=1)
            elif f"{name}.conv.weight" in self.state:
                x = self.conv(f"{name}.conv", self.twice(x))
            else:
                x = self.conv(name, x)
        return x

    def embedding(self, time: float) -> Tensor:
        half = self.width // 2
        angles = [time * 10000 ** (-index / half) for index in range(half)]
        return torch.tensor([*map(math.cos, angles), *map(math.sin, angles)], dtype=torch.float64)

    def residual(self, name: str, x: Tensor, embedded: Tensor, resize: str | None) -> Tensor:
        h = self.silu(self.norm(f"{name}.in_layers.0", x))
        if resize is not None:
            h, x = (self.half(h), self.half(x)) if resize == "down" else (self.twice(h), self.twice(x))
        h = self.conv(f"{name}.in_layers.2", h)
        condition = self.linear(f"{name}.emb_layers.1", self.silu(embedded))[:, :, None, None]
        channels = h.shape[1]
        if condition.shape[1] == 2 * channels:
            h = self.norm(f"{name}.out_layers.0", h) * (1 + condition[:, :channels]) + condition[:, channels:]
        else:
            h = self.norm(f"{name}.out_layers.0", h + condition)
        h = self.conv(f"{name}.out_layers.3", self.silu(h))
        skip = f"{name}.skip_connection"
        if f"{skip}.weight" in self.state:
            x = torch.einsum("oi,nihw->nohw", self.state[f"{skip}.weight"][:, :, 0, 0], x)
            x = x + self.state[f"{skip}.bias"][:, None, None]
        return x + h

    def attention(self, name: str, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        flat = self.norm(f"{name}.norm", x).flatten(2)
        weight, bias = self.state[f"{name}.qkv.weight"][:, :, 0], self.state[f"{name}.qkv.bias"]
        joined = torch.einsum("oi,nip->nop", weight, flat) + bias[:, None]
        heads = []
        for start in range(0, 3 * channels, 3 * self.head_channels):
            query, key, value = joined[:, start : start + 3 * self.head_channels].split(self.head_channels, dim=1)
            logits = torch.einsum("ncp,ncq->npq", query, key) / self.head_channels**0.5
            weights = logits.exp() / logits.exp().sum(-1, keepdim=True)
            heads.append(torch.einsum("npq,ncq->ncp", weights, value))
        weight, bias = self.state[f"{name}.proj_out.weight"][:, :, 0], self.state[f"{name}.proj_out.bias"]
        projected = torch.einsum("oi,nip->nop", weight, torch.cat(heads, dim=1)) + bias[:, None]
        return x + projected.reshape(count, channels, height, width)

    def norm(self, name: str, x: Tensor) -> Tensor:
        grouped = x.reshape(len(x), self.groups, -1)
        mean = grouped.mean(-1, keepdim=True)
        variance = ((grouped - mean) ** 2).mean(-1, keepdim=True)
        normed = ((grouped - mean) / (variance + 1e-5).sqrt()).reshape(x.shape)
        return normed * self.state[f"{name}.weight"][:, None, None] + self.state[f"{name}.bias"][:, None, None]

    def conv(self, name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], padding=1)

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def silu(self, x: Tensor) -> Tensor:
        return x / (1 + (-x).exp())

    def half(self, x: Tensor) -> Tensor:
        return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4

    def twice(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)


@pytest.mark.parametrize("name", VARIANTS)
def test_output_and_gradients_are_those_of_the_equations(name: str) -> None:
    options = VARIANTS[name]
    network = drawn(**options)
    x, time = inputs(network)
    state = {key: value.detach().clone().requires_grad_() for key, value in network.state_dict().items()}
    reference = Reference(
        state, options["width"], options["groups"], options["head_channels"], options.get("blocks", 2)
    )
    expected = reference(x, time)
    output = network(x, time)
    torch.testing.assert_close(output, expected, rtol=1e-10, atol=1e-10)

    pull = torch.randn(output.shape, generator=torch.Generator().manual_seed(2), dtype=output.dtype)
    (output * pull).sum().backward()
    (expected * pull).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0 or parameter.ndim == 1, f"{key} receives no gradient"
        torch.testing.assert_close(parameter.grad, state[key].grad, rtol=1e-8, atol=1e-9, msg=key)


def test_parameter_counts_are_the_published_ones() -> None:
    """Dhariwal and Nichol's models have 296, 422 and 554 million, a class embedding included; BBDM's 237.09 million."""

    def millions(in_channels: int, out_channels: int, classes: int = 0, **options: Any) -> float:
        with torch.device("meta"):
            network = UNetDiffusion(in_channels, out_channels, **options)
        return (sum(item.numel() for item in network.parameters()) + classes * 4 * network.width) / 1e6

    assert f"{millions(3, 3):.2f}" == "237.09"
    assert round(millions(3, 6, 1000, width=192, multipliers=(1, 2, 3, 4), blocks=3, attention=(2, 4, 8))) == 296
    assert round(millions(3, 6, 1000, width=256, multipliers=(1, 1, 2, 3, 4), attention=(4, 8, 16))) == 422
    assert round(millions(3, 6, 1000, width=256, multipliers=(1, 1, 2, 2, 4, 4), attention=(8, 16, 32))) == 554


def test_embedding_of_a_time() -> None:
    time = np.array([0.0, 1.0, 2.5, 999.0])
    angles = time[:, None] * np.array([1.0, 10000**-0.25, 10000**-0.5, 10000**-0.75])
    expected = np.concatenate((np.cos(angles), np.sin(angles), np.zeros((4, 1))), axis=1)
    embedded = time_embedding(torch.from_numpy(time), 9, torch.float64)
    np.testing.assert_allclose(embedded.numpy(), expected, rtol=0, atol=1e-12)
    integers = time_embedding(torch.tensor([0, 999]), 9, torch.float64)
    np.testing.assert_allclose(integers.numpy(), expected[[0, 3]], rtol=0, atol=1e-12)
    assert time_embedding(torch.tensor([0, 999]), 8, torch.float32).dtype == torch.float32


def test_a_new_network_returns_zero_and_its_blocks_are_their_skips() -> None:
    network = UNetDiffusion(6, 3, **SMALL)
    x, time = (value.float() for value in inputs(network))
    assert torch.equal(network(x, time), torch.zeros(2, 3, *x.shape[2:]))
    block = network.middle_block[0]
    maps = torch.randn(2, 16, 4, 4)
    assert torch.equal(block(maps, torch.randn(2, 32)), maps)
    assert torch.equal(network.middle_block[1](maps), maps)
    normal(network)
    assert network(x, time).abs().sum() > 0  # as its docstring states of every init but `none`


def test_time_changes_the_output_of_each_image_alone() -> None:
    network = drawn(**SMALL)
    x, time = inputs(network)
    output = network(x, time)
    changed = network(x, torch.tensor([0, 730]))
    torch.testing.assert_close(changed[0], output[0], rtol=0, atol=1e-12)
    assert (changed[1] - output[1]).abs().max() > 1e-6
    torch.testing.assert_close(network(x, time.double()), output, rtol=0, atol=0)


def test_gradients_reach_every_parameter_after_an_update() -> None:
    """Before the first update the convolutions that are 0 keep the gradients of the layers before them at 0."""
    torch.manual_seed(0)
    network = UNetDiffusion(6, 3, **SMALL, attention=(1,))
    x, time = (value.float() for value in inputs(network))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    target = torch.randn(2, 3, *x.shape[2:])
    for _ in range(5):
        optimizer.zero_grad()
        loss = F.l1_loss(network(x, time), target)
        loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        optimizer.step()
    unmoved = [key for key, item in network.named_parameters() if item.grad is None or not item.grad.any()]
    assert not unmoved


def test_under_autocast() -> None:
    torch.manual_seed(0)
    network = drawn(**SMALL, attention=(1, 2)).float()
    x, time = inputs(network)
    exact = network(x.float(), time)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(x.float(), time)
    assert rough.isfinite().all()
    assert (rough - exact).abs().mean() < 0.05 * exact.abs().mean()
    rough.float().sum().backward()
    assert all(item.grad is not None and item.grad.isfinite().all() for item in network.parameters())


@pytest.mark.parametrize("name", VARIANTS)
def test_sizes(name: str) -> None:
    network = drawn(**VARIANTS[name]).float()
    time = torch.zeros(1)
    side, further = network.smallest, network.smallest + network.multiple
    assert network(torch.rand(1, 6, side, further), time).shape == (1, 3, side, further)
    if network.multiple > 1:
        with pytest.raises(RuntimeError):
            network(torch.rand(1, 6, 2 * further, 2 * further + 1), time)
    if network.smallest > network.multiple:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            network.train()(torch.rand(1, 6, side - network.multiple, side - network.multiple), time)


def test_channels_last_computes_the_same() -> None:
    network = drawn(**SMALL, attention=(1,))
    x, time = inputs(network)
    expected = network(x, time)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(
        network(x.contiguous(memory_format=torch.channels_last), time), expected, rtol=1e-12, atol=1e-12
    )


def test_attention_takes_memory_in_proportion_to_the_places() -> None:
    """The matrix of all pairs of places would take 67 MB here."""
    attention = SelfAttention(4, 4, 2)
    maps = torch.rand(1, 4, 64, 64, requires_grad=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        attention(maps).sum().backward()
    assert max(event.self_cpu_memory_usage for event in profiled.events()) < 5e6


def test_dropout_is_for_training_only() -> None:
    network = drawn(**SMALL, dropout=0.5)
    x, time = inputs(network)
    assert torch.equal(network(x, time), network(x, time))
    network.train()
    assert not torch.equal(network(x, time), network(x, time))
    assert sum(isinstance(layer, nn.Dropout) and layer.p == 0.5 for layer in network.modules()) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 100}, "width 100 is not a multiple of groups 32"),
        ({"attention": (8,)}, "attention 8: the reductions of these multipliers are 1, 2, 4"),
        ({"multipliers": (1,), "head_channels": 48}, "head_channels 48 does not divide the 128 channels that attend"),
        (
            {"attention": (1,), "head_channels": 256},
            "head_channels 256 does not divide the 128 channels that attend",
        ),
    ],
)
def test_options_that_do_not_fit_are_reported(options: dict[str, Any], message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        UNetDiffusion(6, 3, **options)
