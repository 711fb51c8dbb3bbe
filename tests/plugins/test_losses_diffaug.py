from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.plugins.toy_method import double, loss_parts, networks, prepared
from translate_core import DISCRIMINATORS, GENERATORS, UserError
from translate_core.commands.run import main
from translate_core.runtime.randomness import Draws
from translate_plugins.losses.diffaug import Augmentation, _whole, apply
from translate_plugins.losses.lsgan import LSGAN


def plain(image: Tensor, augment: tuple[Augmentation, ...], draw: list[float]) -> Tensor:
    """One image (C, H, W), augmented pixel by pixel as the paper describes. draw: the seven numbers of this image."""
    channels, height, width = image.shape
    x = image.tolist()
    for name in augment:
        if name == "color":
            x = [[[v + draw[0] - 0.5 for v in row] for row in channel] for channel in x]
            grey = [[sum(x[c][i][j] for c in range(channels)) / channels for j in range(width)] for i in range(height)]
            x = [
                [[grey[i][j] + (x[c][i][j] - grey[i][j]) * 2 * draw[1] for j in range(width)] for i in range(height)]
                for c in range(channels)
            ]
            mean = sum(v for channel in x for row in channel for v in row) / (channels * height * width)
            x = [[[mean + (v - mean) * (0.5 + draw[2]) for v in row] for row in channel] for channel in x]
        elif name == "translation":
            moves = []
            for size, number in ((height, draw[3]), (width, draw[4])):
                furthest = math.floor(size / 8 + 0.5)
                moves.append(math.floor(number * (2 * furthest + 1)) - furthest)
            down, right = moves
            x = [
                [
                    [
                        x[c][i - down][j - right] if 0 <= i - down < height and 0 <= j - right < width else 0.0
                        for j in range(width)
                    ]
                    for i in range(height)
                ]
                for c in range(channels)
            ]
        else:
            spans = []
            for size, number in ((height, draw[5]), (width, draw[6])):
                length = math.floor(size / 2 + 0.5)
                centre = math.floor(number * (size + (1 if length % 2 == 0 else 0)))
                spans.append(range(centre - length // 2, centre - length // 2 + length))
            x = [
                [[0.0 if i in spans[0] and j in spans[1] else x[c][i][j] for j in range(width)] for i in range(height)]
                for c in range(channels)
            ]
    return torch.tensor(x, dtype=image.dtype)


ALL: tuple[Augmentation, ...] = ("color", "translation", "cutout")


@pytest.mark.parametrize("augment", [("color",), ("translation",), ("cutout",), ALL, ("cutout", "color")])
@pytest.mark.parametrize("shape", [(3, 9, 14), (1, 8, 8), (6, 13, 5)])
def test_each_image_is_augmented_as_by_hand(augment: tuple[Augmentation, ...], shape: tuple[int, int, int]) -> None:
    images = double(5, *shape)
    draws = torch.rand(7, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    draws[:, 0], draws[:, 1] = 0.0, 1 - 2**-53
    ours = apply(images, augment, draws)
    for index, image in enumerate(images):
        expected = plain(image, augment, draws[:, index].tolist())
        torch.testing.assert_close(ours[index], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("augment", [("color",), ("translation",), ("cutout",)])
def test_it_is_differentiable(augment: tuple[Augmentation, ...]) -> None:
    draws = torch.rand(7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    images = double(2, 2, 6, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: apply(x, augment, draws), (images,))
    assert torch.autograd.gradgradcheck(lambda x: apply(x, augment, draws).square(), (images,))


def test_the_largest_draw_maps_to_the_last_integer() -> None:
    """Also in float32, where the product may round up."""
    greatest = torch.full((), 1 - 2**-24)
    assert all(_whole(greatest, count).item() == count - 1 for count in range(1, 5000))


def test_memory_formats_do_not_matter() -> None:
    draws = torch.rand(7, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    images = double(4, 3, 10, 12)
    torch.testing.assert_close(
        apply(images.to(memory_format=torch.channels_last), ALL, draws), apply(images, ALL, draws)
    )


def test_draws_differ_between_sides_discriminators_and_real_and_fake_images() -> None:
    modules = networks()
    given_to_D: list[Tensor] = []
    modules["D"].register_forward_pre_hook(lambda _, x: given_to_D.append(x[0].detach()))
    given = {"real_A": double(3, 3, 12, 12, seed=1), "real_B": double(3, 3, 12, 12, seed=2)}
    fake = modules["G"](given["real_A"]).detach()
    loss = prepared(LSGAN(augment=ALL))
    loss_parts(loss, GENERATORS, given, modules, step=7)
    loss_parts(loss, DISCRIMINATORS, given, modules, step=7)
    for ours, images, names in zip(
        given_to_D,
        (fake, given["real_B"], fake),
        (("generators", "D", "fake"), ("discriminators", "D", "real"), ("discriminators", "D", "fake")),
        strict=True,
    ):
        draws = torch.rand(7, 3, generator=Draws(0, 0, 7, 0).generator("augment", *names)).double()
        expected = torch.stack([plain(image, ALL, draws[:, i].tolist()) for i, image in enumerate(images)])
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


def test_gradients_reach_the_generators_through_it() -> None:
    modules = networks()
    given = {"real_A": double(2, 3, 12, 12, seed=1), "real_B": double(2, 3, 12, 12, seed=2)}
    loss_parts(prepared(LSGAN(augment=ALL)), GENERATORS, given, modules)["fake_B"].backward()
    assert all(float(parameter.grad.abs().sum()) > 0 for parameter in modules["G"].parameters())


def test_without_augmentation_nothing_is_drawn() -> None:
    modules = networks()
    given = {"real_A": double(2, 3, 12, 12, seed=1), "real_B": double(2, 3, 12, 12, seed=2)}
    given_to_D: list[Tensor] = []
    modules["D"].register_forward_pre_hook(lambda _, x: given_to_D.append(x[0]))
    loss_parts(prepared(LSGAN()), DISCRIMINATORS, given, modules)
    assert given_to_D[0] is given["real_B"]


def test_an_augmentation_given_twice_is_refused() -> None:
    with pytest.raises(UserError, match="augment names color more than once"):
        LSGAN(augment=("color", "cutout", "color"))


def test_another_fault_of_the_block_is_still_reported(
    write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option is a list, which the search for the faulty key has to skip."""
    bad = tmp_path / "bad.py"
    bad.write_text(
        "from translate_core import hookimpl\nfrom translate_plugins.losses.lsgan import LSGAN\n\n"
        "class Bad(LSGAN):\n    def generator_loss(self, tensors):\n        return {'x': tensors['rec_a']}\n\n"
        "@hookimpl\ndef register(registry):\n    registry.loss('bad', Bad)\n"
    )
    recipe = write_recipe(plugins=["bad.py"], losses={"l": {"type": "bad", "augment": ["color"]}})
    assert main([str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 2
    assert "losses.l  the method has no tensor 'rec_a', did you mean 'rec_A'?" in capsys.readouterr().err
