from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from translate_core.errors import UserError
from translate_plugins.optimizers.adam import adam, adamw
from translate_plugins.optimizers.sgd import sgd

Build = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
START = torch.tensor([0.5, -1.5, 2.0], dtype=torch.float64)
GRADIENTS = [torch.tensor(g, dtype=torch.float64) for g in ([1.0, -2.0, 0.1], [0.5, 3.0, -0.2], [-1.0, 0.25, 0.3])]


def trained(build: Build) -> Tensor:
    parameter = nn.Parameter(START.clone())
    optimizer = build([parameter])
    for gradient in GRADIENTS:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def adam_by_hand(lr: float, b1: float, b2: float, eps: float, l2: float = 0.0, decoupled: float = 0.0) -> Tensor:
    w, m, v = START.clone(), torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for t, gradient in enumerate(GRADIENTS, start=1):
        w = w - lr * decoupled * w
        g = gradient + l2 * w
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        w = w - lr * (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + eps)
    return w


def sgd_by_hand(lr: float, momentum: float, l2: float, nesterov: bool) -> Tensor:
    w, velocity = START.clone(), torch.zeros(3, dtype=torch.float64)
    for gradient in GRADIENTS:
        g = gradient + l2 * w
        velocity = momentum * velocity + g
        w = w - lr * (g + momentum * velocity if nesterov else velocity)
    return w


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (adam, adam_by_hand(2e-4, 0.5, 0.999, 1e-8)),
        (
            lambda p: adam(p, lr=0.1, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.2),
            adam_by_hand(0.1, 0.9, 0.99, 1e-3, l2=0.2),
        ),
        (adamw, adam_by_hand(2e-4, 0.5, 0.999, 1e-8, decoupled=0.01)),
        (
            lambda p: adamw(p, lr=0.1, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.2),
            adam_by_hand(0.1, 0.9, 0.99, 1e-3, decoupled=0.2),
        ),
        (lambda p: sgd(p, lr=0.1), sgd_by_hand(0.1, 0.0, 0.0, False)),
        (lambda p: sgd(p, lr=0.1, momentum=0.9, weight_decay=0.2), sgd_by_hand(0.1, 0.9, 0.2, False)),
        (lambda p: sgd(p, lr=0.1, momentum=0.9, nesterov=True), sgd_by_hand(0.1, 0.9, 0.0, True)),
    ],
)
def test_steps_are_those_of_the_paper(build: Build, expected: Tensor) -> None:
    torch.testing.assert_close(trained(build), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("build", [adam, adamw, lambda p: sgd(p, lr=0.1)])
def test_fused_where_torch_has_a_kernel(build: Build) -> None:
    on_cpu, on_meta = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2, device="meta"))
    assert build([on_cpu]).param_groups[0]["fused"] is True
    for params in ([on_meta], [on_cpu, on_meta]):
        assert build(params).param_groups[0]["fused"] is None


@pytest.mark.parametrize("build", [adam, adamw, lambda p: sgd(p, lr=0.1)])
def test_steps_on_the_meta_device(build: Build) -> None:
    parameter = nn.Parameter(torch.zeros(2, device="meta"))
    optimizer = build([parameter])
    parameter.grad = torch.zeros(2, device="meta")
    optimizer.step()


@pytest.mark.parametrize("build", [adam, adamw, lambda p: sgd(p, lr=0.1, momentum=0.5)])
def test_takes_a_learning_rate_on_the_device(build: Build) -> None:
    def run(lr: float | Tensor) -> Tensor:
        def with_rate(params: list[nn.Parameter]) -> torch.optim.Optimizer:
            optimizer = build(params)
            optimizer.param_groups[0]["lr"] = lr
            return optimizer

        return trained(with_rate)

    torch.testing.assert_close(run(torch.tensor(0.25)), run(0.25), rtol=0, atol=1e-12)


def test_nesterov_needs_a_momentum() -> None:
    with pytest.raises(UserError, match="nesterov needs a momentum"):
        sgd([nn.Parameter(torch.zeros(1))], lr=0.1, nesterov=True)
