"""The recorded run of DCLGAN, reproduced with the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.proofs.recorded import Recorded
from translate_core import open_run

# The authors' D_A scores images of B, and their F1 takes features of G_A.
NETWORKS = {"G_AB": "G_A", "G_BA": "G_B", "D_A": "D_B", "D_B": "D_A", "H_A": "F1", "H_B": "F2"}
LOSSES = {
    "adversarial/fake_B": ("G_A", 0.5),
    "adversarial/fake_A": ("G_B", 0.5),
    "adversarial/D_B": ("D_A", 1),
    "adversarial/D_A": ("D_B", 1),
    "nce/z_fake_B": ("NCE1", 0.5),
    "nce/z_fake_A": ("NCE2", 0.5),
    "identity/idt_B": ("idt_A", 0.5),
    "identity/idt_A": ("idt_B", 0.5),
}
"""Names of losses in the engine -> in the recording, and their share of the total there."""


@pytest.fixture
def recorded() -> Recorded:
    return Recorded("dclgan_lsgan", NETWORKS)


def recipe(recorded: Recorded, folder: Path) -> dict[str, Any]:
    options = recorded.options
    return {
        # More patches than places: all places, in a random order, which changes no mean.
        "method": {"type": "dclgan", "taps": ["down1", "down2", "block1", "block5"], "patches": options["num_patches"]},
        "data": {"type": "synthetic", "size": options["crop_size"], "train": 4, "test": 1},
        "generator": {"type": "resnet", "blocks": 9, "width": options["ngf"], "antialias": True},
        "discriminator": {"type": "patchgan", "layers": 3, "width": options["ndf"], "antialias": True},
        "head": {"type": "mlp", "width": options["netF_nc"], "optimizer": {"lr": 1.0e-3, "betas": [0.9, 0.999]}},
        "networks": recorded.initial_weights(folder),
        "losses": {
            "adversarial": {"type": "lsgan", "weight": options["lambda_GAN"] / 2},
            "nce": {
                "type": "patch_nce",
                "weight": options["lambda_NCE"] / 2,
                "negatives": "batch",
                "similarity": "cosine",
            },
            "identity": {"type": "identity", "weight": options["lambda_IDT"] / 2},
        },
        "optimizer": {"type": "adam", "lr": options["lr"], "betas": [options["beta1"], options["beta2"]]},
        "training": {"length": f"{recorded.steps} steps", "batch_size": 1, "precision": "fp64", "workers": 0},
    }


def batch(recorded: Recorded, step: int) -> dict[str, torch.Tensor]:
    return {f"real_{domain}": recorded.images(domain, step) for domain in "AB"}


@pytest.mark.slow
def test_recorded_run(recorded: Recorded, tmp_path: Path) -> None:
    with open_run(recipe(recorded, tmp_path), device="cpu") as run:
        for step in range(recorded.steps):
            losses = run.update([batch(recorded, step)]).losses
            assert {name for name in losses if "/" in name and not name.endswith("/discriminators")} == set(LOSSES)
            for ours, (theirs, share) in LOSSES.items():
                expected = share * recorded.tensor(f"loss/{theirs}")[step]
                torch.testing.assert_close(losses[ours], expected, rtol=0, atol=1e-9, msg=f"step {step}, {ours}")
        recorded.assert_final_weights(run.networks)


def test_first_outputs(recorded: Recorded, tmp_path: Path) -> None:
    """Translations, scores, and the embeddings of one direction at the first 256 places of each tap."""
    with open_run(recipe(recorded, tmp_path), device="cpu") as run:
        tensors = run.tensors(batch(recorded, 0))
        with torch.no_grad():
            found = {name: tensors[name] for name in ("fake_A", "fake_B")}
            found["D_A(fake_B)"], found["D_B(fake_A)"] = (
                run.networks[D](tensors[fake]) for D, fake in (("D_B", "fake_B"), ("D_A", "fake_A"))
            )
            for index, layer in enumerate((4, 8, 12, 16)):
                order = tensors["places_A"][index].argsort()
                for kind, name in (("key", "z_real_A"), ("query", "z_fake_B")):
                    found[f"NCE1_{kind}_layer{layer}"] = tensors[name][index][0, order][:256]
    for name, value in found.items():
        torch.testing.assert_close(value.detach(), recorded.tensor(f"first/{name}"), rtol=0, atol=1e-12, msg=name)
