"""What StarGAN v2 sets up for the domains of its data, and its directions in a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from translate_core import Run, Translator, open_run
from translate_core.commands.run import main
from translate_plugins.datasets.synthetic import Synthetic
from translate_plugins.methods.starganv2 import StarGANv2

SMALL = {"width": 4, "max_width": 8, "downs": 3, "init": {"type": "kaiming"}}
RECIPE: dict[str, Any] = {
    "method": {"type": "starganv2", "style_channels": 4},
    "data": {"type": "synthetic", "domains": ["horse", "zebra", "pony"], "size": 32, "train": 4, "test": 2},
    "generator": {"type": "starganv2", **SMALL, "blocks": 1},
    "discriminator": {"type": "starganv2", **SMALL},
    "networks": {"F": {"width": 8, "latent_channels": 3, "init": {"type": "kaiming"}}, "E": SMALL},
    "losses": {
        "adversarial": {"type": "bce"},
        "style": {"type": "l1", "pairs": "style"},
        "diversity": {"type": "diversity"},
        "cycle": {"type": "cycle"},
    },
    "optimizer": {"type": "adam", "lr": 1.0e-3},
    "metrics": {"guided": {"type": "psnr", "pairs": {"guided": "target"}}},
    "training": {"length": "2 steps", "batch_size": 2, "workers": 0, "samples": 1},
}


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with open_run(RECIPE, device="cpu") as opened:
        yield opened


def test_networks_and_directions_follow_the_domains() -> None:
    method = StarGANv2(style_channels=7)
    method.on(Synthetic(domains=("zebra", "pony", "horse")))
    assert [(role.name, role.kind, dict(role.extra)) for role in method.roles] == [
        ("G", "generator", {"style_channels": 7}),
        ("F", "network", {"domains": 3, "style_channels": 7}),
        ("E", "network", {"domains": 3, "style_channels": 7}),
        ("D", "discriminator", {"domains": 3}),
    ]
    assert {name: dict(direction.label) for name, direction in method.directions.items()} == {
        "zebra-pony": {"label": 0, "goal": 1},
        "zebra-horse": {"label": 0, "goal": 2},
        "pony-zebra": {"label": 1, "goal": 0},
        "pony-horse": {"label": 1, "goal": 2},
        "horse-zebra": {"label": 2, "goal": 0},
        "horse-pony": {"label": 2, "goal": 1},
    }
    method.on(Synthetic(domains=("pony", "horse")))
    assert list(method.directions) == ["pony-horse", "horse-pony"]
    assert method.roles[3].extra == {"domains": 2}


def training_images() -> Iterator[tuple[int, bytes]]:
    """Label and pixels of every training image, and of its mirror image."""
    data = Synthetic(domains=("horse", "zebra", "pony"), size=32, train=4, test=2, flip=False)
    data.open()
    for index in range(len(data.train)):
        item = data.train.draw(index, np.random.default_rng(0))
        for image in (item["real"], item["real"].flip(2)):
            yield int(item["label"]), image.numpy().tobytes()


def test_references_are_two_images_of_the_goal(run: Run) -> None:
    batches = [run.batch(step)[0] for step in range(6)]
    assert any((batch["label"] != batch["goal"]).any() for batch in batches)
    labels = {pixels: label for label, pixels in training_images()}
    for batch in batches:
        for name, label in (("real", "label"), ("reference", "goal"), ("reference2", "goal")):
            found = [labels[image.numpy().tobytes()] for image in batch[name]]
            assert found == batch[label].tolist(), name
        assert not torch.equal(batch["reference"], batch["reference2"])


def test_data_without_labels_are_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps({**RECIPE, "data": {"type": "synthetic", "size": 32}, "metrics": {}}))
    assert main([str(path), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 2
    assert "the method needs 'label'" in capsys.readouterr().err


def test_a_style_is_drawn_or_taken_from_an_image(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(RECIPE))
    assert main([str(path), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 0
    translator = Translator.load(tmp_path / "run", device="cpu")
    assert len(translator.directions) == 6
    image, *examples = (Image.effect_noise((40, 36), spread).convert("RGB") for spread in (30, 60, 120))
    outputs = set()
    for direction in translator.directions:
        drawn = translator.translate(image, direction)
        assert drawn.size == image.size
        taken = [translator.translate(image, direction, examples={"style": example}).tobytes() for example in examples]
        outputs |= {drawn.tobytes(), *taken}
    # A drawn style depends on the target only, and so does that of an image: the input's own domain has no effect.
    assert len(outputs) == 3 * (1 + len(examples))
