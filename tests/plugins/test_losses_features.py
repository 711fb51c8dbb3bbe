"""Losses on the features of discriminators, against plain arithmetic in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.plugins.toy_method import ToyMethod, double, loss_parts, tensors_of
from translate_core import GENERATORS, Method, UserError, generator
from translate_core.contracts.network import Calls
from translate_plugins.discriminators.multiscale import Multiscale
from translate_plugins.discriminators.patchgan import PatchGAN
from translate_plugins.losses.feature_matching import FeatureMatching
from translate_plugins.losses.lsgan import LSGAN


def images() -> dict[str, Tensor]:
    return {"real_A": double(2, 3, 32, 32, seed=1), "real_B": double(2, 3, 32, 32, seed=2)}


def modules(discriminator: nn.Module) -> dict[str, nn.Module]:
    return {"G": nn.Conv2d(3, 3, 3, padding=1).double(), "D": discriminator.double()}


def stages(layers: nn.Sequential, x: Tensor) -> list[Tensor]:
    """What each convolution but the first is given."""
    inputs = []
    for layer in layers:
        inputs += [x] if isinstance(layer, nn.Conv2d) else []
        x = torch.where(x > 0, x, 0.2 * x) if isinstance(layer, nn.LeakyReLU) else layer(x)
    return inputs[1:]


def mean_difference(one: Tensor, other: Tensor) -> float:
    differences = [abs(a - b) for a, b in zip(one.flatten().tolist(), other.flatten().tolist(), strict=True)]
    return sum(differences) / len(differences)


def test_a_patch_discriminator() -> None:
    networks = modules(PatchGAN(3, layers=2, width=4))
    given = images()
    fake = networks["G"](given["real_A"])
    pairs = zip(stages(networks["D"].model, fake), stages(networks["D"].model, given["real_B"]), strict=True)
    expected = sum(mean_difference(one, other) for one, other in pairs)
    parts = loss_parts(FeatureMatching(), GENERATORS, given, networks)
    assert list(parts) == ["fake_B"]
    assert float(parts["fake_B"].detach()) == pytest.approx(expected, rel=1e-12)


def test_of_several_scales_the_sum_is_divided_by_their_number() -> None:
    networks = modules(Multiscale(3, scales=2, layers=2, width=4))
    given = images()
    fake, real = networks["G"](given["real_A"]), given["real_B"]
    expected = 0.0
    for layers in networks["D"].networks:
        expected += sum(
            mean_difference(one, other) for one, other in zip(stages(layers, fake), stages(layers, real), strict=True)
        )
        fake, real = (
            nn.functional.avg_pool2d(each, 3, stride=2, padding=1, count_include_pad=False) for each in (fake, real)
        )
    parts = loss_parts(FeatureMatching(), GENERATORS, given, networks)
    assert float(parts["fake_B"].detach()) == pytest.approx(expected / 2, rel=1e-12)


def test_no_gradient_flows_through_the_features_of_the_real_image() -> None:
    networks = modules(PatchGAN(3, layers=1, width=2))
    given = {name: image.requires_grad_() for name, image in images().items()}
    loss_parts(FeatureMatching(), GENERATORS, given, networks)["fake_B"].backward()
    assert given["real_B"].grad is None
    assert given["real_A"].grad is not None
    assert all(parameter.grad is None for parameter in networks["D"].parameters())
    assert all(parameter.grad is not None for parameter in networks["G"].parameters())


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_passes_are_shared_with_the_adversarial_loss(order: tuple[int, int]) -> None:
    networks = modules(PatchGAN(3, layers=1, width=2))
    losses = [LSGAN(), FeatureMatching()]
    method = ToyMethod()
    losses[0].prepare(method)
    passes = []
    networks["D"].model[0].register_forward_hook(lambda *_: passes.append(1))

    def evaluated(needed: frozenset[str]) -> Method:
        calls = Calls()
        tensors = tensors_of(method, images(), networks, calls)
        tensors.needed = needed
        tensors.begin_update()
        with calls.by_loss(frozenset({"G"})):
            for place in order:
                losses[place].parts(GENERATORS, tensors)
        return tensors

    needed = evaluated(frozenset()).used()
    passes.clear()
    evaluated(needed)
    assert len(passes) == 2, "the fake once, the real image once"


def test_what_it_needs() -> None:
    class Alone(Method):
        roles = (generator("G", "A", "B"),)

    with pytest.raises(UserError, match="needs a discriminator, and method Alone has none"):
        FeatureMatching().prepare(Alone())
    with pytest.raises(UserError, match="needs features of D, and Conv2d declares no taps"):
        loss_parts(FeatureMatching(), GENERATORS, images(), modules(nn.Conv2d(3, 1, 3)))
