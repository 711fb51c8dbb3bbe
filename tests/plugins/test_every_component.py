"""Every registered component is built, run, trained two steps, saved and loaded, by enumeration."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.reduced import make_images
from translate_core.commands.run import main
from translate_core.components.plugins import load_plugins
from translate_core.components.registry import KINDS

REGISTRY = load_plugins().registry
COMPONENTS = [(kind, name) for kind in KINDS for name in REGISTRY.names(kind)]

PATCHGAN = {"type": "patchgan", "layers": 1, "width": 4}
BASE: dict[str, Any] = {
    "method": {"type": "cyclegan"},
    "data": {"type": "synthetic", "size": 32, "train": 4, "test": 2},
    "generator": {"type": "resnet", "blocks": 1, "width": 4},
    "discriminator": PATCHGAN,
    "losses": {"adversarial": {"type": "lsgan"}, "cycle": {"type": "cycle", "weight": 10}},
    "optimizer": {"type": "adam"},
    "training": {"length": "2 steps", "workers": 0, "samples": 1, "checkpoint_every": "1 steps"},
}
GAN = {"method": {"type": "gan"}, "losses": {"adversarial": {"type": "lsgan"}}}
CUT = {
    "method": {"type": "cut", "taps": ["image", "down1", "block1"], "patches": 16},
    "head": {"type": "mlp", "width": 8},
    "losses": {"adversarial": {"type": "lsgan"}, "nce": {"type": "patch_nce"}},
}
MUNIT = {
    "method": {"type": "munit"},
    "generator": {"type": "munit", "width": 4, "blocks": 1, "mlp_width": 8},
    "losses": {
        "adversarial": {"type": "lsgan"},
        **{topic: {"type": "l1", "pairs": topic} for topic in ("reconstruction", "style", "content")},
    },
}
UGATIT = {
    "method": {"type": "ugatit"},
    "generator": {"type": "ugatit", "width": 4, "blocks": 1, "light": True},
    "discriminator": {"type": "ugatit", "width": 4, "layers": 3},
    "losses": {
        "adversarial": {"type": "lsgan"},
        "cycle": {"type": "cycle", "weight": 10},
        "identity": {"type": "identity", "weight": 10},
        "cam": {"type": "cam", "weight": 1000},
    },
}
DCLGAN = {
    "method": {"type": "dclgan", "taps": ["down1", "block1"], "patches": 16},
    "head": {"type": "mlp", "width": 8, "optimizer": {"lr": 1.0e-3}},
    "losses": {
        "adversarial": {"type": "hinge", "generator": "bounded"},
        "nce": {"type": "patch_nce", "negatives": "batch", "similarity": "cosine"},
        "identity": {"type": "identity"},
    },
}
UNSB = {
    "method": {"type": "unsb", "taps": ["image", "block1"], "patches": 16},
    "generator": {"type": "unsb", "width": 4, "blocks": 1},
    "discriminator": {"type": "unsb", "width": 4, "layers": 1},
    "head": {"type": "mlp", "width": 8},
    "losses": {
        "adversarial": {"type": "lsgan"},
        "bridge": {"type": "schrodinger_bridge"},
        "nce": {"type": "patch_nce"},
    },
}
BBDM = {
    "method": {"type": "bbdm", "steps": 3},
    "data": {**BASE["data"], "paired": True},
    "generator": {"type": "unet_diffusion", "width": 8, "groups": 4, "head_channels": 4, "multipliers": [1, 2]},
    "discriminator": None,
    "losses": {"bridge": {"type": "l1", "pairs": "bridge"}},
}
STARGANV2 = {
    "method": {"type": "starganv2", "style_channels": 4},
    "data": {"type": "synthetic", "domains": ["horse", "zebra", "pony"], "size": 32, "train": 4, "test": 2},
    "generator": {"type": "starganv2", "width": 4, "max_width": 8, "downs": 2, "blocks": 1},
    "discriminator": {"type": "starganv2", "width": 4, "max_width": 8, "downs": 3},
    "networks": {
        "F": {"type": "starganv2_mapping", "width": 8},
        "E": {"type": "starganv2_style", "width": 4, "max_width": 8, "downs": 3},
    },
    "losses": {
        "adversarial": {"type": "bce"},
        "style": {"type": "l1", "pairs": "style"},
        "diversity": {"type": "diversity", "weight": {"from": 1, "to": 0, "steps": 2}},
        "cycle": {"type": "cycle"},
    },
}
PAIRS = {"rec_A": "real_A", "rec_B": "real_B"}


def loss(type_: str, **options: Any) -> dict[str, Any]:
    """CycleGAN with that loss in addition to its own."""
    return {"losses": {**BASE["losses"], "tried": {"type": type_, **options}}}


def adversarial(type_: str, **options: Any) -> dict[str, Any]:
    return {"losses": {**BASE["losses"], "adversarial": {"type": type_, **options}}}


def folders(type_: str, **options: Any) -> Callable[[Path], dict[str, Any]]:
    def made(root: Path) -> dict[str, Any]:
        make_images(type_, root / type_)
        return {"data": {"type": type_, "root": str(root / type_), "transform": {"crop": 32}, **options}}

    return made


def class_folders(root: Path) -> dict[str, Any]:
    """With a method that takes labels."""
    plugin = shutil.copy(Path(__file__).with_name("methods_of_kinds.py"), root)
    return {
        **GAN,
        **folders("class_folders", domains=["cat", "dog", "wild"])(root),
        "method": {"type": "labelled"},
        "plugins": [Path(plugin).name],
    }


def perceptual(root: Path) -> dict[str, Any]:
    """VGG with random weights, since the trained ones cannot be downloaded everywhere."""
    shapes = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128)}  # up to relu2_2, the default
    rng = torch.Generator().manual_seed(0)
    state = {}
    for index, (outputs, inputs) in shapes.items():
        state[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=rng) / (3 * inputs**0.5)
        state[f"features.{index}.bias"] = torch.zeros(outputs)
    torch.save(state, root / "vgg16.pth")
    return loss("perceptual", weights=str(root / "vgg16.pth"), pairs=PAIRS)


Blocks = dict[str, Any]
HOW: Mapping[tuple[str, str], Blocks | Callable[[Path], Blocks]] = {
    ("method", "cyclegan"): {},
    ("method", "gan"): GAN,
    ("method", "pix2pix"): {
        "method": {"type": "pix2pix"},
        "data": {**BASE["data"], "paired": True},
        "losses": {"adversarial": {"type": "bce"}, "l1": {"type": "l1"}},
    },
    ("method", "cut"): CUT,
    ("method", "munit"): MUNIT,
    ("method", "ugatit"): UGATIT,
    ("method", "starganv2"): STARGANV2,
    ("method", "dclgan"): DCLGAN,
    ("method", "unsb"): UNSB,
    ("method", "bbdm"): BBDM,
    ("generator", "resnet"): {},
    ("generator", "unet"): {"generator": {"type": "unet", "downs": 3, "width": 4}},
    ("generator", "unet_diffusion"): BBDM,
    ("generator", "johnson"): {"generator": {"type": "johnson", "width": 4}},
    ("generator", "resnet_adalin"): {"generator": {"type": "resnet_adalin", "width": 4, "blocks": 2}},
    ("generator", "munit"): MUNIT,
    ("generator", "ugatit"): UGATIT,
    ("generator", "starganv2"): STARGANV2,
    ("generator", "unsb"): UNSB,
    ("discriminator", "patchgan"): {},
    ("discriminator", "pixelgan"): {"discriminator": {"type": "pixelgan", "width": 4}},
    ("discriminator", "multiscale"): {"discriminator": {"type": "multiscale", "width": 4, "layers": 2, "scales": 2}},
    ("discriminator", "unsb"): UNSB,
    ("discriminator", "ugatit"): {"discriminator": {"type": "ugatit", "width": 4, "layers": 3}},
    ("discriminator", "starganv2"): STARGANV2,
    ("head", "mlp"): CUT,
    ("network", "starganv2_mapping"): STARGANV2,
    ("network", "starganv2_style"): STARGANV2,
    ("loss", "lsgan"): {},
    ("loss", "bce"): adversarial("bce"),
    ("loss", "hinge"): adversarial("hinge"),
    ("loss", "feature_matching"): loss("feature_matching"),
    ("loss", "wgan_gp"): adversarial("wgan_gp"),
    ("loss", "r1"): loss("r1"),
    ("loss", "cycle"): {},
    ("loss", "identity"): loss("identity"),
    ("loss", "l1"): loss("l1", pairs=PAIRS),
    ("loss", "l2"): loss("l2", pairs=PAIRS),
    ("loss", "smooth_l1"): loss("smooth_l1", pairs=PAIRS),
    ("loss", "charbonnier"): loss("charbonnier", pairs=PAIRS),
    ("loss", "diversity"): STARGANV2,
    ("loss", "ssim"): loss("ssim", pairs=PAIRS),
    ("loss", "perceptual"): perceptual,
    ("loss", "patch_nce"): CUT,
    ("loss", "cam"): UGATIT,
    ("loss", "schrodinger_bridge"): UNSB,
    ("dataset", "synthetic"): {},
    ("dataset", "unpaired_folders"): folders("unpaired_folders"),
    ("dataset", "paired_folders"): folders("paired_folders"),
    ("dataset", "paired_side_by_side"): folders("paired_side_by_side"),
    ("dataset", "class_folders"): class_folders,
    ("pool", "history"): adversarial("lsgan", pool={"type": "history", "size": 2}),
    ("pool", "none"): adversarial("lsgan", pool={"type": "none"}),
    ("metric", "psnr"): {"metrics": {"tried": {"type": "psnr"}}},
    ("metric", "ssim"): {"metrics": {"tried": {"type": "ssim"}}},
    ("metric", "swd"): {"metrics": {"tried": {"type": "swd", "descriptors": 16, "images": 2, "references": "train"}}},
    ("optimizer", "adam"): {},
    ("optimizer", "adamw"): {"optimizer": {"type": "adamw"}},
    ("optimizer", "sgd"): {"optimizer": {"type": "sgd", "lr": 0.01}},
    ("schedule", "constant"): {"schedule": {"type": "constant"}},
    ("schedule", "linear_decay"): {"schedule": {"type": "linear_decay", "constant": "1 steps"}},
    ("schedule", "cosine"): {"schedule": {"type": "cosine"}},
    ("schedule", "step"): {"schedule": {"type": "step", "every": "1 steps"}},
    ("schedule", "warmup"): {"schedule": {"type": "warmup", "over": "2 steps", "then": {"type": "cosine"}}},
    ("schedule", "plateau"): {"schedule": {"type": "plateau"}},
    ("init", "normal"): {"generator": {**BASE["generator"], "init": {"type": "normal"}}},
    ("init", "xavier"): {"generator": {**BASE["generator"], "init": {"type": "xavier"}}},
    ("init", "kaiming"): {"generator": {**BASE["generator"], "init": {"type": "kaiming"}}},
    ("init", "orthogonal"): {"generator": {**BASE["generator"], "init": {"type": "orthogonal"}}},
    ("init", "none"): {"generator": {**BASE["generator"], "init": {"type": "none"}}},
    ("observer", "progress"): {},
    ("observer", "tensorboard"): {},
    ("observer", "samples"): {},
    ("observer", "metrics_log"): {},
    ("observer", "csv"): {"observers": {"tried": {"type": "csv"}}},
    ("observer", "early_stopping"): {"observers": {"tried": {"type": "early_stopping", "watch": "cycle"}}},
}
"""How each component is used: its changes of the base recipe. A new component needs a line here."""


def test_the_enumeration_is_complete() -> None:
    assert set(COMPONENTS) == set(HOW), set(COMPONENTS) ^ set(HOW)
    assert len(COMPONENTS) == 76


@pytest.mark.parametrize(("kind", "name"), COMPONENTS, ids=lambda value: value)
def test_trains_two_steps_and_resumes(kind: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = HOW[kind, name]
    recipe = {**copy.deepcopy(BASE), **(blocks(tmp_path) if callable(blocks) else blocks)}
    path = tmp_path / "tried.yaml"
    path.write_text(yaml.safe_dump({key: block for key, block in recipe.items() if block is not None}))
    command = [str(path), "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert main(command) == 0, capsys.readouterr().err
    record = (tmp_path / "run" / "recipe.yaml").read_text()
    assert f"type: {name}" in record or kind == "observer"
    # A third step starts from the checkpoint.
    assert main([*command, "--set", "training.length=3 steps"]) == 0, capsys.readouterr().err
    assert "continuing" in capsys.readouterr().err
    states = torch.load(tmp_path / "run" / "checkpoints" / "step-3.pt", weights_only=True)["parts"]
    assert all(
        value.isfinite().all()
        for part, state in states.items()
        if part.startswith("networks/")
        for value in state.values()
    )
