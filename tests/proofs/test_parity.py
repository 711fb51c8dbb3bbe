"""The reference's golden runs, reproduced with the engine: importer, recipe, dataset, trainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.conftest import shared
from translate_core import open_run
from translate_core.commands.run import main

OURS = {"G_A": "G_AB", "G_B": "G_BA", "D_A": "D_B", "D_B": "D_A"}
"""Names of networks in the reference -> in the engine."""
LOSSES = {
    "G_A": "adversarial/fake_B",
    "G_B": "adversarial/fake_A",
    "D_A": "adversarial/D_B",
    "D_B": "adversarial/D_A",
    "cycle_A": "cycle/rec_A",
    "cycle_B": "cycle/rec_B",
    "idt_A": "identity/idt_B",
    "idt_B": "identity/idt_A",
}
"""Names of losses in the reference -> in the engine."""
RUNS = ("cyclegan_resnet6_lsgan", "cyclegan_resnet6_lsgan_no_identity", "cyclegan_unet128_bce")


def prepare(golden: Any, folder: Path) -> Path:
    """Writes images as PNG files, weights as files of the reference, and a recipe that uses them."""
    options = json.loads(str(golden["options"]))
    for domain in "AB":
        images = golden[f"{domain}_uint8"]
        target = folder / "data" / f"train{domain}"
        target.mkdir(parents=True)
        for index, image in enumerate(images.reshape(-1, *images.shape[2:])):
            Image.fromarray(image.transpose(1, 2, 0)).save(target / f"{index:04d}.png")
    for theirs in OURS:
        prefix = f"init/{theirs}/"
        state = {key[len(prefix) :]: torch.from_numpy(golden[key]) for key in golden.files if key.startswith(prefix)}
        torch.save(state, folder / f"latest_net_{theirs}.pth")
    steps, batch = golden["A_uint8"].shape[:2]
    unet = options["netG"].startswith("unet")
    generator = (
        {"type": "unet", "downs": 7, "width": options["ngf"]}
        if unet
        else {"type": "resnet", "blocks": 6, "width": options["ngf"]}
    )
    recipe = {
        "method": {"type": "cyclegan"},
        "data": {
            "type": "unpaired_folders",
            "root": str(folder / "data"),
            "transform": {"flip": False},
            "shuffle": False,
        },
        "generator": generator,
        "discriminator": {"type": "patchgan", "layers": 3, "width": options["ndf"]},
        "networks": {ours: {"init_from": str(folder / f"latest_net_{theirs}.pth")} for theirs, ours in OURS.items()},
        "losses": {
            "adversarial": {"type": "bce" if options["gan_mode"] == "vanilla" else "lsgan"},
            "cycle": {"type": "cycle", "weight": options["lambda_A"]},
            "identity": {"type": "identity", "weight": options["lambda_identity"] * options["lambda_A"]},
        },
        "optimizer": {"type": "adam", "lr": options["lr"], "betas": [options["beta1"], 0.999]},
        "training": {
            "length": f"{steps} steps",
            "batch_size": batch,
            "precision": "fp64",
            "workers": 0,
            "log_every": "1 steps",
            "sample_every": None,
        },
    }
    path = folder / "golden.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.mark.parametrize("name", RUNS)
def test_golden_run(name: str, tmp_path: Path) -> None:
    golden = np.load(shared("golden") / f"{name}.npz")
    recipe = prepare(golden, tmp_path)
    assert main([str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 0

    steps = golden["A_uint8"].shape[0]
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / f"step-{steps}.pt", weights_only=True)
    worst = 0.0
    for theirs, ours in OURS.items():
        state = checkpoint["parts"][f"networks/{ours}"]
        keys = [key for key in golden.files if key.startswith(f"final/{theirs}/")]
        assert len(keys) == len(state)
        for key in keys:
            ours_value = state[key.split("/", 2)[2]].numpy()
            assert ours_value.dtype == np.float64
            worst = max(worst, float(np.abs(ours_value - golden[key]).max()))
    assert worst <= 1e-9, worst

    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    logged = [row["losses"] for row in rows if row["kind"] == "losses"]
    assert len(logged) == steps
    compared = 0
    for theirs, ours in LOSSES.items():
        expected = golden[f"loss/{theirs}"]
        if not expected.any():
            assert all(ours not in row for row in logged), f"{ours} was computed"
            continue
        np.testing.assert_allclose([row[ours] for row in logged], expected, rtol=0, atol=1e-9, err_msg=ours)
        compared += 1
    assert compared == (6 if "no_identity" in name else 8)


@pytest.mark.parametrize("name", RUNS)
def test_first_outputs(name: str, tmp_path: Path) -> None:
    golden = np.load(shared("golden") / f"{name}.npz")
    recipe = prepare(golden, tmp_path)
    with open_run(recipe, device="cpu") as run:
        tensors = run.tensors()
        scores = run.networks["D_B"](tensors["fake_B"]).detach().numpy()
    np.testing.assert_allclose(tensors["fake_B"].numpy(), golden["first/fake_B"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(tensors["rec_A"].numpy(), golden["first/rec_A"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(scores, golden["first/D_A(fake_B)"], rtol=0, atol=1e-12)
