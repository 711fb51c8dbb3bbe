from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.plugins.toy_method import double, tensors_of
from translate_core import UserError
from translate_core.contracts.network import Calls
from translate_plugins.generators.unet_diffusion import UNetDiffusion
from translate_plugins.inits.weights import kaiming
from translate_plugins.methods.bbdm import BBDM, SCHEDULES, sampling_times

OBJECTIVES = ("grad", "noise", "ysubx")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A small network in float64, with random weights."""
    torch.manual_seed(0)
    network = UNetDiffusion(6, 3, width=4, groups=2, head_channels=4, multipliers=(1, 2), blocks=1).double()
    kaiming(network)
    return network.requires_grad_(False)


def bound(network: nn.Module, **options: Any) -> BBDM:
    """BBDM, bound to a batch of two pairs."""
    given = {"real_A": double(2, 3, 8, 8, seed=1), "real_B": double(2, 3, 8, 8, seed=2)}
    method = tensors_of(BBDM(**options), given, {"G": network}, Calls())
    assert isinstance(method, BBDM)
    return method


def schedule(name: str, timesteps: int) -> np.ndarray[Any, Any]:
    """m at every time, as an array."""
    part = torch.arange(timesteps, dtype=torch.float64) / (timesteps - 1)
    return SCHEDULES[name](part, timesteps).numpy()  # type: ignore[index]


@pytest.mark.parametrize("timesteps", [2, 10, 1000])
def test_schedules(timesteps: int) -> None:
    t = np.arange(timesteps)
    np.testing.assert_allclose(schedule("linear", timesteps), np.linspace(0.001, 0.999, timesteps), rtol=1e-12)
    sine = 0.001 + 0.998 * (1 + np.sin(np.pi * (t / (timesteps - 1) - 0.5))) / 2
    np.testing.assert_allclose(schedule("sine", timesteps), sine, rtol=1e-9)
    published = 1.0075 ** np.linspace(0, timesteps, timesteps)
    published = published / published[-1]
    published[-1] = 0.999
    exponential = schedule("exponential", timesteps)
    np.testing.assert_allclose(exponential, np.minimum(published, 0.999), rtol=1e-9)
    if timesteps == 1000:
        np.testing.assert_allclose(exponential, published, rtol=1e-9)
        assert exponential[timesteps // 2] < 0.05


@pytest.mark.parametrize("spacing", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 50, 200, 999, 1000])
def test_sampling_times(spacing: str, steps: int) -> None:
    times = sampling_times(1000, steps, spacing)
    assert times[0] == 999
    assert times[-1] == (0 if steps > 1 else 999)
    assert times == sorted(times, reverse=True)
    if spacing == "linear":
        assert len(times) == steps
        assert len(set(times)) >= steps - 1
    else:
        expected = 999 * (1 + np.cos(np.pi * np.arange(steps) / max(steps - 1, 1))) / 2
        assert times == sorted({int(value) for value in np.rint(expected)}, reverse=True)
        assert len(set(times)) == len(times)


@pytest.mark.parametrize("name", ["linear", "sine", "exponential"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_training_tensors_are_those_of_the_equations(network: nn.Module, name: Any, objective: Any) -> None:
    batch = bound(network, objective=objective, schedule=name, max_var=0.5, timesteps=20, steps=3)
    x0, y, noise = (batch[key].numpy() for key in ("real_B", "real_A", "noise"))
    m = schedule(name, 20)[batch["time"].numpy()][:, None, None, None]
    sigma = np.sqrt(2 * 0.5 * m * (1 - m))
    x_t = (1 - m) * x0 + m * y + sigma * noise
    expected = {"grad": m * (y - x0) + sigma * noise, "noise": noise, "ysubx": y - x0}[objective]
    np.testing.assert_allclose(batch["x_t"].numpy(), x_t, rtol=0, atol=1e-12)
    np.testing.assert_allclose(batch["objective"].numpy(), expected, rtol=0, atol=1e-12)

    predicted = network(torch.cat((batch["x_t"], batch["real_A"]), 1), batch["time"]).detach()
    np.testing.assert_allclose(batch["predicted"].numpy(), predicted.numpy(), rtol=0, atol=1e-12)
    estimate = {
        "grad": x_t - predicted.numpy(),
        "noise": (x_t - m * y - sigma * predicted.numpy()) / (1 - m),
        "ysubx": y - predicted.numpy(),
    }[objective]
    np.testing.assert_allclose(batch["x0"].numpy(), estimate, rtol=0, atol=1e-10)
    perfect = batch._x0(batch["objective"], batch["x_t"], batch["real_A"], batch["time"])
    np.testing.assert_allclose(perfect.numpy(), x0, rtol=0, atol=1e-10)


def walked(
    network: nn.Module, batch: BBDM, eta: float, scales: str, times: list[int], clip: bool, name: str
) -> list[Tensor]:
    """The estimates of x₀ along a path, by the formulas of the authors' code, with the draws of the batch."""
    x = y = batch["real_A"]
    m, objective = schedule(name, 1000), batch._objective
    estimates = []
    for place, t in enumerate(times):
        time = torch.full((len(y),), t)
        with torch.no_grad():
            predicted = network(torch.cat((x, y), 1), time)
        delta = 2 * 0.7 * (m[t] - m[t] ** 2)
        if objective == "noise":
            x0 = (x - m[t] * y - delta**0.5 * predicted) / (1 - m[t])
        else:
            x0 = x - predicted if objective == "grad" else y - predicted
        x0 = x0.clip(-1, 1) if clip else x0
        estimates.append(x0)
        if place + 1 == len(times):
            break
        n = times[place + 1]
        delta_n = 2 * 0.7 * (m[n] - m[n] ** 2)
        variance = (delta - delta_n * (1 - m[t]) ** 2 / (1 - m[n]) ** 2) * delta_n / delta
        removed = variance * (eta**2 if scales == "deviation" else 1)
        x = (1 - m[n]) * x0 + m[n] * y + ((delta_n - removed) / delta) ** 0.5 * (x - (1 - m[t]) * x0 - m[t] * y)
        x = x + eta * variance**0.5 * batch.normal(y.shape, y, "sampling", place)
    return estimates


@pytest.mark.parametrize("scales", ["deviation", "noise"])
@pytest.mark.parametrize(
    ("objective", "name", "eta", "clip"),
    [("grad", "linear", 1.0, False), ("grad", "sine", 0.5, True), ("noise", "exponential", 0.3, False),
     ("ysubx", "linear", 0.0, True)],
)  # fmt: skip
def test_a_translation_follows_the_sampling_rule(
    network: nn.Module, scales: Any, objective: Any, name: Any, eta: float, clip: bool
) -> None:
    options = {"objective": objective, "schedule": name, "eta": eta, "clip": clip, "max_var": 0.7}
    batch = bound(network, eta_scales=scales, steps=6, **options)
    expected = walked(network, batch, eta, scales, [999, 749, 499, 249, 1, 0], clip, name)
    np.testing.assert_allclose(batch["first_B"].numpy(), expected[0].numpy(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(batch["fake_B"].numpy(), expected[-1].numpy(), rtol=1e-7, atol=1e-7)
    assert (batch["fake_B"] - batch["first_B"]).abs().max() > 1e-3


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_a_step_keeps_the_variance_of_the_bridge(network: nn.Module, eta: float) -> None:
    """x_n has the variance δ_n where x_t has δ_t, unless `eta` scales the noise alone."""
    for scales in ("deviation", "noise"):
        batch = bound(network, eta=eta, eta_scales=scales)
        zero = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
        for later, earlier in ((999, 500), (500, 499), (30, 1), (1, 0)):
            t, n = torch.tensor([later]), torch.tensor([earlier])
            places = (zero, zero, zero, t, n, 0)
            unmoved = batch._earlier(*places)
            moved = batch._earlier(zero, zero + 1, *places[2:])
            drawn = unmoved / batch.normal((1, 1, 1, 1), zero, "sampling", 0)
            (m_t, m_n) = schedule("linear", 1000)[[later, earlier]]
            variance = float((moved - unmoved) ** 2) * 2 * m_t * (1 - m_t) + float(drawn**2)
            ratio = variance / (2 * m_n * (1 - m_n))
            if scales == "deviation" or eta == 1:
                assert ratio == pytest.approx(1, rel=1e-9)
            else:
                assert ratio < 1 - 1e-4


def test_times_are_uniform() -> None:
    images = torch.zeros(4000, 3, 1, 1)
    method = tensors_of(BBDM(timesteps=4, steps=2), {"real_A": images, "real_B": images}, {}, Calls())
    counts = method["time"].bincount(minlength=4)
    assert len(counts) == 4
    assert (counts - 1000).abs().max() < 120


def test_one_evaluation_is_the_first_estimate(network: nn.Module) -> None:
    batch = bound(network, steps=1)
    assert batch["fake_B"] is batch["first_B"]
    predicted = network(torch.cat((batch["real_A"],) * 2, 1), torch.tensor([999, 999]))
    torch.testing.assert_close(batch["fake_B"], (batch["real_A"] - predicted).clamp(-1, 1))


def test_options_of_a_translation(network: nn.Module) -> None:
    batch = bound(network, steps=7, eta=0.5)
    (direction,) = batch.directions.values()
    assert [(item.name, item.default, item.low, item.high) for item in direction.options] == [
        ("steps", 7, 1, 1000), ("eta", 0.5, 0.0, 1.0)
    ]  # fmt: skip
    calls: list[int] = []
    hook = network.register_forward_hook(lambda *_: calls.append(1))
    try:
        assert batch["fake_B"].shape == (2, 3, 8, 8)
    finally:
        hook.remove()
    assert len(calls) == 7


def test_images_of_different_channels(network: nn.Module) -> None:
    given = {"real_A": double(2, 1, 8, 8), "real_B": double(2, 3, 8, 8)}
    with pytest.raises(UserError, match="equal shapes: A has 1 channels, B 3"):
        _ = tensors_of(BBDM(), given, {"G": network}, Calls())["x_t"]


def test_without_the_condition_the_network_receives_x_t_alone() -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 3, 1).double()

    class Timeless(nn.Module):
        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            y: Tensor = network(x)
            return y

    method = BBDM(conditioned=False)
    assert method.roles[0].inputs == ("B",)
    batch = bound(Timeless(), conditioned=False)
    torch.testing.assert_close(batch["predicted"], network(batch["x_t"]))


def test_more_steps_than_times() -> None:
    with pytest.raises(UserError, match="steps 30 is more than timesteps 20"):
        BBDM(timesteps=20, steps=30)
