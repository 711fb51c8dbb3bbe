"""One `--set` swaps any component; tensors that no loss needs are never computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from translate_core import load_recipe
from translate_core.commands.run import main
from translate_core.runtime.ranks import Ranks
from translate_core.training.build import Run, build, check_shapes, open_data
from translate_core.training.loader import Sampling, load_steps
from translate_core.training.trainer import Trainer

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


def built(recipe: Path, *overrides: str) -> Run:
    plan = load_recipe(recipe, overrides)
    dataset = open_data(plan)
    training = plan.training
    sampling = Sampling(training.seed, training.batch_size, training.accumulate, Ranks())
    return build(plan, dataset, check_shapes(plan, dataset, sampling), torch.device("cpu"), Ranks())


def first_batch(run: Run) -> list[dict[str, torch.Tensor]]:
    return next(load_steps(run.dataset.train, run.sampling, 0, 1, 0, False))


def calls_in_a_step(run: Run, folder: Path) -> dict[str, int]:
    counts = dict.fromkeys(run.networks, 0)
    for name, network in run.networks.items():
        network.module.register_forward_hook(lambda *_, name=name: counts.__setitem__(name, counts[name] + 1))
    Trainer(run, folder, {}).update(first_batch(run))
    return counts


@pytest.mark.parametrize("off", ["losses.identity.weight=0", "losses.identity=null"])
def test_without_identity_loss_its_pass_is_not_computed(
    off: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = write_recipe()
    assert calls_in_a_step(built(recipe), tmp_path) == {"G_AB": 3, "G_BA": 3, "D_A": 3, "D_B": 3}
    assert calls_in_a_step(built(recipe, off), tmp_path) == {"G_AB": 2, "G_BA": 2, "D_A": 3, "D_B": 3}


def test_without_the_adversarial_loss_there_are_no_discriminators(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    run = built(write_recipe(), "losses.adversarial.weight=0")
    assert calls_in_a_step(run, tmp_path) == {"G_AB": 3, "G_BA": 3}
    assert [phase.side for phase in run.phases] == ["generators"]


def test_without_cycle_loss_the_second_pass_is_not_computed(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    run = built(write_recipe(), "losses.cycle.weight=0")
    assert calls_in_a_step(run, tmp_path) == {"G_AB": 2, "G_BA": 2, "D_A": 3, "D_B": 3}


def test_a_loss_of_the_other_side_leaves_no_gradient(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """In the generators' phase gradients pass through a discriminator without reaching its weights."""
    run = built(write_recipe())
    trainer = Trainer(run, tmp_path, {})
    given = trainer._given(first_batch(run)[0])
    from translate_core.runtime.randomness import Draws

    tensors = run.method.tensors(given, run.networks, run.calls, Draws(0, 0, 0, 0), grad=True)
    phase = run.phases[0]
    total, _ = phase.losses(tensors, run.calls)
    total.backward()
    assert all(
        parameter.grad is None for name in ("D_A", "D_B") for parameter in run.networks[name].module.parameters()
    )
    assert all(parameter.grad is not None for parameter in phase.parameters)
    assert all(
        parameter.requires_grad for name in ("D_A", "D_B") for parameter in run.networks[name].module.parameters()
    )


def test_accumulation_equals_the_large_batch(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """Two micro-batches of 1 give the same weights as one batch of 2, in float64, without pools and draws."""
    recipe = write_recipe()
    common = ("training.precision=fp64", "losses.adversarial.pool={type: none}")
    weights = []
    for shape in (("training.batch_size=2",), ("training.accumulate=2",)):
        run = built(recipe, *common, *shape)
        trainer = Trainer(run, tmp_path, {})
        steps = load_steps(run.dataset.train, run.sampling, 0, 3, 0, False)
        losses = [trainer.update(next(steps)) for _ in range(3)]
        weights.append((torch.cat([p.detach().reshape(-1) for phase in run.phases for p in phase.parameters]), losses))
    torch.testing.assert_close(weights[0][0], weights[1][0], rtol=0, atol=1e-9)
    for large, small in zip(weights[0][1], weights[1][1], strict=True):
        assert large.keys() == small.keys()
        for name in large:
            torch.testing.assert_close(large[name], small[name], rtol=0, atol=1e-10)
