"""One `--set` swaps any component; tensors that no loss needs are never computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from translate_core import load_recipe, open_run
from translate_core.commands.run import main

SWAPS = {
    "generator={type: unet, downs: 3, width: 4}": "unet",
    "discriminator={type: pixelgan, width: 4}": "pixelgan",
    "losses.adversarial.type=bce": "bce",
    "losses.cycle.distance=smooth_l1": "smooth_l1",
    "losses.cycle.distance=l2": "l2",
    "losses.adversarial.pool={type: none}": "type: none",
    "optimizer={type: sgd, lr: 0.01}": "sgd",
    "optimizer={type: adamw}": "adamw",
    "schedule={type: cosine}": "cosine",
    "generator.init={type: orthogonal}": "orthogonal",
    "networks.G_BA={type: unet, downs: 3, width: 4}": "G_BA",
    "networks.G_BA.blocks=2": "G_BA",
    "training.precision=bf16": "bf16",
    "training.precision=fp64": "fp64",
    "training.accumulate=2": "accumulate: 2",
    "training.channels_last=false": "channels_last: false",
    "losses.adversarial.weight=0": "weight: 0",
}


@pytest.mark.parametrize("override", SWAPS)
def test_one_set_swaps(override: str, write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = write_recipe()
    run = tmp_path / "run"
    arguments = [
        str(recipe),
        "--out",
        str(run),
        "--device",
        "cpu",
        "--set",
        "training.length=2 steps",
        "--set",
        override,
    ]
    assert main(arguments) == 0
    assert (run / "checkpoints" / "step-2.pt").is_file()
    assert SWAPS[override] in (run / "recipe.yaml").read_text()


def calls_in_a_step(recipe: Path, *overrides: str) -> dict[str, int]:
    """How often each network is called in one training step."""
    with open_run(load_recipe(recipe, overrides), device="cpu") as run:
        counts = dict.fromkeys(run.networks, 0)
        for name, network in run.networks.items():
            network.register_forward_hook(lambda *_, name=name: counts.__setitem__(name, counts[name] + 1))
        next(run.steps())
    return counts


@pytest.mark.parametrize("off", ["losses.identity.weight=0", "losses.identity=null"])
def test_without_identity_its_pass_is_never_computed(off: str, write_recipe: Callable[..., Path]) -> None:
    recipe = write_recipe()
    assert calls_in_a_step(recipe) == {"G_AB": 3, "G_BA": 3, "D_A": 3, "D_B": 3}
    assert calls_in_a_step(recipe, off) == {"G_AB": 2, "G_BA": 2, "D_A": 3, "D_B": 3}


def test_without_the_adversarial_loss_there_are_no_discriminators(write_recipe: Callable[..., Path]) -> None:
    recipe = write_recipe()
    assert calls_in_a_step(recipe, "losses.adversarial.weight=0") == {"G_AB": 3, "G_BA": 3}
    with open_run(load_recipe(recipe, ["losses.adversarial.weight=0"]), device="cpu") as run:
        assert [phase.update.side for phase in run.assembly.phases] == ["generators"]


def test_without_the_cycle_the_second_pass_is_never_computed(write_recipe: Callable[..., Path]) -> None:
    assert calls_in_a_step(write_recipe(), "losses.cycle.weight=0") == {"G_AB": 2, "G_BA": 2, "D_A": 3, "D_B": 3}


def test_a_loss_of_the_other_side_leaves_no_gradient(write_recipe: Callable[..., Path]) -> None:
    """In the generators' phase gradients pass through a discriminator and do not reach its weights."""
    with open_run(write_recipe(), device="cpu") as run:
        phase = run.assembly.phases[0]
        due = phase.due(0)
        trained = phase.trained(due, ())
        phase.losses(due, run.tensors(grad=True), run.assembly.calls, trained).total.backward()
        discriminators = [parameter for name in ("D_A", "D_B") for parameter in run.networks[name].parameters()]
        assert all(parameter.grad is None for parameter in discriminators)
        generators = [parameter for name in ("G_AB", "G_BA") for parameter in run.networks[name].parameters()]
        assert trained == {"G_AB", "G_BA"}
        assert all(parameter.grad is not None for parameter in generators)
        assert all(parameter.requires_grad for parameter in discriminators)


def test_accumulation_equals_the_large_batch(write_recipe: Callable[..., Path]) -> None:
    """In float64, without pools and draws: two micro-batches of 1 learn what one batch of 2 does."""
    recipe = write_recipe()
    common = ("training.precision=fp64", "losses.adversarial.pool={type: none}")
    weights = []
    for shape in (("training.batch_size=2",), ("training.accumulate=2",)):
        with open_run(load_recipe(recipe, [*common, *shape]), device="cpu") as run:
            losses = [step.losses for step in run.steps(3)]
            parameters = [p.detach().reshape(-1) for network in run.networks.values() for p in network.parameters()]
        weights.append((torch.cat(parameters), losses))
    torch.testing.assert_close(weights[0][0], weights[1][0], rtol=0, atol=1e-9)
    for large, small in zip(weights[0][1], weights[1][1], strict=True):
        assert large.keys() == small.keys()
        for name in large:
            torch.testing.assert_close(large[name], small[name], rtol=0, atol=1e-10)
