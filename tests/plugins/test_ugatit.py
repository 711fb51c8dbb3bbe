from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate_core import UserError
from translate_plugins.discriminators.ugatit import UGATITDiscriminator
from translate_plugins.generators.ugatit import UGATITGenerator
from translate_plugins.inits.weights import normal
from translate_plugins.losses.adversarial import combined
from translate_plugins.losses.lsgan import LSGAN
from translate_plugins.norms import ILN, AdaLIN


def reflect(x: Tensor, by: int) -> Tensor:
    return F.pad(x, (by, by, by, by), mode="reflect")


def normed(x: Tensor, over: tuple[int, ...], unbiased: bool) -> Tensor:
    count = 1
    for axis in over:
        count *= x.shape[axis]
    deviation = x - x.mean(dim=over, keepdim=True)
    variance = deviation.square().sum(dim=over, keepdim=True) / (count - unbiased)
    return deviation / (variance + 1e-5).sqrt()


def mixed(x: Tensor, rho: Tensor) -> Tensor:
    rho = rho[:, None, None]
    return rho * normed(x, (2, 3), True) + (1 - rho) * normed(x, (1, 2, 3), True)


def test_parameter_counts_are_the_published_ones() -> None:
    with torch.device("meta"):
        full, light = UGATITGenerator(3, 3), UGATITGenerator(3, 3, light=True)
        whole, local = UGATITDiscriminator(3), UGATITDiscriminator(3, layers=5)
    counts = [sum(value.numel() for value in network.parameters()) for network in (full, light, whole, local)]
    assert counts == [278_959_808, 10_589_888, 53_130_176, 3_290_560]
    images = torch.empty(2, 3, 256, 256, device="meta")
    assert [tuple(value.shape) for value in full.attend(images)] == [(2, 3, 256, 256), (2, 2), (2, 1, 64, 64)]
    assert [tuple(value.shape) for value in whole(images)] == [(2, 1, 6, 6), (2, 2)]
    assert [tuple(value.shape) for value in local(images)] == [(2, 1, 30, 30), (2, 2)]


def moved(network: nn.Module) -> nn.Module:
    """The network with every weight changed, so that none is 0 or 1."""
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.1 * torch.rand_like(value))
    return network


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("light", [False, True])
def test_the_generator_computes_the_network_of_the_paper(light: bool, count: int) -> None:
    torch.manual_seed(0)
    network = UGATITGenerator(3, 2, width=4, light=light, **({} if light else {"size": 32})).double()
    values = iter(moved(network).state_dict().values())

    def conv(x: Tensor, padding: int, stride: int = 1) -> Tensor:
        return F.conv2d(reflect(x, padding), next(values), stride=stride)

    images = torch.rand(count, 3, 32, 32, dtype=torch.float64) * 2 - 1
    x = normed(conv(images, 3), (2, 3), False).relu()
    x = normed(conv(x, 1, stride=2), (2, 3), False).relu()
    x = normed(conv(x, 1, stride=2), (2, 3), False).relu()
    for _ in range(4):
        y = normed(conv(x, 1), (2, 3), False).relu()
        x = x + normed(conv(y, 1), (2, 3), False)
    gap, gmp, weight, bias = next(values), next(values), next(values), next(values)
    logits = torch.stack((x.mean(dim=(2, 3)) @ gap[0], x.amax(dim=(2, 3)) @ gmp[0]), dim=1)
    both = torch.cat((x * gap[0][:, None, None], x * gmp[0][:, None, None]), dim=1)
    x = (torch.einsum("nchw,oc->nohw", both, weight[:, :, 0, 0]) + bias[:, None, None]).relu()
    attention = x.sum(dim=1, keepdim=True)
    hidden = (x.mean(dim=(2, 3)) if light else x.reshape(count, -1)) @ next(values).T
    hidden = (hidden.relu() @ next(values).T).relu()
    gamma, beta = hidden @ next(values).T, hidden @ next(values).T

    def adalin(y: Tensor, rho: Tensor) -> Tensor:
        return mixed(y, rho) * gamma[..., None, None] + beta[..., None, None]

    # A module's own parameters come before those of its children, so ρ is read at the position of its AdaLIN.
    for _ in range(4):
        y = adalin(conv(x, 1), next(values)).relu()
        x = x + adalin(conv(y, 1), next(values))
    for _ in range(2):
        x = conv(x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), 1)
        rho, scale, shift = next(values), next(values), next(values)
        x = (mixed(x, rho) * scale[:, None, None] + shift[:, None, None]).relu()
    expected = conv(x, 3).tanh()
    assert next(values, None) is None, "a weight was not used"
    with torch.no_grad():
        found = network.attend(images)
        for left, right in zip(found, (expected, logits, attention), strict=True):
            torch.testing.assert_close(left, right, rtol=0, atol=1e-10)
        torch.testing.assert_close(network(images), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("layers", [2, 3, 5, 7])
def test_the_discriminator_computes_the_network_of_the_paper(layers: int) -> None:
    torch.manual_seed(0)
    network = UGATITDiscriminator(3, layers=layers, width=2).double()
    side = network.smallest + 6
    images = torch.rand(2, 3, side, side, dtype=torch.float64) * 2 - 1
    moved(network)(images)  # the power iteration adapts to the new weights
    state = network.eval().state_dict()

    def weight(key: str) -> Tensor:
        """The weight divided by the power iteration's estimate of its largest singular value."""
        original = state[f"{key}.parametrizations.weight.original"]
        u, v = (state[f"{key}.parametrizations.weight.0.{vector}"] for vector in ("_u", "_v"))
        return original / (u @ original.flatten(1) @ v)

    x = images
    for layer in range(layers - 1):
        key = f"encoder.{3 * layer + 1}"
        x = F.conv2d(reflect(x, 1), weight(key), state[f"{key}.bias"], stride=2 if layer < layers - 2 else 1)
        x = F.leaky_relu(x, 0.2)
    logits = torch.cat(
        (x.mean(dim=(2, 3)) @ weight("attention.gap_fc").T, x.amax(dim=(2, 3)) @ weight("attention.gmp_fc").T), dim=1
    )
    # The features are multiplied by the weights before spectral norm.
    gap, gmp = (state[f"attention.{fc}.parametrizations.weight.original"][0] for fc in ("gap_fc", "gmp_fc"))
    both = torch.cat((x * gap[:, None, None], x * gmp[:, None, None]), dim=1)
    x = F.conv2d(both, state["attention.conv1x1.weight"], state["attention.conv1x1.bias"])
    expected = F.conv2d(reflect(F.leaky_relu(x, 0.2), 1), weight("last.1"))
    with torch.no_grad():
        patches, cam = network(images)
    torch.testing.assert_close(patches, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(cam, logits, rtol=0, atol=1e-10)


def test_training_finds_the_largest_singular_values() -> None:
    torch.manual_seed(0)
    network = UGATITDiscriminator(3, layers=5, width=4)
    normal(network, std=0.5)
    images = torch.rand(1, 3, 32, 32)
    for _ in range(50):
        network(images)
    network.eval()
    found = 0
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and hasattr(module, "parametrizations"):
            found += 1
            assert float(torch.linalg.matrix_norm(module.weight.detach().flatten(1), 2)) == pytest.approx(1, rel=2e-2)
    assert found == 7
    assert not hasattr(network.attention.conv1x1, "parametrizations")


def test_without_spectral_norm_there_is_none() -> None:
    network = UGATITDiscriminator(3, layers=5, width=2, spectral_norm=False)
    assert not [key for key in network.state_dict() if "parametrizations" in key]
    assert [tuple(value.shape) for value in network(torch.rand(1, 3, 64, 64))] == [(1, 1, 6, 6), (1, 2)]


def test_the_discriminator_can_be_copied_reloaded_and_trained() -> None:
    torch.manual_seed(0)
    network = UGATITDiscriminator(3, layers=5, width=2)
    images = torch.rand(2, 3, 32, 32)
    copied = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    sum(value.square().mean() for value in network(images)).backward()  # type: ignore[union-attr]
    optimizer.step()
    for parameter, copied_parameter in zip(network.parameters(), copied.parameters(), strict=True):
        assert parameter.grad is not None
        assert copied_parameter.grad is None
    assert not torch.equal(network.eval()(images)[0], copied.eval()(images)[0])
    copied.load_state_dict(network.state_dict())
    for left, right in zip(network(images), copied(images), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize("layers", [2, 3, 5, 7])
def test_the_discriminator_declares_its_smallest_side(layers: int) -> None:
    network = UGATITDiscriminator(3, layers=layers, width=1)
    assert network(torch.rand(1, 3, network.smallest, network.smallest + 5))[0].shape[2] == 1
    with pytest.raises(RuntimeError):
        network(torch.rand(1, 3, network.smallest - 1, network.smallest - 1))


def test_an_adversarial_loss_takes_map_and_logits() -> None:
    output = UGATITDiscriminator(3, layers=5, width=2)(torch.rand(2, 3, 32, 32))
    patches, logits = output
    found = combined(output, LSGAN().on_real, "sum")
    torch.testing.assert_close(found, (patches - 1).square().mean() + (logits - 1).square().mean())


def test_an_update_clips_every_mixture() -> None:
    network = UGATITGenerator(3, 3, width=2, blocks=1, light=True)
    norms = [module for module in network.modules() if isinstance(module, AdaLIN | ILN)]
    assert len(norms) == 4
    assert [float(norm.rho.detach()[0]) for norm in norms] == pytest.approx([0.9, 0.9, 0, 0])
    with torch.no_grad():
        for norm in norms:
            norm.rho.copy_(torch.linspace(-1, 2, norm.rho.numel()))
    network.after_update()
    for norm in norms:
        torch.testing.assert_close(norm.rho.detach(), torch.linspace(-1, 2, norm.rho.numel()).clamp(0, 1))
        assert norm.rho.requires_grad


def test_the_full_model_averages_features_of_other_sizes() -> None:
    torch.manual_seed(0)
    network = UGATITGenerator(3, 3, width=2, blocks=1, size=16).double()
    for height, width in ((16, 16), (32, 48), (8, 20)):
        translation, _, attention = network.attend(torch.rand(1, 3, height, width).double())
        assert translation.shape == (1, 3, height, width)
        assert attention.shape == (1, 1, height // 4, width // 4)
    features = torch.rand(1, 8, 8, 12).double()
    gamma, beta = network.modulation(features)
    ema = features.reshape(1, 8, 4, 2, 4, 3).mean(dim=(3, 5))
    for left, right in zip(network.modulation(ema), (gamma, beta), strict=True):
        torch.testing.assert_close(left, right)


def test_options_that_contradict_are_refused() -> None:
    with pytest.raises(UserError, match="both light: true and size: 128"):
        UGATITGenerator(3, 3, light=True, size=128)
    with pytest.raises(UserError, match="size must be a multiple of 4, since it is halved 2 times, not 30"):
        UGATITGenerator(3, 3, size=30)


@pytest.mark.parametrize("count", [1, 2])
def test_half_precision_norms_are_near(count: int) -> None:
    torch.manual_seed(0)
    maps = torch.randn(count, 8, 16, 16).bfloat16()
    gamma, beta = torch.randn(count, 8), torch.randn(count, 8)
    for norm, given in ((AdaLIN(8, rho=0.4), (gamma, beta)), (ILN(8, rho=0.4), ())):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = norm(maps, *given)
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found.float(), norm(maps.float(), *given), rtol=3e-2, atol=3e-2)
