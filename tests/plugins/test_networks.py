"""Properties of every registered generator and discriminator."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from translate_core.components.plugins import load_plugins
from translate_core.training.channels_last import to_channels_last
from translate_core.training.size_constraint import SizeConstraint, crop

GENERATORS: dict[str, dict[str, Any]] = {
    "resnet": {"blocks": 1, "width": 4},
    "resnet antialiased": {"blocks": 1, "width": 4, "antialias": True},
    "unet": {"downs": 3, "width": 4, "norm": "batch"},
    "unet like training": {"downs": 3, "width": 4, "norm": "batch", "test_like_training": True},
    "munit": {"blocks": 1, "width": 4, "mlp_width": 8},
    "johnson": {"blocks": 1, "width": 4},
    "johnson transposed": {"blocks": 1, "width": 4, "upsample": "transposed"},
    "resnet_adalin": {"blocks": 2, "width": 4},
    "ugatit": {"blocks": 1, "width": 4, "size": 32},
    "ugatit light": {"blocks": 1, "width": 4, "light": True},
    "unsb": {"blocks": 1, "width": 4},
    "unsb ignored": {"blocks": 1, "width": 4, "time": "ignored"},
    "starganv2": {"blocks": 1, "width": 4, "max_width": 8, "downs": 2},
    "unet_diffusion": {
        "width": 8,
        "groups": 4,
        "head_channels": 4,
        "multipliers": (1, 2),
        "blocks": 1,
        "attention": (2,),
    },
}
DISCRIMINATORS: dict[str, dict[str, Any]] = {
    "patchgan": {"layers": 2, "width": 4},
    "patchgan antialiased": {"layers": 2, "width": 4, "antialias": True},
    "patchgan spectral": {"layers": 2, "width": 4, "norm": "none", "padding": "reflect", "spectral_norm": True},
    "patchgan antialiased spectral": {"layers": 2, "width": 4, "antialias": True, "spectral_norm": True},
    "pixelgan": {"width": 4},
    "pixelgan spectral": {"width": 4, "spectral_norm": True},
    "multiscale": {"scales": 2, "layers": 2, "width": 4},
    "multiscale normed": {"scales": 2, "layers": 2, "width": 4, "norm": "batch", "spectral_norm": True},
    "ugatit": {"layers": 5, "width": 4},
    "unsb": {"layers": 2, "width": 4},
    "starganv2": {"width": 4, "max_width": 8, "downs": 3},
}
EXTRA: dict[tuple[str, str], dict[str, Any]] = {
    ("generator", "starganv2"): {"style_channels": 5},
    ("discriminator", "starganv2"): {"domains": 3},
}
"""By kind and component, the arguments that its method decides."""
CONDITIONS: dict[tuple[str, str], Callable[[Tensor], tuple[Tensor, ...]]] = {
    ("generator", "unsb"): lambda x: (times(x), latents(x, 16)),
    ("discriminator", "unsb"): lambda x: (times(x),),
    ("generator", "starganv2"): lambda x: (latents(x, 5),),
    ("discriminator", "starganv2"): lambda x: (torch.arange(len(x), device=x.device),),
    ("generator", "unet_diffusion"): lambda x: (times(x),),
}
"""By kind and component, what the network takes after the images."""
NOT_IMAGES = {"unet_diffusion"}
"""Generators that predict what is not an image: of any range, and 0 before their first update."""
TABLE = [("generator", name) for name in GENERATORS] + [("discriminator", name) for name in DISCRIMINATORS]
networks = pytest.mark.parametrize(("kind", "name"), TABLE)

_REGISTRY = load_plugins().registry


def times(x: Tensor) -> Tensor:
    """The index of a time step for each image."""
    return torch.arange(len(x), device=x.device)


def latents(x: Tensor, channels: int) -> Tensor:
    """A latent vector for each image."""
    drawn = torch.randn(len(x), channels, generator=torch.Generator().manual_seed(4), device="cpu")
    return drawn.to(x.device, x.dtype)


def build(kind: str, name: str) -> nn.Module:
    """The network, which gets its conditions by itself where it is called with images only."""
    given = {"in_channels": 3, "out_channels": 2} if kind == "generator" else {"in_channels": 3}
    options = (GENERATORS if kind == "generator" else DISCRIMINATORS)[name]
    torch.manual_seed(0)
    component = name.partition(" ")[0]
    extra = EXTRA.get((kind, component), {})
    network: nn.Module = _REGISTRY.get(kind, component).component(**given, **extra, **options)
    if component in NOT_IMAGES:
        _REGISTRY.get("init", "kaiming").component(network)
    if (kind, component) in CONDITIONS:
        conditions = CONDITIONS[kind, component]
        network.register_forward_pre_hook(lambda _, given: (*given, *conditions(given[0])))
    return network


def maps(output: Tensor | list[Tensor]) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else output


def scalar(output: Tensor | list[Tensor]) -> Tensor:
    """A sum in which every value has a different weight."""
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(value.shape, generator=generator, dtype=torch.float64) for value in maps(output)]
    parts = [(value * weight.to(value.dtype)).sum() for value, weight in zip(maps(output), weights, strict=True)]
    return torch.stack(parts).sum()


def images(count: int, height: int = 64, width: int = 48) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.rand(count, 3, height, width, generator=generator) * 2 - 1


def test_every_registered_network_is_tested() -> None:
    assert {name.partition(" ")[0] for name in GENERATORS} == set(_REGISTRY.names("generator"))
    assert {name.partition(" ")[0] for name in DISCRIMINATORS} == set(_REGISTRY.names("discriminator"))


@networks
@pytest.mark.parametrize("autocast", [False, True])
def test_every_weight_gets_a_gradient(kind: str, name: str, autocast: bool) -> None:
    network = build(kind, name)
    given = images(2)
    before = given.clone()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        output = network(given)
    assert torch.equal(given, before), "the network overwrote its input"
    scalar([value.float() for value in maps(output)]).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        if parameter.ndim > 1:
            assert parameter.grad.abs().sum() > 0, key


@networks
def test_half_precision_is_near(kind: str, name: str) -> None:
    network = build(kind, name).eval()
    with torch.no_grad():
        exact = maps(network(images(1)))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = maps(network(images(1)))
    for left, right in zip(exact, rough, strict=True):
        assert (left - right.float()).abs().mean() < 0.05 * max(float(left.abs().mean()), 0.1)


@networks
def test_a_copy_and_a_reloaded_network_are_the_same(kind: str, name: str) -> None:
    network = build(kind, name)
    with torch.no_grad():
        for _ in range(2):  # changes the state that is kept besides the weights
            network(images(2))
    network.eval()
    other = build(kind, name)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(network.state_dict())
    copied = copy.deepcopy(network)
    assert list(copied.state_dict()) == list(network.state_dict())
    with torch.no_grad():
        for same in (other.eval(), copied):
            for left, right in zip(maps(network(images(1))), maps(same(images(1))), strict=True):
                assert torch.equal(left, right)


@networks
def test_evaluation_is_repeatable_and_does_not_change_the_state(kind: str, name: str) -> None:
    network = build(kind, name).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        first, second = maps(network(images(1))), maps(network(images(1)))
    assert all(torch.equal(left, right) for left, right in zip(first, second, strict=True))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@networks
def test_training_is_determined_by_the_seed(kind: str, name: str) -> None:
    def trained() -> list[Tensor]:
        network = build(kind, name)
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
        torch.manual_seed(3)
        for _ in range(2):
            optimizer.zero_grad()
            scalar(network(images(2))).backward()
            optimizer.step()
        return list(network.state_dict().values())

    assert all(torch.equal(left, right) for left, right in zip(trained(), trained(), strict=True))


@networks
@pytest.mark.parametrize("count", [1, 2])
def test_the_memory_format_does_not_change_the_result(kind: str, name: str, count: int) -> None:
    def gradients(network: nn.Module, given: Tensor) -> Iterator[tuple[str, Tensor]]:
        given = given.clone(memory_format=torch.preserve_format).requires_grad_()
        output = network(given)
        yield from ((f"output {place}", value) for place, value in enumerate(maps(output)))
        scalar(output).backward()
        assert given.grad is not None
        yield "images", given.grad
        yield from ((key, value.grad) for key, value in network.named_parameters() if value.grad is not None)

    plain, last = build(kind, name).double(), build(kind, name).double()
    to_channels_last(last)
    given = images(count).double()
    expected = gradients(plain, given)
    found = gradients(last, given.contiguous(memory_format=torch.channels_last))
    for (key, left), (_, right) in zip(expected, found, strict=True):
        torch.testing.assert_close(right, left, rtol=1e-9, atol=1e-9, msg=lambda text, key=key: f"{key}: {text}")


@networks
def test_it_runs_on_the_meta_device(kind: str, name: str) -> None:
    with torch.device("meta"):
        network = build(kind, name)
    expected = [value.shape for value in maps(build(kind, name)(images(2)))]
    output = network(images(2).to("meta"))
    assert [value.shape for value in maps(output)] == expected
    torch.stack([value.sum() for value in maps(output)]).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize(("height", "width"), [(33, 50), (5, 3), (64, 65)])
def test_any_size_is_translated(name: str, height: int, width: int) -> None:
    network = build("generator", name).eval()
    fit = SizeConstraint.of([network])
    with torch.no_grad():
        padded = fit.pad(images(1, height, width))
        output = network(padded)
    assert output.shape == (1, 2, *padded.shape[2:])
    assert crop(output, height, width).shape[2:] == (height, width)
    assert output.abs().max() <= 1 or name in NOT_IMAGES
    assert output.isfinite().all()
