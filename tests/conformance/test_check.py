"""Every built-in component keeps every promise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conformance import (
    test_datasets,
    test_inits,
    test_losses,
    test_methods,
    test_metrics,
    test_networks,
    test_observers,
    test_optimizers,
    test_pools,
    test_schedules,
)
from tests.conformance.broken import REGISTRY
from tests.reduced import SMALL, make_images
from translate_core.components.registry import KINDS, Registration
from translate_core.conformance.check import CHECKS, check_component, check_documentation
from translate_core.conformance.kit import Kit
from translate_core.conformance.promise import Status

BUILT_IN = [REGISTRY.get(kind, name) for kind in KINDS for name in REGISTRY.names(kind)]

MODULES = (
    test_methods,
    test_networks,
    test_losses,
    test_datasets,
    test_pools,
    test_metrics,
    test_optimizers,
    test_schedules,
    test_inits,
    test_observers,
)
"""The tests with broken components."""

NEEDED: dict[tuple[str, str], dict[str, Any]] = {
    ("optimizer", "sgd"): {"lr": 0.01},
    ("schedule", "step"): {"every": "2 steps"},
    ("schedule", "warmup"): {"over": "2 steps"},
    ("dataset", "synthetic"): {"size": 16, "train": 4, "test": 2},
    ("generator", "johnson"): {"width": 4},
    ("generator", "resnet_adalin"): {"width": 4},
}
"""Options that a component requires, or that make it small, beside those in tests/reduced.py."""


def settings(folder: Path) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    made: dict[tuple[str, str], dict[str, Any]] = {
        **{key: dict(value) for key, value in SMALL.items() if REGISTRY.find(*key)},
        **{key: dict(value) for key, value in NEEDED.items() if REGISTRY.find(*key)},
    }
    for name in ("unpaired_folders", "paired_folders", "paired_side_by_side"):
        make_images(name, folder / name)
        made["dataset", name] = {"root": str(folder / name), "transform": {"crop": 32}}
    make_images("class_folders", folder / "class_folders")
    made["dataset", "class_folders"] = {
        "root": str(folder / "class_folders"),
        "domains": ["cat", "dog", "wild"],
        "transform": {"crop": 32},
    }
    if REGISTRY.find("loss", "perceptual"):
        from torchvision.models import vgg

        torch.manual_seed(0)
        drawn = vgg.make_layers(vgg.cfgs["D"]).state_dict()
        torch.save({f"features.{key}": value for key, value in drawn.items()}, folder / "vgg16.pth")
        made["loss", "perceptual"] = {"weights": str(folder / "vgg16.pth")}
    return made


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit(REGISTRY, settings(tmp_path_factory.mktemp("images")))


def test_every_kind_has_promises_and_tests() -> None:
    tested = [kind for module in MODULES for kind in module.BROKEN.kinds]
    assert sorted(tested) == sorted(KINDS)
    assert set(CHECKS) == set(KINDS)
    assert len(BUILT_IN) >= 55
    assert all(len(promises) >= 3 for _, promises in CHECKS.values())


@pytest.mark.parametrize("registration", BUILT_IN, ids=lambda item: f"{item.kind}-{item.name}")
def test_every_built_in_keeps_every_promise(registration: Registration, kit: Kit) -> None:
    results = [check_component(kit, registration), check_documentation(kit, registration)]
    outcomes = [outcome for result in results for outcome in result.outcomes]
    assert [(outcome.promise.text, outcome.detail) for outcome in outcomes if outcome.status is not Status.KEPT] == []
    assert all(result.whole for result in results)
    assert len(outcomes) >= 4
