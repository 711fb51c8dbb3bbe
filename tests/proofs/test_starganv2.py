"""The first steps of StarGAN v2 against a plain loop, written straight from the paper's equations, in float64 to 1e-9.

The loop shares no module with the product: it has copies of the weights, the second implementation of the networks
(`tests/plugins/test_starganv2.py`), the same uint8 images with their labels, and the latents that the product drew.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.plugins.test_starganv2 import Weights, encode, generate, map_latent
from tests.proofs.test_methods import Losses, bce, l1, record_draws
from translate_core import open_run

STEPS = 3
DOMAINS, SIZE, DOWNS, STYLE, LATENT = 3, 16, 2, 5, 4
LR, LR_F, DECAY = 1e-4, 1e-5, 1e-4
GAMMA, STYLE_WEIGHT, CYCLE_WEIGHT, DIVERSITY, DIVERSITY_STEPS = 1.0, 0.7, 1.3, 2.0, 4

CONVOLUTIONS = {"width": 4, "max_width": 8, "downs": DOWNS, "init": {"type": "kaiming"}}
RECIPE: dict[str, Any] = {
    "method": {"type": "starganv2", "style_channels": STYLE},
    "data": {"type": "synthetic", "domains": ["horse", "zebra", "pony"], "size": SIZE, "train": 6, "test": 1},
    "generator": {"type": "starganv2", **CONVOLUTIONS, "blocks": 1},
    "discriminator": {"type": "starganv2", **CONVOLUTIONS},
    "networks": {
        "F": {
            "type": "starganv2_mapping",
            "latent_channels": LATENT,
            "width": 8,
            "shared": 2,
            "unshared": 1,
            "init": {"type": "kaiming"},
            "optimizer": {"lr": LR_F},
        },
        "E": {"type": "starganv2_style", **CONVOLUTIONS},
    },
    "losses": {
        "adversarial": {"type": "bce", "discriminator_weight": 1},
        "r1": {"type": "r1", "gamma": GAMMA},
        "style": {"type": "l1", "pairs": "style", "weight": STYLE_WEIGHT},
        "cycle": {"type": "cycle", "weight": CYCLE_WEIGHT},
        "diversity": {"type": "diversity", "weight": {"from": DIVERSITY, "to": 0, "steps": DIVERSITY_STEPS}},
    },
    "optimizer": {"type": "adam", "lr": LR, "betas": [0.0, 0.99], "weight_decay": DECAY},
    "training": {"length": f"{STEPS} steps", "batch_size": 3, "precision": "fp64", "workers": 0},
}


class Equations:
    """The four networks as functions of tensors, an Adam for each, and the objectives of a step."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.modules = modules
        self.adams = {
            name: torch.optim.Adam(
                module.parameters(), lr=LR_F if name == "F" else LR, betas=(0.0, 0.99), weight_decay=DECAY
            )
            for name, module in modules.items()
        }

    def G(self, x: Tensor, style: Tensor) -> Tensor:
        return generate(x, style, Weights(self.modules["G"]), DOWNS, 1)

    def D(self, x: Tensor, label: Tensor) -> Tensor:
        weights = Weights(self.modules["D"])
        logits = weights.linear(encode(x, weights, DOWNS), "heads")
        return torch.stack([row[number] for row, number in zip(logits, label.tolist(), strict=True)])

    def E(self, x: Tensor, label: Tensor) -> Tensor:
        weights = Weights(self.modules["E"])
        styles = weights.linear(encode(x, weights, DOWNS), "heads")
        return torch.stack([row[k * STYLE : (k + 1) * STYLE] for row, k in zip(styles, label.tolist(), strict=True)])

    def F(self, z: Tensor, label: Tensor) -> Tensor:
        # The branch of a domain that the batch lacks has a gradient of 0, and its weights decay.
        branches = [map_latent(z, number, Weights(self.modules["F"]), 2, 1) for number in range(DOMAINS)]
        return torch.stack([branches[k][place] for place, k in enumerate(label.tolist())]) + 0 * sum(branches)

    def step(self, step: int, batch: Mapping[str, Tensor], z: Tensor, z2: Tensor) -> Losses:
        """D with drawn styles; D with those of references; G, F and E with drawn styles; G with those of references."""
        goal, reference, reference2 = batch["goal"], batch["reference"], batch["reference2"]
        decay = DIVERSITY * (1 - step / DIVERSITY_STEPS)
        with torch.no_grad():
            by_latent, by_reference = self.F(z, goal), self.E(reference, goal)
        losses = self.discriminate("discriminators_latent", batch, by_latent)
        losses |= self.discriminate("discriminators_reference", batch, by_reference)
        drawn = self.F(z, goal), self.F(z2, goal)
        losses |= self.generate("generators_latent", batch, *drawn, decay, "G", "F", "E")
        taken = self.E(reference, goal), self.E(reference2, goal)
        losses |= self.generate("generators_reference", batch, *taken, decay, "G")
        return losses

    def discriminate(self, update: str, batch: Mapping[str, Tensor], style: Tensor) -> Losses:
        x, y = batch["real"], batch["label"]
        with torch.no_grad():
            fake = self.G(x, style)
        adversarial = bce(self.D(x, y), 1) + bce(self.D(fake, batch["goal"]), 0)
        inputs = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(self.D(inputs, y).sum(), inputs, create_graph=True)
        r1 = GAMMA / 2 * gradient.square().sum(dim=(1, 2, 3)).mean()
        self.update(adversarial + r1, "D")
        return {f"adversarial/{update}/D": adversarial, f"r1/{update}/D": r1}

    def generate(
        self, update: str, batch: Mapping[str, Tensor], style: Tensor, style2: Tensor, diversity: float, *names: str
    ) -> Losses:
        x, y, goal = batch["real"], batch["label"], batch["goal"]
        fake = self.G(x, style)
        with torch.no_grad():
            fake2 = self.G(x, style2)
        losses = {
            f"adversarial/{update}/fake": bce(self.D(fake, goal), 1),
            f"style/{update}/style_fake": STYLE_WEIGHT * l1(style, self.E(fake, goal)),
            f"cycle/{update}/rec": CYCLE_WEIGHT * l1(x, self.G(fake, self.E(x, y))),
            f"diversity/{update}/fake": -diversity * l1(fake, fake2),
        }
        self.update(torch.stack(list(losses.values())).sum(), *names)
        return losses

    def update(self, loss: Tensor, *names: str) -> None:
        for adam in self.adams.values():
            adam.zero_grad()
        loss.backward()
        for name in names:
            self.adams[name].step()


def test_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_run(RECIPE, device="cpu") as run:
        own = {name: copy.deepcopy(module) for name, module in run.networks.items()}
        batches = [run.batch(step)[0] for step in range(STEPS)]
        drawn = record_draws(monkeypatch)
        product = [step.losses for step in run.steps()]

    assert {key for step in drawn for key in step} == {"latent", "latent2"}, "drawn once a step, for all updates"
    assert len({int(label) for batch in batches for label in batch["goal"]}) == DOMAINS
    equations = Equations(own)
    compared = 0
    for step, (ours, batch) in enumerate(zip(product, batches, strict=True)):
        scaled = {name: value.double() / 127.5 - 1 if value.dim() == 4 else value for name, value in batch.items()}
        theirs = equations.step(step, scaled, drawn[step]["latent"][0], drawn[step]["latent2"][0])
        assert {part for part in ours if part.count("/") == 2} == set(theirs)
        for part, value in theirs.items():
            torch.testing.assert_close(ours[part], value.detach(), rtol=0, atol=1e-9, msg=part)
            compared += 1
    assert compared == 12 * STEPS
    for name, module in own.items():
        found = run.networks[name].state_dict()
        for key, value in module.state_dict().items():
            torch.testing.assert_close(found[key], value, rtol=0, atol=1e-9, msg=f"{name} {key}")
