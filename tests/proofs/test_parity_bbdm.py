"""The recorded run of BBDM, reproduced with the engine: recipe, dataset, method, loss, optimizer, sampling."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import shared
from translate_core import Run, load_recipe, open_run
from translate_plugins.methods.bbdm import SCHEDULES, sampling_times

PLUGIN = "tests.proofs.golden_bbdm"
TENSORS = {"x_t": "x_t", "objective": "objective", "prediction": "predicted", "x0_recon": "x0"}
"""Names of tensors in the reference -> in the engine."""


@pytest.fixture(scope="module")
def golden() -> Any:
    return np.load(shared("golden") / "bbdm.npz")


@contextmanager
def opened(golden: Any, folder: Path, **method: Any) -> Iterator[Run]:
    """The recorded run: its images as files, its weights, its options."""
    options = json.loads(str(golden["options"]))
    for domain in "AB":
        images = golden[f"{domain}_uint8"]
        target = folder / "data" / f"train{domain}"
        target.mkdir(parents=True)
        for index, image in enumerate(images.reshape(-1, *images.shape[2:])):
            Image.fromarray(image.transpose(1, 2, 0)).save(target / f"{index:04d}.png")
    weights = {
        key[len("init/net/") :]: torch.from_numpy(golden[key]) for key in golden.files if key.startswith("init/")
    }
    torch.save(weights, folder / "net.pth")
    recipe = {
        "plugins": [PLUGIN],
        "method": {"type": "bbdm_recorded", **method},
        "data": {
            "type": "paired_folders",
            "root": str(folder / "data"),
            "transform": {"flip": False},
            "shuffle": False,
        },
        "generator": {"type": "bbdm_stub", "init_from": str(folder / "net.pth")},
        "losses": {"bridge": {"type": options["params"]["loss_type"], "pairs": "bridge"}},
        "optimizer": {"type": "adam", "lr": options["lr"], "betas": [options["beta1"], options["beta2"]]},
        "training": {"length": f"{options['steps']} steps", "batch_size": 2, "precision": "fp64", "workers": 0},
    }
    with open_run(load_recipe(recipe), device="cpu") as run:
        yield run


def near(actual: Any, expected: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def test_training(golden: Any, tmp_path: Path) -> None:
    with opened(golden, tmp_path) as run:
        for number in range(3):
            batch = run.tensors()
            recorded = f"train/grad_l1/{number}"
            near(batch["time"], golden[f"{recorded}/t"], 0)
            for theirs, ours in TENSORS.items():
                expected = golden[f"{recorded}/{theirs}"]
                near(batch[ours].detach() if number == 0 else batch[ours][:, :, ::4, ::4], expected)
            (step,) = run.steps(1)
            near(float(step.losses["bridge"]), golden["train/grad_l1/loss"][number])
        final = run.networks["G"].state_dict()
        assert len(final) == 5
        for key, value in final.items():
            assert value.dtype == torch.float64
            near(value, golden[f"final/grad_l1/{key}"])


@pytest.mark.parametrize(
    ("chain", "options"),
    [
        ("eta1_clip", {"clip": True}),
        ("eta1", {"clip": False}),
        ("eta1", {"clip": False, "eta_scales": "noise"}),
        ("eta0", {"clip": False, "eta": 0.0, "eta_scales": "noise"}),
    ],
)
def test_sampling(golden: Any, tmp_path: Path, chain: str, options: dict[str, Any]) -> None:
    with opened(golden, tmp_path, chain=chain, **options) as run:
        batch = run.tensors()
        batch.passed.clear()  # by the shape check
        near(batch["fake_B"], golden[f"sample/{chain}/result"])
        near(batch["first_B"][:1, :, ::2, ::2], golden[f"sample/{chain}/0/x0_recon"])
        passed = batch.passed
        assert len(passed) == 4
        for place, (x0, x) in enumerate(passed):
            near(x0[:1, :, ::2, ::2], golden[f"sample/{chain}/{place}/x0_recon"])
            near(x[:1, :, ::2, ::2], golden[f"sample/{chain}/{place}/x"])


def test_eta_of_zero_differs_from_the_published_rule(golden: Any, tmp_path: Path) -> None:
    with opened(golden, tmp_path, chain="eta0", clip=False, eta=0.0) as run:
        assert np.abs(run.tensors()["fake_B"].numpy() - golden["sample/eta0/result"]).max() > 1e-3


def test_schedule(golden: Any) -> None:
    part = torch.arange(1000, dtype=torch.float64) / 999
    m = SCHEDULES["linear"](part, 1000)
    near(m, golden["schedule/m_t"], 1e-15)
    near(2 * (m - m**2), golden["schedule/variance_t"], 1e-15)


@pytest.mark.parametrize("count", [5, 10, 50, 200, 1000])
def test_sampling_times(golden: Any, count: int) -> None:
    """The reference rounds T - 1 - i (T - 1) / (n - 2) down after computing it in floating point.

    In float32, as its authors run it, that gives our integers. The list of 200 was recorded in float64, where four of
    its numbers that should be whole lie below and become one less.
    """
    times = sampling_times(1000, count, "linear")
    middle = torch.arange(999, 1, -999 / (count - 2), dtype=torch.float32).long().tolist()
    assert times == [*middle, 1, 0]
    recorded = golden[f"steps/linear_{count}"].tolist()
    different = [(ours, theirs) for ours, theirs in zip(times, recorded, strict=True) if ours != theirs]
    assert different == ([(666, 665), (333, 332), (222, 221), (111, 110)] if count == 200 else [])
