from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

from tests.plugins.toy_method import Scales, ToyMethod, double, loss_parts, networks, prepared
from translate_core import DISCRIMINATORS, GENERATORS, Method, UserError, discriminator, generator
from translate_core.commands.run import main
from translate_core.contracts.role import Role
from translate_core.runtime.randomness import Draws
from translate_plugins.losses.adversarial import AdversarialLoss, Arguments
from translate_plugins.losses.bce import BCE
from translate_plugins.losses.hinge import Hinge
from translate_plugins.losses.lsgan import LSGAN
from translate_plugins.losses.r1 import R1
from translate_plugins.losses.wgan_gp import WGANGP
from translate_plugins.pools.history import History

REAL: dict[type[AdversarialLoss], Callable[[float], float]] = {
    LSGAN: lambda s: (s - 1) ** 2,
    BCE: lambda s: math.log(1 + math.exp(-s)),
    Hinge: lambda s: max(0.0, 1 - s),
    WGANGP: lambda s: -s,
}
FAKE: dict[type[AdversarialLoss], Callable[[float], float]] = {
    LSGAN: lambda s: s**2,
    BCE: lambda s: math.log(1 + math.exp(s)),
    Hinge: lambda s: max(0.0, 1 + s),
    WGANGP: lambda s: s,
}
GENERATOR: dict[type[AdversarialLoss], Callable[[float], float]] = {**REAL, Hinge: lambda s: -s}
LOSSES = list(REAL)


def images() -> dict[str, Tensor]:
    return {"real_A": double(2, 3, 12, 12, seed=1), "real_B": double(2, 3, 12, 12, seed=2)}


def mean(function: Callable[[float], float], scores: Tensor) -> float:
    values = [function(score) for score in scores.flatten().tolist()]
    return sum(values) / len(values)


def unconstrained(kind: type[AdversarialLoss], **options: object) -> AdversarialLoss:
    loss = kind(penalty=0, **options) if kind is WGANGP else kind(**options)
    prepared(loss)
    return loss


@pytest.mark.parametrize("several", [None, "mean", "sum"])
@pytest.mark.parametrize("kind", LOSSES)
def test_values_are_those_of_the_equations(kind: type[AdversarialLoss], several: str | None) -> None:
    modules = networks(several is not None)
    loss = unconstrained(kind, discriminator_weight=0.7, **({"reduction": several} if several else {}))
    given = images()
    with torch.no_grad():
        scores = [modules["D"](given["real_B"]), modules["D"](modules["G"](given["real_A"]))]
    reals, fakes = (list(item) if several else [item] for item in scores)
    over = (lambda values: sum(values) / len(values)) if several != "sum" else sum
    expected = over([mean(REAL[kind], m) for m in reals]) + over([mean(FAKE[kind], m) for m in fakes])
    assert loss_parts(loss, DISCRIMINATORS, given, modules)["D"].item() == pytest.approx(0.7 * expected, abs=1e-12)
    expected = over([mean(GENERATOR[kind], m) for m in fakes])
    assert loss_parts(loss, GENERATORS, given, modules)["fake_B"].item() == pytest.approx(expected, abs=1e-12)


def test_the_bounded_hinge_is_that_of_dclgan() -> None:
    """The generator's term is zero where a score is beyond 1; the discriminator's loss is not changed."""
    modules, given = networks(), images()
    for value in modules["D"].parameters():
        value.data.mul_(20)  # so that scores lie on both sides of 1
    with torch.no_grad():
        scores = modules["D"](modules["G"](given["real_A"]))
    assert scores.max() > 1 > scores.min()
    bounded = unconstrained(Hinge, generator="bounded")
    found = loss_parts(bounded, GENERATORS, given, modules)["fake_B"].item()
    assert found == pytest.approx(mean(lambda s: max(0.0, 1 - s), scores), abs=1e-12)
    ours, usual = (loss_parts(loss, DISCRIMINATORS, given, modules)["D"] for loss in (bounded, unconstrained(Hinge)))
    assert torch.equal(ours, usual)


def gradient_of(value: Tensor, module: nn.Module) -> list[Tensor]:
    """Zeros where the value does not depend on a weight."""
    weights = list(module.parameters())
    return list(torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize("kind", LOSSES)
def test_gradients_are_those_of_the_equations(kind: type[AdversarialLoss]) -> None:
    """The gradient of each side's loss in the weights of that side, against the expression in plain torch."""
    modules, given = networks(), images()
    generator_, critic = modules["G"], modules["D"]
    real, fake = critic(given["real_B"]), critic(generator_(given["real_A"]).detach())
    bce = nn.functional.softplus
    half: Tensor = {
        LSGAN: lambda: ((real - 1) ** 2).mean() + (fake**2).mean(),
        BCE: lambda: bce(-real).mean() + bce(fake).mean(),
        Hinge: lambda: (
            torch.maximum(1 - real, torch.zeros(())).mean() + torch.maximum(1 + fake, torch.zeros(())).mean()
        ),
        WGANGP: lambda: fake.mean() - real.mean(),
    }[kind]()
    expected = gradient_of(half * (1 if kind in (Hinge, WGANGP) else 0.5), critic)
    ours = gradient_of(loss_parts(unconstrained(kind), DISCRIMINATORS, given, modules)["D"], critic)
    for mine, plain in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, plain, rtol=0, atol=1e-13)

    fake = critic(generator_(given["real_A"]))
    other: Tensor = {
        LSGAN: lambda: ((fake - 1) ** 2).mean(),
        BCE: lambda: bce(-fake).mean(),
        Hinge: lambda: -fake.mean(),
        WGANGP: lambda: -fake.mean(),
    }[kind]()
    expected = gradient_of(other, generator_)
    ours = gradient_of(loss_parts(unconstrained(kind), GENERATORS, given, modules)["fake_B"], generator_)
    for mine, plain in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, plain, rtol=0, atol=1e-13)


class TwoDiscriminators(ToyMethod):
    """As in U-GAT-IT: two discriminators on the same images."""

    roles = (*ToyMethod.roles, discriminator("E", "B"))
    adversarial_pairs = {"D": ("real_B", "fake_B"), "E": ("real_B", "fake_B")}


@pytest.mark.parametrize("kind", LOSSES)
def test_the_losses_of_all_discriminators_of_a_fake_are_added(kind: type[AdversarialLoss]) -> None:
    modules, given = networks(), images()
    modules["E"] = Scales(several=False).double()
    loss = kind()
    loss.prepare(TwoDiscriminators())
    together = loss_parts(loss, GENERATORS, given, modules, method=TwoDiscriminators())
    alone = loss_parts(prepared(kind()), GENERATORS, given, modules)
    other = loss_parts(prepared(kind()), GENERATORS, given, {**modules, "D": modules["E"]})
    assert together.keys() == {"fake_B"}
    assert together["fake_B"].item() == pytest.approx(alone["fake_B"].item() + other["fake_B"].item(), abs=1e-12)
    assert loss_parts(loss, DISCRIMINATORS, given, modules, method=TwoDiscriminators()).keys() == {"D", "E"}


def test_the_papers_factors_are_the_defaults() -> None:
    assert [kind().discriminator_weight for kind in LOSSES] == [0.5, 0.5, 1, 1]
    assert [kind().reduction for kind in LOSSES] == ["mean"] * 4
    assert WGANGP().penalty == 10
    assert R1().gamma == 10


class NoDiscriminator(Method):
    roles: tuple[Role, ...] = (generator("G", "A", "B"),)
    order = (GENERATORS,)


@pytest.mark.parametrize("loss", [LSGAN(), R1()])
def test_a_method_without_discriminator_is_refused(loss: AdversarialLoss) -> None:
    with pytest.raises(UserError, match="needs a discriminator, and method NoDiscriminator has none"):
        loss.prepare(NoDiscriminator())


def per_image_norms(critic: nn.Module, points: Tensor, member: int | None) -> Tensor:
    """‖∇D(x)‖ for each image in turn; D(x) is the mean of the scores of that image."""
    norms = []
    for point in points:
        x = point.unsqueeze(0).clone().requires_grad_()
        scores = critic(x)
        score = (scores if member is None else scores[member]).mean()
        (gradient,) = torch.autograd.grad(score, x, create_graph=True)
        norms.append(sum(value**2 for value in gradient.flatten()) ** 0.5)
    return torch.stack(norms)


@pytest.mark.parametrize("several", [None, "mean", "sum"])
def test_the_gradient_penalty_is_that_of_the_paper(several: str | None) -> None:
    """Its value and its gradient in the weights of the critic, computed image by image in float64."""
    modules = networks(several is not None)
    critic, given = modules["D"], images()
    loss = WGANGP(penalty=3, discriminator_weight=2, **({"reduction": several} if several else {}))
    prepared(loss)
    part = loss_parts(loss, DISCRIMINATORS, given, modules, step=4)["D"]

    place = torch.rand(2, 1, 1, 1, generator=Draws(0, 0, 4, 0).generator("interpolate", "D")).double()
    assert 0.01 < float(place.min()) < float(place.max()) < 0.99
    real, fake = given["real_B"], modules["G"](given["real_A"]).detach()
    points = place * real + (1 - place) * fake
    values = []
    for member in [None] if several is None else [0, 1]:
        pick = (lambda scores: scores) if member is None else (lambda scores, member=member: scores[member])
        penalty = ((per_image_norms(critic, points, member) - 1) ** 2).mean()
        values.append(pick(critic(fake)).mean() - pick(critic(real)).mean() + 3 * penalty)
    expected = 2 * (sum(values) / (2 if several == "mean" else 1))
    assert part.item() == pytest.approx(expected.item(), abs=1e-12)
    for mine, plain in zip(gradient_of(part, critic), gradient_of(expected, critic), strict=True):
        torch.testing.assert_close(mine, plain, rtol=0, atol=1e-12)
    assert max(float(g.abs().max()) for g in gradient_of(3 * penalty, critic)) > 1e-2, "the penalty is negligible here"


@pytest.mark.parametrize("several", [None, "sum"])
def test_r1_is_that_of_the_paper(several: str | None) -> None:
    modules = networks(several is not None)
    critic, given = modules["D"], images()
    loss = prepared(R1(gamma=5, **({"reduction": several} if several else {})))
    part = loss_parts(loss, DISCRIMINATORS, given, modules)["D"]
    expected = torch.stack(
        [
            5 / 2 * (per_image_norms(critic, given["real_B"], member) ** 2).mean()
            for member in ([None] if several is None else [0, 1])
        ]
    ).sum()
    assert part.item() == pytest.approx(expected.item(), abs=1e-12)
    for mine, plain in zip(gradient_of(part, critic), gradient_of(expected, critic), strict=True):
        torch.testing.assert_close(mine, plain, rtol=0, atol=1e-12)
    assert loss_parts(loss, GENERATORS, given, modules) == {}


class LinearCritic(nn.Module):
    """A linear critic, whose gradient is its weight for every image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3, 4, 4), 0.02, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).sum((1, 2, 3)).unsqueeze(1)


@pytest.mark.parametrize(("penalty", "held"), [(0.0, False), (10.0, True)])
def test_the_penalty_drives_the_norm_of_the_gradient_to_one(penalty: float, held: bool) -> None:
    """The best linear critic under the penalty: norm 1 + ‖difference of means‖ / 2λ, along that difference."""
    critic = LinearCritic()
    modules = {"G": nn.Conv2d(3, 3, 1).double(), "D": critic}
    given = {"real_A": double(4, 3, 4, 4, seed=1), "real_B": double(4, 3, 4, 4, seed=2)}
    loss = prepared(WGANGP(penalty=penalty))
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.02)
    for step in range(300):
        optimizer.zero_grad()
        loss_parts(loss, DISCRIMINATORS, given, modules, step)["D"].backward()
        optimizer.step()
    difference = (given["real_B"] - modules["G"](given["real_A"])).mean(0).detach()
    best = 1 + difference.norm().item() / (2 * 10)
    norm = critic.weight.detach().norm().item()
    assert (abs(norm - best) < 1e-3) == held
    assert held or norm > 5


def test_generators_leave_no_gradient_in_the_critic() -> None:
    modules = networks()
    part = loss_parts(prepared(WGANGP()), GENERATORS, images(), modules)["fake_B"]
    part.backward()
    assert all(parameter.grad is None for parameter in modules["D"].parameters())
    assert all(parameter.grad is not None for parameter in modules["G"].parameters())


def test_a_compiled_critic_has_the_same_penalty() -> None:
    """torch.compile does not support second derivatives, so the penalty has to bypass it."""
    modules = networks()
    plain = loss_parts(prepared(WGANGP()), DISCRIMINATORS, images(), modules)["D"]
    modules["D"].compile(backend="aot_eager")
    compiled = loss_parts(prepared(WGANGP()), DISCRIMINATORS, images(), modules)["D"]
    for mine, theirs in zip(gradient_of(compiled, modules["D"]), gradient_of(plain, modules["D"]), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_the_penalty_is_between_the_images_that_the_critic_is_given() -> None:
    """The ends of the lines are augmented images, and fakes from the pool."""
    seen: list[Tensor] = []

    class Watched(WGANGP):
        def constraint(self, tensors: Method, name: str, reals: Arguments, fakes: Arguments) -> Tensor | None:
            seen.extend((reals[0], fakes[0]))
            return super().constraint(tensors, name, reals, fakes)

    modules = networks()
    scores: list[Tensor] = []
    modules["D"].register_forward_pre_hook(lambda _, x: scores.append(x[0].detach()))
    loss = Watched(pool=lambda: History(size=1), augment=("color",))
    prepared(loss)
    for step in range(4):
        seen.clear()
        scores.clear()
        given = {"real_A": double(2, 3, 12, 12, seed=step), "real_B": double(2, 3, 12, 12, seed=9)}
        loss_parts(loss, DISCRIMINATORS, given, modules, step)
        real, fake, between = scores
        assert torch.equal(real, seen[0])
        assert torch.equal(fake, seen[1])
        place = (between - fake) / (real - fake)
        spread = place.flatten(1).max(1).values - place.flatten(1).min(1).values
        assert float(spread.max()) < 1e-9, "not on the line"
        assert not torch.equal(real, given["real_B"])


KINDS = {
    "lsgan": {"discriminator_weight": 1.0, "reduction": "sum"},
    "bce": {"augment": ["color", "translation", "cutout"]},
    "hinge": {"augment": ["cutout"], "pool": {"type": "history", "size": 2}},
    "wgan_gp": {"penalty": 5, "augment": ["translation"]},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_each_trains(kind: str, precision: str, write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """By the command, shape check included, together with R1."""
    recipe = write_recipe(
        losses={
            "adversarial": {"type": kind, **KINDS[kind]},
            "r1": {"type": "r1", "gamma": 1},
            "cycle": {"type": "cycle", "weight": 10},
        },
        observers={"progress": None, "tensorboard": None, "samples": None},
    )
    options = ["--set", "training.length=2 steps", "--set", f"training.precision={precision}"]
    assert main([str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu", *options]) == 0
    record = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["losses"]["adversarial"]
    assert {key: record[key] for key in KINDS[kind]} == KINDS[kind]
    logged = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert '"r1/discriminators"' in logged
    assert '"adversarial/D_A"' in logged
