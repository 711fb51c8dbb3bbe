from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from tests.plugins.toy_method import double, loss_parts, prepared
from translate_core import DISCRIMINATORS, GENERATORS, UserError
from translate_core.commands.run import main
from translate_plugins.losses.cam import CAM
from translate_plugins.losses.patch_nce import PatchNCE


def embeddings(*shape: int, seed: int) -> Tensor:
    x = double(*shape, seed=seed)
    return x / x.norm(dim=-1, keepdim=True)


def one_patch(query: Tensor, keys: Tensor, place: int, temperature: float) -> Tensor:
    """-log of the probability of the positive key; query: (C,), keys of the same image: (P, C)."""
    positive = torch.exp((query * keys[place]).sum() / temperature)
    total = positive + math.exp(-10 / temperature)  # the masked diagonal among the negatives
    for other in range(len(keys)):
        if other != place:
            total = total + torch.exp((query * keys[other]).sum() / temperature)
    return -torch.log(positive / total)


def over_patches(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    values = [
        one_patch(queries[image, place], keys[image], place, temperature)
        for image in range(len(queries))
        for place in range(queries.shape[1])
    ]
    return torch.stack(values).mean()


@pytest.mark.parametrize("temperature", [0.07, 5.0])
def test_patch_nce_is_that_of_the_paper(temperature: float) -> None:
    """Value and gradient, patch by patch; at a high temperature the -10 has an effect too."""
    shapes = [(2, 5, 4), (2, 7, 3), (2, 1, 4)]
    queries, keys, queries2, keys2 = (
        [embeddings(*shape, seed=10 * start + index).requires_grad_() for index, shape in enumerate(shapes)]
        for start in range(4)
    )
    loss = prepared(PatchNCE(temperature=temperature))
    parts = loss_parts(loss, GENERATORS, {"one": queries, "two": keys, "three": queries2, "four": keys2})
    assert parts.keys() == {"one", "three"}
    for part, q, k in ((parts["one"], queries, keys), (parts["three"], queries2, keys2)):
        taps = [over_patches(x, y.detach(), temperature) for x, y in zip(q, k, strict=True)]
        expected = sum(taps) / len(taps)
        assert part.item() == pytest.approx(expected.item(), abs=1e-12)
        plain = torch.autograd.grad(expected, q)
        for mine, theirs in zip(torch.autograd.grad(part, q, retain_graph=True), plain, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)
        assert all(g is None for g in torch.autograd.grad(part, k, allow_unused=True))
    assert loss_parts(loss, DISCRIMINATORS, {}) == {}


def test_negatives_come_from_the_same_image_only() -> None:
    q, k = embeddings(3, 6, 4, seed=1), embeddings(3, 6, 4, seed=2)
    whole = loss_parts(prepared(PatchNCE(pairs={"one": "two"})), GENERATORS, {"one": [q], "two": [k]})["one"]
    alone = [
        loss_parts(
            prepared(PatchNCE(pairs={"one": "two"})), GENERATORS, {"one": [q[i : i + 1]], "two": [k[i : i + 1]]}
        )["one"]
        for i in range(3)
    ]
    assert whole.item() == pytest.approx(sum(value.item() for value in alone) / 3, abs=1e-12)


@pytest.mark.parametrize("negatives", ["image", "batch"])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_patch_nce_of_dclgan(negatives: Any, similarity: Any) -> None:
    """Embeddings of any norm: cosines divide by it, dot products do not; negatives from the batch join its images."""
    q, k = 0.5 * double(2, 5, 4, seed=1), 0.5 * double(2, 5, 4, seed=2)
    q.requires_grad_()
    loss = prepared(PatchNCE(pairs={"one": "two"}, negatives=negatives, similarity=similarity))
    found = loss_parts(loss, GENERATORS, {"one": [q], "two": [k]})["one"]
    x, y = (v / v.norm(dim=-1, keepdim=True) if similarity == "cosine" else v for v in (q, k))
    if negatives == "batch":
        x, y = x.reshape(1, 10, 4), y.reshape(1, 10, 4)
    expected = over_patches(x, y, 0.07)
    assert found.item() == pytest.approx(expected.item(), abs=1e-12)
    (mine,), (plain,) = torch.autograd.grad(found, q), torch.autograd.grad(expected, q)
    torch.testing.assert_close(mine, plain, rtol=0, atol=1e-10)


def test_the_default_temperature_is_that_of_the_paper() -> None:
    assert PatchNCE().temperature == 0.07


def test_images_are_refused_as_embeddings() -> None:
    images = double(1, 3, 8, 8)
    with pytest.raises(UserError, match="embeddings, batch × patches × width, and was given 1×3×8×8: name the output"):
        loss_parts(prepared(PatchNCE(pairs={"one": "two"})), GENERATORS, {"one": images, "two": images})


def test_cam_is_that_of_the_paper() -> None:
    given = {
        name: (5 * double(3, 2, seed=seed)).requires_grad_()
        for seed, name in enumerate(("one", "two", "three", "four"))
    }
    parts = loss_parts(prepared(CAM()), GENERATORS, given)
    assert parts.keys() == {"one", "three"}
    for translated, identity in (("one", "two"), ("three", "four")):
        p, q = (1 / (1 + torch.exp(-given[name])) for name in (translated, identity))
        expected = -torch.log(p).sum() / 6 - torch.log(1 - q).sum() / 6
        assert parts[translated].item() == pytest.approx(expected.item(), abs=1e-12)
        inputs = [given[translated], given[identity]]
        plain = torch.autograd.grad(expected, inputs)
        for mine, theirs in zip(torch.autograd.grad(parts[translated], inputs), plain, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


CUT = {
    "method": {"type": "cut", "taps": ["image", "down1"], "patches": 16},
    "generator": {"type": "resnet", "blocks": 1, "width": 4},
    "head": {"type": "mlp", "width": 8},
    "losses": {
        "adversarial": {"type": "lsgan"},
        "nce": {"type": "patch_nce", "weight": 0.5, "temperature": 0.1},
    },
}


def test_patch_nce_trains(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = write_recipe(**CUT, observers={"tensorboard": None})
    assert main([str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 0
    logged = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert '"nce/z_fake_B"' in logged
    assert '"nce/z_idt_B"' in logged
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["losses"]["nce"]["pairs"] == "nce"


def test_a_loss_without_its_pairs_is_reported(
    write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe()
    sets = ["--set", "losses.nce={type: patch_nce}", "--set", "losses.cam={type: cam}"]
    assert main([str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu", *sets]) == 2
    printed = capsys.readouterr().err
    assert "losses.nce  method CycleGAN has no pairs 'nce'. It has: cycle, identity." in printed
    assert "losses.cam  method CycleGAN has no pairs 'cam'" in printed
