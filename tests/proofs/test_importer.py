"""The reference's files of weights load unchanged at full size, also from wrapped networks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import SHARED, shared
from translate_core.components.plugins import load_plugins
from translate_core.errors import UserError
from translate_core.storage.weights import load_into

KEYS = SHARED / "golden" / "state_dict_keys.json"
LAYOUTS: dict[str, dict[str, list[int]]] = json.loads(KEYS.read_text()) if KEYS.is_file() else {}


def network(layout: str) -> nn.Module:
    """Our component for a layout such as `generator/unet_128/norm=batch/dropout=True`."""
    kind, name, *options = layout.split("/")
    said = dict(option.split("=") for option in options)
    ours: dict[str, Any] = {"norm": said["norm"]}
    if kind == "generator":
        ours["dropout"] = 0.5 if said["dropout"] == "True" else 0.0
        if name.startswith("resnet"):
            component, ours["blocks"] = "resnet", int(re.findall(r"\d+", name)[0])
        else:
            component, ours["downs"] = "unet", {"unet_128": 7, "unet_256": 8}[name]
        given = {"in_channels": 3, "out_channels": 3}
    else:
        component = "pixelgan" if name == "pixel" else "patchgan"
        if component == "patchgan":
            ours["layers"] = int(said["layers"])
        given = {"in_channels": 3}
    made: nn.Module = load_plugins().registry.get(kind, component).component(**given, **ours)
    return made


def reference_file(layout: str, folder: Path, prefix: str = "", extra: dict[str, Tensor] | None = None) -> Path:
    """A file of that layout, whose tensors have different values."""
    state = {
        prefix + key: torch.tensor(float(index)).expand(shape) if shape else torch.tensor(index)
        for index, (key, shape) in enumerate(LAYOUTS[layout].items())
    }
    path = folder / "latest_net_G_A.pth"
    torch.save({**state, **(extra or {})}, path)
    return path


def assert_loaded(made: nn.Module, layout: str) -> None:
    state = made.state_dict()
    assert list(state) == list(LAYOUTS[layout])
    for index, value in enumerate(state.values()):
        assert bool((value == index).all())


def test_there_are_layouts() -> None:
    shared("golden")
    assert len(LAYOUTS) == 24


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_loads(layout: str, tmp_path: Path) -> None:
    made = network(layout)
    load_into(made, str(reference_file(layout, tmp_path)), "G_AB")
    assert_loaded(made, layout)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_removed(prefix: str, tmp_path: Path) -> None:
    shared("golden")
    layout = "generator/resnet_9blocks/norm=instance/dropout=False"
    statistics = {
        f"{prefix}model.2.running_mean": torch.zeros(64),
        f"{prefix}model.2.running_var": torch.ones(64),
        f"{prefix}model.2.num_batches_tracked": torch.tensor(7),
    }
    made = network(layout)
    load_into(made, str(reference_file(layout, tmp_path, prefix, statistics)), "G_AB")
    assert_loaded(made, layout)


def test_a_file_of_other_options_is_refused(tmp_path: Path) -> None:
    shared("golden")
    made = network("generator/resnet_6blocks/norm=instance/dropout=False")
    before = {key: value.clone() for key, value in made.state_dict().items()}
    with pytest.raises(UserError, match=r"does not fit G_AB.*not in the network"):
        load_into(made, str(reference_file("generator/resnet_9blocks/norm=instance/dropout=False", tmp_path)), "G_AB")
    assert all(torch.equal(before[key], value) for key, value in made.state_dict().items())
