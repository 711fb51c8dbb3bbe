"""The recorded runs of UNSB, reproduced with the engine, which is fed with their draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.proofs.recorded import Recorded
from translate_core import Method, open_run

NETWORKS = {"G": "G", "D": "D", "E": "E", "H": "F"}
LOSSES = {
    "adversarial/fake_B": ("G_GAN", 1),
    "adversarial/D": ("D", 1),
    "bridge/E": ("E", 1),
    "nce/z_fake_B": ("NCE", 0.5),
    "nce/z_idt_B": ("NCE_Y", 0.5),
}
"""Names of losses in the engine -> in the recording, and their share of the total there."""

Draws = dict[tuple[str | int, ...], Tensor]
"""By the name of a draw in the engine, the recorded one."""


def draws_of(recorded: Recorded, folder: str) -> Iterator[Tensor]:
    """All draws of a step, in the order of the authors' code."""
    for key in sorted(key for key in recorded.arrays.files if key.startswith(f"draw/{folder}/")):
        yield recorded.tensor(key)


def training_draws(recorded: Recorded, step: int) -> tuple[int, Draws]:
    """The index of the time, and the draws of a step."""
    draws = draws_of(recorded, str(step))
    index = int(next(draws))
    found: Draws = {}
    for s in range(index + 1):
        for chain in ("real_A", "real_A2", "real_B"):
            if s > 0:
                found["noise", chain, s] = next(draws)
            latent = next(draws)  # the authors' code evaluates the generator once more, for nothing, at the end
            if s < index:
                found["latent", chain, s] = latent
    found["latent", "real_A", index], found["latent", "real_B", index] = next(draws).chunk(2)
    found["latent", "real_A2", index] = next(draws)
    next(draws), next(draws)  # not used
    found["latent", "patches", "A"], found["latent", "patches", "B"] = draws
    return index, found


def sampling_draws(recorded: Recorded) -> Draws:
    """The draws of a translation; those before belong to a training pass that the authors' code also runs."""
    draws = list(draws_of(recorded, "sample"))[7:]
    found: Draws = {("latent", "sample", s): draws[2 * s] for s in range(5)}
    return found | {("noise", "sample", s): draws[2 * s - 1] for s in range(1, 5)}


def feed(monkeypatch: pytest.MonkeyPatch, draws: Callable[[int], Draws], index: Callable[[int], int]) -> None:
    """Replaces the draws of the method, by step."""

    def normal(self: Method, shape: Sequence[int], like: Tensor, *names: str | int) -> Tensor:
        value = draws(self.step)[names]
        assert tuple(value.shape) == tuple(shape)
        assert value.dtype == like.dtype
        return value

    monkeypatch.setattr(Method, "normal", normal)
    monkeypatch.setattr(Method, "integer", lambda self, high, *names: index(self.step))


def recipe(recorded: Recorded, folder: Path) -> dict[str, Any]:
    options = recorded.options
    adam = {"type": "adam", "lr": 2.0e-4, "betas": [0.5, 0.999]}
    return {
        "method": {"type": "unsb", "times": options["num_timesteps"], "tau": options["tau"], "patches": 65536},
        "data": {"type": "synthetic", "size": options["crop_size"], "train": 4, "test": 1},
        "generator": {"type": "unsb", "blocks": 9, "width": options["ngf"], "time": "ignored"},
        "discriminator": {"type": "unsb", "layers": 3, "width": options["ndf"]},
        "head": {"type": "mlp", "width": options["netF_nc"]},
        "networks": recorded.initial_weights(folder),
        "losses": {
            "adversarial": {"type": "lsgan", "weight": options["lambda_GAN"]},
            "bridge": {"type": "schrodinger_bridge", "weight": options["lambda_SB"]},
            "nce": {"type": "patch_nce", "weight": options["lambda_NCE"] / 2},
        },
        "optimizer": adam,
        "training": {"length": "3 steps", "batch_size": 1, "precision": "fp64", "workers": 0},
    }


def batch(recorded: Recorded, step: int) -> dict[str, Tensor]:
    return {f"real_{name}": recorded.images(name, step) for name in ("A", "B", "A2")}


@pytest.mark.slow
def test_recorded_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The times; steps at the first three: losses, the noisy image, the translation, final weights."""
    recorded = Recorded("unsb_t012", NETWORKS)
    with open_run(recipe(recorded, tmp_path), device="cpu") as run:
        times = torch.tensor(run.tensors().times, dtype=torch.float64)
        torch.testing.assert_close(times, recorded.tensor("times"), rtol=0, atol=1e-15)
        drawn = [training_draws(recorded, step) for step in range(recorded.steps)]
        assert [index for index, _ in drawn] == [0, 1, 2]
        feed(monkeypatch, lambda step: drawn[step][1], lambda step: drawn[step][0])
        for step in range(recorded.steps):
            if step == 2:
                tensors = run.tensors(batch(recorded, step))
                for ours, theirs in (("noisy_A", "real_A_noisy"), ("fake_B", "fake_B")):
                    expected = recorded.tensor(f"step2/{theirs}")
                    torch.testing.assert_close(tensors[ours].detach(), expected, rtol=0, atol=1e-9, msg=ours)
            losses = run.update([batch(recorded, step)]).losses
            for ours, (theirs, share) in LOSSES.items():
                expected = share * recorded.tensor(f"loss/{theirs}")[step]
                torch.testing.assert_close(losses[ours], expected, rtol=0, atol=1e-9, msg=f"step {step}, {ours}")
            bridge = losses["bridge/transport"] + losses["bridge/entropy"]
            torch.testing.assert_close(bridge, recorded.tensor("loss/SB")[step], rtol=0, atol=1e-9, msg=f"step {step}")
        recorded.assert_final_weights(run.networks)


def test_recorded_sampling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The translation after each number of evaluations of the generator."""
    recorded = Recorded("unsb_sampling", {"G": "G"})
    drawn = sampling_draws(recorded)
    with open_run(recipe(recorded, tmp_path), device="cpu") as run:
        feed(monkeypatch, lambda _: drawn, lambda _: 0)
        for steps in range(1, 6):
            monkeypatch.setattr(Method, "option", lambda self, name, steps=steps: {"steps": steps}[name])
            found = run.tensors(batch(recorded, 0))["sample_B"]
            expected = recorded.tensor(f"sample/fake_{steps}")
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-11, msg=f"{steps} steps")
