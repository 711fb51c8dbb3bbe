"""Recorded runs of the authors' implementations, as the engine takes them: weights, batches, final weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.conftest import shared


class Recorded:
    """A recorded run. networks: role in the engine -> name in the recording."""

    def __init__(self, name: str, networks: Mapping[str, str]) -> None:
        self.arrays = np.load(shared("golden") / f"{name}.npz")
        self.networks = networks
        self.options: dict[str, Any] = json.loads(str(self.arrays["options"]))
        self.steps = int(self.options.get("steps", 1))

    def tensor(self, key: str) -> Tensor:
        """A recorded array, in float64."""
        return torch.from_numpy(self.arrays[key]).double()

    def images(self, name: str, step: int) -> Tensor:
        """A recorded batch, (N, 3, H, W), uint8."""
        return torch.from_numpy(self.arrays[f"{name}_uint8"][step])

    def initial_weights(self, folder: Path) -> dict[str, Any]:
        """Writes the initial weights as files of the authors; returns the `networks` of a recipe that loads them."""
        blocks = {}
        for role, name in self.networks.items():
            prefix = f"init/{name}/"
            keys = [key for key in self.arrays.files if key.startswith(prefix)]
            path = folder / f"latest_net_{name}.pth"
            torch.save({key[len(prefix) :]: torch.from_numpy(self.arrays[key]) for key in keys}, path)
            blocks[role] = {"init_from": str(path)}
        return blocks

    def assert_final_weights(self, modules: Mapping[str, nn.Module]) -> None:
        """Every weight of every network to 1e-9, in float64."""
        assert modules.keys() == self.networks.keys()
        for role, name in self.networks.items():
            state = modules[role].state_dict()
            prefix = f"final/{name}/"
            recorded = {key[len(prefix) :]: self.tensor(key) for key in self.arrays.files if key.startswith(prefix)}
            assert recorded.keys() == state.keys()
            for key, value in recorded.items():
                assert state[key].dtype == torch.float64
                torch.testing.assert_close(state[key], value, rtol=0, atol=1e-9, msg=f"{role} {key}")
