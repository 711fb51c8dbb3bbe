from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from translate_plugins.discriminators.multiscale import Multiscale
from translate_plugins.discriminators.patchgan import PatchGAN
from translate_plugins.discriminators.pixelgan import PixelGAN
from translate_plugins.inits.weights import kaiming, normal, orthogonal, xavier

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden runs do not lie beside the repository")

NORMS: tuple[Any, ...] = ("instance", "batch", "none")
PADDINGS: tuple[Any, ...] = ("zero", "reflect", "replicate")
OUTPUTS: tuple[Any, ...] = ("logits", "sigmoid")

AUTHORS: dict[str, Callable[..., nn.Module]] = {
    "basic/layers=3": partial(PatchGAN, 3),
    "n_layers/layers=2": partial(PatchGAN, 3, layers=2),
    "n_layers/layers=5": partial(PatchGAN, 3, layers=5),
    "pixel/layers=3": partial(PixelGAN, 3),
}
PUBLISHED: dict[str, Callable[[], nn.Module]] = {
    f"discriminator/{name}/norm={norm}": partial(network, norm=norm)
    for name, network in AUTHORS.items()
    for norm in ("instance", "batch")
}

VARIANTS: dict[str, Callable[[], nn.Module]] = {
    **{f"patchgan norm={norm}": partial(PatchGAN, 3, width=4, norm=norm) for norm in NORMS},
    **{
        f"patchgan padding={padding} output={output}": partial(
            PatchGAN, 3, layers=2, width=4, padding=padding, output=output
        )
        for padding in PADDINGS
        for output in OUTPUTS
    },
    **{f"patchgan antialias norm={norm}": partial(PatchGAN, 3, width=4, norm=norm, antialias=True) for norm in NORMS},
    **{
        f"patchgan spectral norm={norm}": partial(PatchGAN, 3, width=4, norm=norm, spectral_norm=True) for norm in NORMS
    },
    "pixelgan spectral": partial(PixelGAN, 3, width=4, spectral_norm=True),
    **{f"patchgan layers={layers}": partial(PatchGAN, 3, layers=layers, width=2) for layers in (1, 4, 5)},
    **{f"pixelgan norm={norm}": partial(PixelGAN, 3, width=4, norm=norm) for norm in NORMS},
}


@needs_golden
def test_every_published_layout_is_covered() -> None:
    published = json.loads((GOLDEN / "state_dict_keys.json").read_text())
    discriminators = {name for name in published if name.startswith("discriminator/")}
    assert len(published) == 24
    assert len(discriminators) == 8
    assert set(PUBLISHED) == discriminators


@needs_golden
@pytest.mark.parametrize("name", PUBLISHED)
def test_state_dict_has_the_published_layout(name: str) -> None:
    expected = json.loads((GOLDEN / "state_dict_keys.json").read_text())[name]
    with torch.device("meta"):
        network = PUBLISHED[name]()
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == expected


def test_parameter_count_is_the_published_one() -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in PatchGAN(3).parameters()) == 2_764_737


@needs_golden
@pytest.mark.parametrize("run", ["cyclegan_resnet6_lsgan", "cyclegan_unet128_bce"])
def test_outputs_are_those_of_the_reference(run: str) -> None:
    with np.load(GOLDEN / f"{run}.npz") as golden:
        prefix = "init/D_A/"  # the reference's name for the discriminator of B
        weights = {k[len(prefix) :]: torch.from_numpy(golden[k]) for k in golden.files if k.startswith(prefix)}
        fake_B, scores = torch.from_numpy(golden["first/fake_B"]), torch.from_numpy(golden["first/D_A(fake_B)"])
    network = PatchGAN(3, width=4).double()
    network.load_state_dict(weights)
    with torch.no_grad():
        torch.testing.assert_close(network(fake_B), scores, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_option_builds_and_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    network = VARIANTS[name]()
    images = torch.rand(2, 3, 96, 128) * 2 - 1
    before = images.clone()
    output = network(images)
    assert output.shape[:2] == (2, 1)
    assert torch.equal(images, before), "the network overwrote its input"
    (output * torch.randn_like(output)).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        # The exact gradient of a bias before an instance norm is 0, so only weights must have a non-zero gradient.
        if parameter.ndim > 1:
            assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize(
    ("layers", "antialias", "field"),
    [
        *((layers, False, field) for layers, field in enumerate((16, 34, 70, 142, 286), start=1)),
        *((layers, True, field) for layers, field in enumerate((18, 40, 84, 172, 348), start=1)),
    ],
)
def test_patch_has_the_documented_width(layers: int, antialias: bool, field: int) -> None:
    network = PatchGAN(1, layers=layers, width=1, norm="none", antialias=antialias).double()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)  # all positive, so that no gradients cancel
    side = 2 ** (layers + 2) * 6
    image = torch.rand(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    scores = network(image)
    centre = scores.shape[-1] // 2
    scores[0, 0, centre, centre].backward()
    assert image.grad is not None
    seen = image.grad[0, 0].nonzero()
    low, high = seen.min(dim=0).values, seen.max(dim=0).values
    assert low.min() > 0, "the patch must lie inside the image"
    assert high.max() < side - 1, "the patch must lie inside the image"
    assert (high - low + 1).tolist() == [field, field]
    assert len(seen) == field**2


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_output_sides_follow_from_input_sides(layers: int, antialias: bool) -> None:
    network = PatchGAN(3, layers=layers, width=1, antialias=antialias)
    smallest = 3 * 2**layers
    for height, width in ((smallest, smallest), (smallest + 5, 2 * smallest + 1)):
        expected = (1, 1, height // 2**layers - 2, width // 2**layers - 2)
        assert network(torch.rand(1, 3, height, width)).shape == expected
    with pytest.raises((RuntimeError, ValueError)):
        network(torch.rand(1, 3, smallest - 1, smallest - 1))


def test_runs_on_the_meta_device() -> None:
    with torch.device("meta"):
        patch, pixel = PatchGAN(3), PixelGAN(3)
    images = torch.empty(2, 3, 256, 256, device="meta")
    assert patch(images).shape == (2, 1, 30, 30)
    assert pixel(images).shape == (2, 1, 256, 256)
    assert patch(images).is_meta


def test_without_a_norm_only_the_convolutions_at_the_ends_have_a_bias() -> None:
    patch, pixel = PatchGAN(3, width=2, norm="none"), PixelGAN(3, width=2, norm="none")
    assert [key for key in patch.state_dict() if key.endswith("bias")] == ["model.0.bias", "model.11.bias"]
    assert [key for key in pixel.state_dict() if key.endswith("bias")] == ["net.0.bias"]


def test_sigmoid_is_that_of_the_logits() -> None:
    logits, sigmoid = PatchGAN(3, width=4), PatchGAN(3, width=4, output="sigmoid")
    sigmoid.load_state_dict(logits.state_dict())
    images = torch.rand(1, 3, 64, 48) * 2 - 1
    torch.testing.assert_close(sigmoid(images), logits(images).sigmoid())


def test_every_convolution_has_the_given_padding() -> None:
    modes = {"zero": "zeros", "reflect": "reflect", "replicate": "replicate"}
    outputs = {}
    networks = {
        padding: PatchGAN(3, width=4, norm="none", padding=padding) for padding in ("zero", "reflect", "replicate")
    }
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    for padding, network in networks.items():
        network.load_state_dict(networks["zero"].state_dict())
        assert {m.padding_mode for m in network.modules() if isinstance(m, nn.Conv2d)} == {modes[padding]}
        outputs[padding] = network(images)
    assert not torch.allclose(outputs["zero"], outputs["reflect"])
    assert not torch.allclose(outputs["reflect"], outputs["replicate"])


def test_pixelgan_scores_pixels_separately() -> None:
    network = PixelGAN(3, width=4, norm="none")
    images = torch.rand(1, 3, 5, 7, requires_grad=True)
    network(images)[0, 0, 2, 3].backward()
    assert images.grad is not None
    assert images.grad.abs().sum(dim=1)[0].nonzero().tolist() == [[2, 3]]


SPECTRAL: dict[str, tuple[Callable[..., nn.Module], int]] = {
    "patchgan": (partial(PatchGAN, 3, width=4), 5),
    "patchgan antialias": (partial(PatchGAN, 3, width=4, antialias=True), 5),
    "pixelgan": (partial(PixelGAN, 3, width=4), 3),
    "multiscale": (partial(Multiscale, 3, scales=2, layers=3, width=4), 8),
}


@pytest.mark.parametrize("init", [normal, xavier, kaiming, orthogonal])
@pytest.mark.parametrize("name", SPECTRAL)
def test_spectral_norm_makes_the_largest_singular_value_one(name: str, init: Callable[[nn.Module], None]) -> None:
    build, convolutions = SPECTRAL[name]
    torch.manual_seed(0)
    plain, network = build().double(), build(spectral_norm=True).double()
    for built in (plain, network):
        torch.manual_seed(1)
        init(built)
    images = torch.rand(1, 3, 48, 48, dtype=torch.float64)
    for _ in range(200):  # power iterations
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                _ = module.weight
    network.eval()
    found = 0
    for (key, drawn), (_, normed) in zip(plain.named_modules(), layers_of(network), strict=False):
        if isinstance(drawn, nn.Conv2d):
            found += 1
            assert isinstance(normed, nn.Conv2d), key
            assert torch.equal(normed.get_parameter("parametrizations.weight.original"), drawn.weight), key
            largest = torch.linalg.matrix_norm(drawn.weight.detach().flatten(1), 2)
            torch.testing.assert_close(normed.weight, drawn.weight / largest, rtol=1e-3, atol=0)
            with torch.no_grad():
                drawn.weight.copy_(normed.weight)
    assert found == convolutions
    with torch.no_grad():
        for left, right in zip(network(images), plain(images), strict=True):
            torch.testing.assert_close(left, right, rtol=0, atol=1e-10)


def layers_of(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules of the network, without those that parametrise a weight."""
    return [(key, module) for key, module in network.named_modules() if "parametrizations" not in key]


def test_spectral_norm_adds_no_parameters() -> None:
    with torch.device("meta"):
        for build, _ in SPECTRAL.values():
            counts = [sum(p.numel() for p in build(spectral_norm=wanted).parameters()) for wanted in (False, True)]
            assert counts[0] == counts[1]
