"""Each method's first steps against a plain loop, written straight from the paper's equations, in float64 to 1e-9.

A loop shares the networks with the product and nothing else: it has copies of them, the same uint8 images, and the
numbers that the product drew (styles, places, mirrorings), which cannot be had otherwise.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate_core import open_run
from translate_core.contracts.method import Method

STEPS = 3
Losses = dict[str, Tensor]
Loop = Callable[["World"], Iterator[Losses]]


@dataclass
class World:
    """The inputs of a plain loop: its own networks, the batches, and the drawn numbers, by step and in order."""

    networks: dict[str, nn.Module]
    batches: list[tuple[Tensor, Tensor]]
    drawn: list[dict[str, list[Tensor]]]

    def steps(self) -> Iterator[tuple[Tensor, Tensor, dict[str, list[Tensor]]]]:
        for (A, B), drawn in zip(self.batches, self.drawn, strict=True):
            yield A.double() / 127.5 - 1, B.double() / 127.5 - 1, drawn

    def adam(self, *names: str, lr: float, **options: Any) -> torch.optim.Optimizer:
        parameters = [parameter for name in names for parameter in self.networks[name].parameters()]
        return torch.optim.Adam(parameters, lr=lr, betas=(0.5, 0.999), **options)


def mse(x: Tensor, target: float) -> Tensor:
    return ((x - target) ** 2).mean()


def bce(x: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(x, torch.full_like(x, target))


def l1(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).abs().mean()


def update(optimizer: torch.optim.Optimizer, loss: Tensor, *others: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    for other in others:
        other.zero_grad()
    loss.backward()
    optimizer.step()
    for other in others:
        other.step()


# The loops


def gan(world: World) -> Iterator[Losses]:
    """D first: 0.5·[D(fake) → 0, D(real) → 1]; then G: D(fake) → 1."""
    G, D = world.networks["G"], world.networks["D"]
    adam_G, adam_D = world.adam("G", lr=2e-4), world.adam("D", lr=2e-4)
    for A, B, _ in world.steps():
        fake = G(A)
        loss_D = 0.5 * (mse(D(fake.detach()), 0) + mse(D(B), 1))
        update(adam_D, loss_D)
        loss_G = mse(D(fake), 1)
        update(adam_G, loss_G)
        yield {"adversarial/D": loss_D, "adversarial/fake_B": loss_G}


def pix2pix(world: World) -> Iterator[Losses]:
    """D first: 0.5·[BCE(D(A, fake), 0) + BCE(D(A, B), 1)]; then G: BCE(D(A, fake), 1) + 100·L1(fake, B)."""
    G, D = world.networks["G"], world.networks["D"]
    adam_G, adam_D = world.adam("G", lr=2e-4), world.adam("D", lr=2e-4)
    for A, B, _ in world.steps():
        fake = G(A)
        loss_D = 0.5 * (bce(D(torch.cat((A, fake.detach()), 1)), 0) + bce(D(torch.cat((A, B), 1)), 1))
        update(adam_D, loss_D)
        loss_GAN, loss_L1 = bce(D(torch.cat((A, fake), 1)), 1), 100 * l1(fake, B)
        update(adam_G, loss_GAN + loss_L1)
        yield {"adversarial/D": loss_D, "adversarial/fake_AB": loss_GAN, "l1/fake_B": loss_L1}


def nce(query: list[Tensor], key: list[Tensor]) -> Tensor:
    """PatchNCE over the taps: for each query the key at its place, against the keys of other places of the image."""
    total = torch.zeros((), dtype=torch.float64)
    for q, k in zip(query, key, strict=True):  # (N, P, C)
        for image_q, image_k in zip(q, k.detach(), strict=True):
            similarity = image_q @ image_k.T
            count = len(similarity)
            positive = similarity.diagonal()[:, None]
            negatives = similarity.masked_fill(torch.eye(count, dtype=torch.bool), -10.0)
            logits = torch.cat((positive, negatives), 1) / 0.07
            total = total - logits.log_softmax(1)[:, 0].mean() / len(q) / len(query)
    return total


def cut_loop(world: World, *, identity: bool, weight: float) -> Iterator[Losses]:
    """D first; then G and H together: GAN + λ/2·[NCE(A, fake) + NCE(B, G(B))], or GAN + λ·NCE(A, fake)."""
    G, D, H = (world.networks[name] for name in "GDH")
    adam_G, adam_D, adam_H = (world.adam(name, lr=2e-4) for name in "GDH")
    taps = ("image", "down1", "down2", "block1")

    def embedded(images: Tensor, places: list[Tensor], mirrored: bool) -> list[Tensor]:
        features = G.features(images, taps)
        return H([feature.flip(3) if mirrored else feature for feature in features], places)

    for A, B, drawn in world.steps():
        mirrored = "flip" in drawn and bool(drawn["flip"][0] < 0.5)
        inputs = torch.cat((A, B)) if identity else A
        outputs = G(inputs.flip(3) if mirrored else inputs)
        fake = outputs[: len(A)]
        loss_D = 0.5 * (mse(D(fake.detach()), 0) + mse(D(B), 1))
        update(adam_D, loss_D)
        losses = {"adversarial/D": loss_D, "adversarial/fake_B": mse(D(fake), 1)}
        places_A = [drawn[f"places A {tap}"][0][:64] for tap in taps]
        losses["nce/z_fake_B"] = weight * nce(embedded(fake, places_A, mirrored), embedded(A, places_A, False))
        if identity:
            places_B = [drawn[f"places B {tap}"][0][:64] for tap in taps]
            idt = outputs[len(A) :]
            losses["nce/z_idt_B"] = weight * nce(embedded(idt, places_B, mirrored), embedded(B, places_B, False))
        total = sum(value for name, value in losses.items() if name != "adversarial/D")
        update(adam_G, total, adam_H)
        yield losses


def cut(world: World) -> Iterator[Losses]:
    yield from cut_loop(world, identity=True, weight=0.5)


def fastcut(world: World) -> Iterator[Losses]:
    yield from cut_loop(world, identity=False, weight=10)


def munit(world: World) -> Iterator[Losses]:
    """D first, no 0.5; G: GAN over scales + 10·image + style + content + 10·cycle; styles are drawn for each update."""
    AE_A, AE_B, D_A, D_B = (world.networks[name] for name in ("AE_A", "AE_B", "D_A", "D_B"))
    options = {"lr": 1e-4, "weight_decay": 1e-4}
    adam_G, adam_D = world.adam("AE_A", "AE_B", **options), world.adam("D_A", "D_B", **options)
    for A, B, drawn in world.steps():
        style_A, style_B = drawn["discriminators style_A"][0], drawn["discriminators style_B"][0]
        with torch.no_grad():
            fake_A = AE_A.decode(AE_B.encode(B)[0], style_A)
            fake_B = AE_B.decode(AE_A.encode(A)[0], style_B)
        loss_D_A = sum(mse(f, 0) + mse(r, 1) for f, r in zip(D_A(fake_A), D_A(A), strict=True))
        loss_D_B = sum(mse(f, 0) + mse(r, 1) for f, r in zip(D_B(fake_B), D_B(B), strict=True))
        update(adam_D, loss_D_A + loss_D_B)

        style_A, style_B = drawn["generators style_A"][0], drawn["generators style_B"][0]
        (content_A, own_A), (content_B, own_B) = AE_A.encode(A), AE_B.encode(B)
        rec_A, rec_B = AE_A.decode(content_A, own_A), AE_B.decode(content_B, own_B)
        fake_A, fake_B = AE_A.decode(content_B, style_A), AE_B.decode(content_A, style_B)
        content_fake_A, style_fake_A = AE_A.encode(fake_A)
        content_fake_B, style_fake_B = AE_B.encode(fake_B)
        cyc_A, cyc_B = AE_A.decode(content_fake_B, own_A), AE_B.decode(content_fake_A, own_B)
        losses = {
            "adversarial/fake_A": sum(mse(f, 1) for f in D_A(fake_A)),
            "adversarial/fake_B": sum(mse(f, 1) for f in D_B(fake_B)),
            "image/rec_A": 10 * l1(rec_A, A),
            "image/rec_B": 10 * l1(rec_B, B),
            "style/style_fake_A": l1(style_fake_A, style_A),
            "style/style_fake_B": l1(style_fake_B, style_B),
            "content/content_fake_B": l1(content_fake_B, content_A),
            "content/content_fake_A": l1(content_fake_A, content_B),
            "cycle/cyc_A": 10 * l1(cyc_A, A),
            "cycle/cyc_B": 10 * l1(cyc_B, B),
        }
        update(adam_G, sum(losses.values()))
        yield {**losses, "adversarial/D_A": loss_D_A, "adversarial/D_B": loss_D_B}


def ugatit(world: World) -> Iterator[Losses]:
    """D first, no 0.5, each on its map and its CAM logits; G: GAN + 10·cycle + 10·identity + 1000·CAM; ρ clipped."""
    G_AB, G_BA = world.networks["G_AB"], world.networks["G_BA"]
    discriminators = {name: world.networks[name] for name in ("D_A_global", "D_A_local", "D_B_global", "D_B_local")}
    options = {"lr": 1e-4, "weight_decay": 1e-4}
    adam_G, adam_D = world.adam("G_AB", "G_BA", **options), world.adam(*discriminators, **options)
    for A, B, _ in world.steps():
        fake_B, cam_fake_B, _ = G_AB.attend(A)
        fake_A, cam_fake_A, _ = G_BA.attend(B)
        losses: Losses = {}
        for name, D in discriminators.items():
            fake, real = (fake_A, A) if "_A_" in name else (fake_B, B)
            # Spectral norm iterates with every call; real images come first, as in the authors' code.
            on_real, on_fake = D(real), D(fake.detach())
            losses[f"adversarial/{name}"] = sum(mse(r, 1) + mse(f, 0) for r, f in zip(on_real, on_fake, strict=True))
        update(adam_D, sum(losses.values()))

        own = {}
        own["cycle/rec_A"], own["cycle/rec_B"] = 10 * l1(G_BA(fake_B), A), 10 * l1(G_AB(fake_A), B)
        idt_A, cam_idt_A, _ = G_BA.attend(A)
        idt_B, cam_idt_B, _ = G_AB.attend(B)
        own["identity/idt_A"], own["identity/idt_B"] = 10 * l1(idt_A, A), 10 * l1(idt_B, B)
        own["cam/cam_fake_B"] = 1000 * (bce(cam_fake_B, 1) + bce(cam_idt_B, 0))
        own["cam/cam_fake_A"] = 1000 * (bce(cam_fake_A, 1) + bce(cam_idt_A, 0))
        for domain, fake in (("A", fake_A), ("B", fake_B)):
            scores = [*discriminators[f"D_{domain}_global"](fake), *discriminators[f"D_{domain}_local"](fake)]
            own[f"adversarial/fake_{domain}"] = sum(mse(score, 1) for score in scores)
        update(adam_G, sum(own.values()))
        with torch.no_grad():
            for G in (G_AB, G_BA):
                for name, parameter in G.named_parameters():
                    if name.endswith("rho"):
                        parameter.clamp_(0, 1)
        yield {**losses, **own}


# The engine

UNPAIRED = {"type": "unpaired_folders", "transform": {"crop": 24}}
PATCHGAN = {"type": "patchgan", "layers": 1, "width": 4}
ADAM_DECAYED = {"type": "adam", "lr": 1.0e-4, "betas": [0.5, 0.999], "weight_decay": 1.0e-4}
ADAM = {"type": "adam", "lr": 2.0e-4, "betas": [0.5, 0.999]}
CUT_RECIPE: dict[str, Any] = {
    # With the paper's small initial weights the norms of such a narrow network divide by very small numbers, and Adam
    # turns the rounding errors in zero gradients (of biases before a norm) into steps of 1e-9.
    "generator": {"type": "resnet", "blocks": 2, "width": 4, "antialias": True, "init": {"type": "xavier", "gain": 1}},
    "discriminator": {**PATCHGAN, "antialias": True},
    "head": {"type": "mlp", "width": 8},
    "optimizer": ADAM,
}
CUT_METHOD = {"type": "cut", "taps": ["image", "down1", "down2", "block1"], "patches": 64}
SUMMED = {"type": "lsgan", "discriminator_weight": 1, "reduction": "sum"}
RECIPES: Mapping[str, tuple[Loop, dict[str, Any]]] = {
    "gan": (
        gan,
        {
            "method": {"type": "gan"},
            "generator": {"type": "resnet", "blocks": 1, "width": 4},
            "discriminator": PATCHGAN,
            "losses": {"adversarial": {"type": "lsgan"}},
            "optimizer": ADAM,
        },
    ),
    "pix2pix": (
        pix2pix,
        {
            "method": {"type": "pix2pix"},
            "generator": {"type": "unet", "downs": 3, "width": 4, "norm": "batch"},
            "discriminator": {**PATCHGAN, "norm": "batch"},
            "losses": {"adversarial": {"type": "bce"}, "l1": {"type": "l1", "weight": 100}},
            "optimizer": ADAM,
        },
    ),
    "cut": (
        cut,
        {
            "method": CUT_METHOD,
            **CUT_RECIPE,
            "losses": {"adversarial": {"type": "lsgan"}, "nce": {"type": "patch_nce", "weight": 0.5}},
        },
    ),
    "fastcut": (
        fastcut,
        {
            "method": {**CUT_METHOD, "flip_equivariance": True},
            **CUT_RECIPE,
            "losses": {
                "adversarial": {"type": "lsgan"},
                "nce": {"type": "patch_nce", "weight": 10, "pairs": {"z_fake_B": "z_real_A"}},
            },
        },
    ),
    "munit": (
        munit,
        {
            "method": {"type": "munit"},
            "generator": {"type": "munit", "width": 4, "blocks": 1, "mlp_width": 8},
            "discriminator": {"type": "multiscale", "layers": 2, "width": 4, "scales": 2},
            "losses": {
                "adversarial": SUMMED,
                "image": {"type": "l1", "weight": 10},
                "style": {"type": "l1", "pairs": "style"},
                "content": {"type": "l1", "pairs": "content"},
                "cycle": {"type": "cycle", "weight": 10},
            },
            "optimizer": ADAM_DECAYED,
        },
    ),
    "ugatit": (
        ugatit,
        {
            "method": {"type": "ugatit"},
            "generator": {"type": "ugatit", "width": 4, "blocks": 1, "size": 24},
            "discriminator": {"type": "ugatit", "width": 4, "layers": 4},
            "networks": {"D_A_local": {"layers": 3}, "D_B_local": {"layers": 3}},
            "losses": {
                "adversarial": SUMMED,
                "cycle": {"type": "cycle", "weight": 10},
                "identity": {"type": "identity", "weight": 10},
                "cam": {"type": "cam", "weight": 1000},
            },
            "optimizer": ADAM_DECAYED,
        },
    ),
}


def record_draws(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, list[Tensor]]]:
    """The draws of every random generator that the methods use, repeated, by step and name."""
    steps: list[dict[str, list[Tensor]]] = [{} for _ in range(STEPS)]

    def note(batch: Method, value: Tensor, names: tuple[str | int, ...], phase: str) -> None:
        key = " ".join(map(str, (phase, *names) if phase else names))
        steps[batch.step].setdefault(key, []).append(value)

    for kind in ("normal", "permutation"):
        original = getattr(Method, kind)

        def spying(
            self: Method, shape: Any, like: Tensor, *names: str | int, original: Callable[..., Tensor] = original
        ) -> Tensor:
            value = original(self, shape, like, *names)
            if not value.is_meta:
                note(self, value, names, self._draws.phase)
            return value

        monkeypatch.setattr(Method, kind, spying)
    original_rng = Method.rng

    def spying_rng(self: Method, *names: str | int) -> torch.Generator:
        if names == ("flip",):
            note(self, torch.rand((), generator=original_rng(self, *names)), names, "")
        return original_rng(self, *names)

    monkeypatch.setattr(Method, "rng", spying_rng)
    return steps


@pytest.mark.parametrize("name", RECIPES)
def test_first_steps(name: str, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, blocks = RECIPES[name]
    recipe = {
        **blocks,
        "data": {**UNPAIRED, "root": str(folders)},
        "training": {"length": f"{STEPS} steps", "batch_size": 2, "precision": "fp64", "workers": 0},
    }
    with open_run(recipe, device="cpu") as run:
        own = {network: copy.deepcopy(module) for network, module in run.networks.items()}
        batches = [run.batch(step)[0] for step in range(STEPS)]
        drawn = record_draws(monkeypatch)
        product = [step.losses for step in run.steps()]

    world = World(own, [(batch["real_A"], batch["real_B"]) for batch in batches], drawn)
    compared = 0
    for ours, theirs in zip(product, loop(world), strict=True):
        parts = {part for part in ours if "/" in part and not part.endswith("/discriminators")}
        assert parts == set(theirs), parts ^ set(theirs)
        for part in theirs:
            torch.testing.assert_close(ours[part], theirs[part].detach(), rtol=0, atol=1e-9, msg=f"{name} {part}")
            compared += 1
    assert compared >= 2 * STEPS
    worst = 0.0
    for network, module in own.items():
        state = run.networks[network].state_dict()
        for key, value in module.state_dict().items():
            # The order in which a discriminator is given real images and fakes affects only its running statistics,
            # which are not used in training.
            if "running_" in key and network.startswith("D"):
                continue
            worst = max(worst, float((state[key] - value).abs().max()))
    assert worst <= 1e-9, worst


def test_fastcut_mirrors_some_steps_and_not_others() -> None:
    """The steps of the comparison include both cases."""
    from translate_core.runtime.randomness import Draws

    coins = [bool(torch.rand((), generator=Draws(0, 0, step, 0).generator("flip")) < 0.5) for step in range(STEPS)]
    assert set(coins) == {True, False}
