from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from translate_plugins.inits.weights import kaiming, none, normal, orthogonal, xavier

INITS: list[Callable[[nn.Module], None]] = [normal, xavier, kaiming, orthogonal]


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(48, 96, 4),
        nn.BatchNorm2d(2000),
        nn.ConvTranspose2d(32, 64, 3),
        nn.InstanceNorm2d(64, affine=True),
        nn.BatchNorm2d(8, affine=False),
        nn.Linear(200, 300),
        nn.Conv2d(4, 4, 1, bias=False),
    )


def parameter(module: nn.Module, name: str = "weight") -> Tensor:
    value = getattr(module, name)
    assert isinstance(value, nn.Parameter)
    return value.detach()


def std(module: nn.Module) -> float:
    return float(parameter(module).std())


def test_normal_draws_with_its_standard_deviation() -> None:
    torch.manual_seed(0)
    layers = network()
    normal(layers)
    for index in (0, 2, 5):
        assert std(layers[index]) == pytest.approx(0.02, rel=0.03)
    assert std(layers[1]) == pytest.approx(0.02, rel=0.1)
    normal(layers, std=0.5)
    for index in (0, 2, 5):
        assert std(layers[index]) == pytest.approx(0.5, rel=0.03)
    assert std(layers[1]) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("gain", [0.02, 1.0])
def test_xavier_divides_by_both_fans(gain: float) -> None:
    torch.manual_seed(0)
    layers = network()
    xavier(layers, gain=gain)
    assert std(layers[0]) == pytest.approx(gain * math.sqrt(2 / (48 * 16 + 96 * 16)), rel=0.03)
    assert std(layers[2]) == pytest.approx(gain * math.sqrt(2 / (32 * 9 + 64 * 9)), rel=0.03)
    assert std(layers[5]) == pytest.approx(gain * math.sqrt(2 / 500), rel=0.03)


def test_kaiming_divides_by_the_fan_in() -> None:
    torch.manual_seed(0)
    layers = network()
    kaiming(layers)
    assert std(layers[0]) == pytest.approx(math.sqrt(2 / (48 * 16)), rel=0.03)
    assert std(layers[2]) == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.03)
    assert std(layers[5]) == pytest.approx(math.sqrt(2 / 200), rel=0.03)


@pytest.mark.parametrize("gain", [0.02, 1.0])
def test_orthogonal_rows_are_orthogonal(gain: float) -> None:
    torch.manual_seed(0)
    layers = network().double()
    orthogonal(layers, gain=gain)
    for index in (0, 2):
        rows = parameter(layers[index]).flatten(1)
        torch.testing.assert_close(rows @ rows.T, gain**2 * torch.eye(len(rows), dtype=rows.dtype))
    columns = parameter(layers[5])
    torch.testing.assert_close(columns.T @ columns, gain**2 * torch.eye(200, dtype=columns.dtype))


@pytest.mark.parametrize("init", INITS)
def test_biases_are_zero_and_batch_norms_around_one(init: Callable[[nn.Module], None]) -> None:
    torch.manual_seed(0)
    layers = network()
    for value in layers.parameters():
        nn.init.constant_(value, 7.0)
    init(layers)
    for index in (0, 1, 2, 5):
        assert (parameter(layers[index], "bias") == 0).all()
    weight = parameter(layers[1])
    assert float(weight.mean()) == pytest.approx(1, abs=2e-3)
    assert float(weight.std()) == pytest.approx(0.02, rel=0.1)
    assert (parameter(layers[3]) == 7).all(), "the affine instance norm is not a batch norm"


@pytest.mark.parametrize("init", INITS)
def test_draws_come_from_the_global_generator(init: Callable[[nn.Module], None]) -> None:
    first, second, third = network(), network(), network()
    torch.manual_seed(1)
    init(first)
    init(second)
    torch.manual_seed(1)
    init(third)
    assert torch.equal(parameter(first[0]), parameter(third[0]))
    assert not torch.equal(parameter(first[0]), parameter(second[0]))
    assert all(value.requires_grad and value.is_leaf for value in first.parameters())


def test_none_changes_nothing() -> None:
    layers = network()
    before = {key: value.clone() for key, value in layers.state_dict().items()}
    state = torch.get_rng_state()
    none(layers)
    assert all(torch.equal(value, before[key]) for key, value in layers.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("init", INITS)
def test_reaches_parametrised_weights(init: Callable[[nn.Module], None]) -> None:
    torch.manual_seed(0)
    plain, normed = nn.Conv2d(4, 8, 3), spectral_norm(nn.Conv2d(4, 8, 3))
    torch.manual_seed(1)
    init(plain)
    torch.manual_seed(1)
    init(normed)
    original = parameter(normed.get_submodule("parametrizations.weight"), "original")
    assert torch.equal(original, parameter(plain))
    assert (parameter(normed, "bias") == 0).all()


@pytest.mark.parametrize("init", [*INITS, none])
def test_runs_on_the_meta_device(init: Callable[[nn.Module], None]) -> None:
    with torch.device("meta"):
        layers = network()
    init(layers)
    assert all(value.is_meta for value in layers.parameters())
