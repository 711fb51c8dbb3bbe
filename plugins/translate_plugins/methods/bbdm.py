"""BBDM: Li, Xue, Liu and Lai, BBDM: Image-to-image Translation with Brownian Bridge Diffusion Models, CVPR 2023,
arXiv 2205.07680."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from translate_core import GENERATORS, Direction, Method, Option, Role, UserError, tensor, tensors

Schedule = Literal["linear", "sine", "exponential"]
SCHEDULES: Mapping[Schedule, Callable[[Tensor, int], Tensor]] = {
    "linear": lambda part, _: 0.001 + 0.998 * part,
    "sine": lambda part, _: 0.5 - 0.499 * torch.cos(math.pi * part),
    "exponential": lambda part, timesteps: (1.0075 ** ((part - 1) * timesteps)).clamp(max=0.999),
}
"""m of t / (T - 1), a tensor in 0 … 1, and T."""


class BBDM(Method):
    """BBDM: diffusion along a Brownian bridge from the target image to the source image; paired images.

    The paper's x₀ is `real_B`, its y is `real_A`. From x_t, a mixture of both with noise, the network G predicts what
    leads back to x₀. A translation starts at x_T = y and samples one earlier x after the other; it is random unless
    `eta` is 0. `first_B` is the estimate of x₀ at its first step. There is no discriminator. The usual loss is
    `{type: l1, pairs: bridge}`; l2 is the squared error of the paper's derivation. Weights should be averaged
    (`training.ema`).

    As in the authors' code, m runs from 0.001 to 0.999: neither end of the bridge is exact, although sampling starts at
    exactly y. The objective `noise` divides by 1 - m, which is 0.001 at the first step. Two of its options differ from
    their names in the authors' code, and have both meanings here: see `eta_scales` and `schedule`.

    Args:
        objective: what G predicts. grad: m_t (y - x₀) + sqrt(δ_t) ε; noise: ε; ysubx: y - x₀.
        timesteps: T; times are 0 … T - 1.
        max_var: s, the variance of the bridge: δ_t = 2 s (m_t - m_t²), s / 2 at its middle.
        schedule: m as a function of the time. linear, as in the paper; sine, slower at both ends; exponential, what the
            authors' code computes where it is set to sin: most times lie near the target image.
        conditioned: whether G receives y beside x_t, concatenated along the channels, as in the authors' code for
            pixels. In the paper's equations it receives x_t alone.
        steps: evaluations of G in a translation, unless the user sets another number; at most T.
        spacing: times at which a translation evaluates G. linear: evenly spaced, and at the end 1 and 0. cosine: denser
            at both ends; times that coincide are evaluated once. (The authors' code raises an error for cosine.)
        eta: noise in a translation, unless the user sets another value. 1: that of the bridge. 0: none after the start.
        eta_scales: what `eta` multiplies: the standard deviation of each step, which leaves x_t its variance δ_t, as in
            DDIM (Song et al., ICLR 2021, equation 12); or the noise alone, as in the authors' code, where x_t loses
            variance if `eta` is below 1. With an `eta` of 1 both are the same.
        clip: limit each estimate of x₀ in a translation to [-1, 1]. The authors evaluate without, and preview with.
    """

    roles = (Role("G", "generator", GENERATORS, ("B", "A"), ("B",), conditions=("time",)),)
    order = (GENERATORS,)
    pairs = {"bridge": {"predicted": "objective"}}

    def __init__(
        self,
        *,
        objective: Literal["grad", "noise", "ysubx"] = "grad",
        timesteps: Annotated[int, Field(ge=2)] = 1000,
        max_var: PositiveFloat = 1.0,
        schedule: Schedule = "linear",
        conditioned: bool = True,
        steps: PositiveInt = 200,
        spacing: Literal["linear", "cosine"] = "linear",
        eta: Annotated[float, Field(ge=0, le=1)] = 1.0,
        eta_scales: Literal["deviation", "noise"] = "deviation",
        clip: bool = True,
    ) -> None:
        if steps > timesteps:
            raise UserError(f"steps {steps} is more than timesteps {timesteps}")
        if not conditioned:
            self.roles = (Role("G", "generator", GENERATORS, ("B",), ("B",), conditions=("time",)),)
        options = (
            Option("steps", steps, low=1, high=timesteps, help="evaluations of the network"),
            Option("eta", eta, low=0.0, high=1.0, help="noise: 1 that of the bridge, 0 none"),
        )
        self.directions = {"A-B": Direction("A", "B", always=("first_B",), options=options)}
        self._objective = objective
        self.timesteps = timesteps
        self.max_var = max_var
        self.schedule = schedule
        self.conditioned = conditioned
        self.spacing = spacing
        self.eta_scales = eta_scales
        self.clip = clip

    @tensor
    def time(self) -> Tensor:
        """t, uniform in 0 … T - 1, for each image."""
        drawn = self.uniform((len(self.real_B),), self.real_B, "time") * self.timesteps
        return drawn.long().clamp(max=self.timesteps - 1)

    @tensor
    def noise(self) -> Tensor:
        """ε ~ N(0, I)."""
        return self.normal(self.real_B.shape, self.real_B, "noise")

    @tensor
    def x_t(self) -> Tensor:
        """x_t = (1 - m_t) x₀ + m_t y + sqrt(δ_t) ε: the forward process."""
        x0, y = self.real_B, self.real_A
        if x0.shape != y.shape:
            raise UserError(f"a bridge needs images of equal shapes: A has {y.shape[1]} channels, B {x0.shape[1]}")
        m, delta = self._bridge(self.time, x0)
        return (1 - m) * x0 + m * y + delta.sqrt() * self.noise

    @tensor
    def predicted(self) -> Tensor:
        """ε_θ(x_t, t), the output of G."""
        return self._predicted(self.x_t, self.real_A, self.time)

    @tensor
    def objective(self) -> Tensor:
        """m_t (y - x₀) + sqrt(δ_t) ε, or what the option `objective` names: the target of the prediction."""
        if self._objective == "noise":
            return self.noise
        difference = self.real_A - self.real_B
        if self._objective == "ysubx":
            return difference
        m, delta = self._bridge(self.time, self.real_B)
        return m * difference + delta.sqrt() * self.noise

    @tensor
    def x0(self) -> Tensor:
        """The estimate of x₀ from the prediction, in training."""
        return self._x0(self.predicted, self.x_t, self.real_A, self.time)

    @tensors("fake_B", "first_B")
    def sampled(self) -> tuple[Tensor, Tensor]:
        """The last and the first estimate of x₀ along a sampled path: accelerated sampling in the paper.

        From the time t to an earlier one n:
        x_n = (1 - m_n) x̂₀ + m_n y + sqrt((δ_n - η² σ²) / δ_t) (x_t - (1 - m_t) x̂₀ - m_t y) + η σ ε, where
        σ² = (δ_t - δ_n (1 - m_t)² / (1 - m_n)²) δ_n / δ_t.
        """
        x = y = self.real_A
        times = sampling_times(self.timesteps, int(self.option("steps")), self.spacing)
        if y.is_meta:
            times = times[-2:]  # one step and the last one have the shapes of all
        first = None
        for place, time in enumerate(times):
            t = torch.full((len(y),), time, device=y.device)
            x0 = self._x0(self._predicted(x, y, t), x, y, t)
            x0 = x0.clamp(-1, 1) if self.clip else x0
            first = x0 if first is None else first
            if place + 1 < len(times):
                x = self._earlier(x0, x, y, t, torch.full_like(t, times[place + 1]), place)
        assert first is not None
        return x0, first

    def _earlier(self, x0: Tensor, x_t: Tensor, y: Tensor, t: Tensor, n: Tensor, place: int) -> Tensor:
        """x_n from x_t and the estimate of x₀. place: of the step in the path, for its draw."""
        m_t, delta_t = self._bridge(t, y)
        m_n, delta_n = self._bridge(n, y)
        # δ_n (1 - m_t)² / (δ_t (1 - m_n)²), so that σ² = δ_n (1 - kept).
        kept = m_n * (1 - m_t) / (m_t * (1 - m_n))
        eta = self.option("eta")
        scale = eta if self.eta_scales == "deviation" else 1.0
        rest = (delta_n * (kept + (1 - scale**2) * (1 - kept)) / delta_t).sqrt()
        sigma = (delta_n * (1 - kept)).sqrt()
        mean = (1 - m_n) * x0 + m_n * y + rest * (x_t - (1 - m_t) * x0 - m_t * y)
        return mean + eta * sigma * self.normal(y.shape, y, "sampling", place)

    def _predicted(self, x_t: Tensor, y: Tensor, time: Tensor) -> Tensor:
        return self.G(torch.cat((x_t, y), dim=1) if self.conditioned else x_t, time)

    def _x0(self, predicted: Tensor, x_t: Tensor, y: Tensor, time: Tensor) -> Tensor:
        """x̂₀, which the objective gives for this prediction."""
        if self._objective == "grad":
            return x_t - predicted
        if self._objective == "ysubx":
            return y - predicted
        m, delta = self._bridge(time, y)
        return (x_t - m * y - delta.sqrt() * predicted) / (1 - m)

    def _bridge(self, time: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """m and δ at each image's time, (N, 1, 1, 1), in the dtype of `like`."""
        part = time.to(like.dtype)[:, None, None, None] / (self.timesteps - 1)
        m = SCHEDULES[self.schedule](part, self.timesteps)
        return m, 2 * self.max_var * (m - m**2)


def sampling_times(timesteps: int, steps: int, spacing: str) -> list[int]:
    """The times at which a translation evaluates the network: decreasing from T - 1, `steps` of them.

    linear: T - 1 - i (T - 1) / (steps - 2), rounded down, then 1 and 0; 1 occurs twice where `steps` is close to T.
    cosine: (T - 1) (1 + cos(π i / (steps - 1))) / 2, rounded; times that coincide occur once.
    """
    last = timesteps - 1
    if steps < 3:
        return [last, 0][:steps]
    if spacing == "linear":
        return [*(last * (steps - 2 - place) // (steps - 2) for place in range(steps - 2)), 1, 0]
    angles = (math.pi * place / (steps - 1) for place in range(steps))
    return list(dict.fromkeys(round(last * (1 + math.cos(angle)) / 2) for angle in angles))
