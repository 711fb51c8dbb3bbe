from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.plugins.toy_method import ToyMethod, double, loss_parts, prepared
from translate_core import DISCRIMINATORS, GENERATORS, Method, UserError, generator
from translate_core.commands.run import main
from translate_core.contracts.role import Role
from translate_plugins.losses.distances import L1, L2, Charbonnier, SmoothL1
from translate_plugins.losses.diversity import Diversity
from translate_plugins.losses.pairwise import PairwiseLoss
from translate_plugins.losses.reconstruction import Cycle, Identity
from translate_plugins.losses.ssim import SSIMLoss


def absolute(x: Tensor, y: Tensor) -> Tensor:
    return ((x - y) * (x - y).sign()).sum() / x.numel()


def squared(x: Tensor, y: Tensor) -> Tensor:
    return ((x - y) ** 2).sum() / x.numel()


def huber(beta: float) -> Callable[[Tensor, Tensor], Tensor]:
    def distance(x: Tensor, y: Tensor) -> Tensor:
        d = (x - y) * (x - y).sign()
        return torch.where(d < beta, d**2 / (2 * beta), d - beta / 2).sum() / x.numel()

    return distance


def root(eps: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, y: (((x - y) ** 2 + eps**2) ** 0.5).sum() / x.numel()


def dissimilarity(x: Tensor, y: Tensor) -> Tensor:
    """1 - SSIM by the paper's equations on values 0 … 255, window by window in two passes."""
    x, y = (x + 1) / 2 * 255, (y + 1) / 2 * 255
    row = torch.exp(-((torch.arange(11, dtype=x.dtype) - 5) ** 2) / (2 * 1.5**2))
    window = (row.unsqueeze(0) * row.unsqueeze(1)).flatten()
    window = (window / window.sum()).view(1, 1, -1, 1)
    a, b = (torch.nn.functional.unfold(v, 11).view(*v.shape[:2], 121, -1) for v in (x, y))
    mu_a, mu_b = ((window * v).sum(2, keepdim=True) for v in (a, b))
    var_a, var_b = (window * (a - mu_a) ** 2).sum(2), (window * (b - mu_b) ** 2).sum(2)
    cov = (window * (a - mu_a) * (b - mu_b)).sum(2)
    mu_a, mu_b = mu_a.squeeze(2), mu_b.squeeze(2)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mu_a * mu_b + c1) / (mu_a**2 + mu_b**2 + c1)
    return 1 - (luminance * (2 * cov + c2) / (var_a + var_b + c2)).mean()


CASES: dict[str, tuple[PairwiseLoss, Callable[[Tensor, Tensor], Tensor]]] = {
    "l1": (L1(), absolute),
    "l2": (L2(), squared),
    "smooth_l1": (SmoothL1(), huber(1.0)),
    "smooth_l1 with beta": (SmoothL1(beta=0.25), huber(0.25)),
    "charbonnier": (Charbonnier(), root(1e-3)),
    "charbonnier with eps": (Charbonnier(eps=0.3), root(0.3)),
    "diversity": (Diversity(pairs="identity"), lambda x, y: -absolute(x, y)),
    "ssim": (SSIMLoss(), dissimilarity),
    "cycle": (Cycle(pairs="identity"), absolute),
    "cycle with l2": (Cycle(distance="l2", pairs="identity"), squared),
    "identity": (Identity(), absolute),
    "identity with smooth_l1": (Identity(distance="smooth_l1"), huber(1.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_are_those_of_the_equation(name: str) -> None:
    loss, reference = CASES[name]
    given = {key: double(2, 3, 13, 17, seed=seed) for seed, key in enumerate(("one", "two", "three", "four"))}
    ours = {key: value.clone().requires_grad_() for key, value in given.items()}
    theirs = {key: value.clone().requires_grad_() for key, value in given.items()}
    prepared(loss)
    parts = loss_parts(loss, GENERATORS, ours)
    assert parts.keys() == loss.pairs.keys()
    for output, target in loss.pairs.items():
        expected = reference(theirs[output], theirs[target])
        assert parts[output].item() == pytest.approx(expected.item(), abs=1e-12)
        mine = torch.autograd.grad(parts[output], [ours[output], ours[target]])
        plain = torch.autograd.grad(expected, [theirs[output], theirs[target]])
        for one, other in zip(mine, plain, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    assert loss_parts(loss, DISCRIMINATORS, ours) == {}


def test_ssim_is_that_of_scikit_image() -> None:
    skimage = pytest.importorskip("skimage.metrics")
    x, y = double(1, 3, 20, 24, seed=1), double(1, 3, 20, 24, seed=2)
    y = (x + 0.2 * y).clamp(-1, 1)
    expected = skimage.structural_similarity(
        *((v[0].permute(1, 2, 0).numpy() + 1) / 2 for v in (x, y)),
        data_range=1.0,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )[1][5:-5, 5:-5].mean()
    value = loss_parts(prepared(SSIMLoss()), GENERATORS, {"one": x, "two": y})["one"]
    assert value.item() == pytest.approx(1 - expected, abs=1e-9)


def test_ssim_in_float32_is_accurate_for_flat_images() -> None:
    """There variances are differences of nearly equal means, so inaccurate sums would have an effect."""
    x = (0.9 + 0.001 * double(1, 3, 32, 32, seed=1)).float()
    y = (0.9 + 0.001 * double(1, 3, 32, 32, seed=2)).float()
    value = loss_parts(prepared(SSIMLoss()), GENERATORS, {"one": x, "two": y})["one"]
    assert value.item() == pytest.approx(dissimilarity(x.double(), y.double()).item(), abs=5e-5)
    assert loss_parts(prepared(SSIMLoss()), GENERATORS, {"one": x, "two": x})["one"].item() == pytest.approx(
        0, abs=1e-6
    )


@pytest.mark.parametrize("name", ["l1", "l2", "smooth_l1 with beta", "charbonnier", "cycle with l2"])
def test_the_loss_of_a_list_of_features_is_the_mean_over_its_members(name: str) -> None:
    loss, reference = CASES[name]
    ones = [double(2, 3, 9, 9, seed=1), double(2, 8, 4, 4, seed=2)]
    twos = [double(2, 3, 9, 9, seed=3), double(2, 8, 4, 4, seed=4)]
    parts = loss_parts(prepared(loss), GENERATORS, {"one": ones, "two": twos, "three": ones[0], "four": twos[0]})
    expected = sum(reference(x, y).item() for x, y in zip(ones, twos, strict=True)) / 2
    assert parts["one"].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        (double(1, 3, 8, 8), double(1, 1, 8, 8), "one with two, of different shapes: 1×3×8×8 and 1×1×8×8"),
        ([double(1, 2)], [double(1, 2), double(1, 3)], "different shapes: [1×2] and [1×2, 1×3]"),
        (double(1, 2), [double(1, 2)], "different shapes: 1×2 and [1×2]"),
        ([double(1, 2), double(1, 3)], [double(1, 2), double(1, 4)], "shapes: [1×2, 1×3] and [1×2, 1×4]"),
    ],
)
@pytest.mark.parametrize("kind", [L1, Charbonnier, SSIMLoss])
def test_different_shapes_are_refused(kind: type[PairwiseLoss], one: Any, two: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        loss_parts(prepared(kind()), GENERATORS, {"one": one, "two": two})
    assert words in str(caught.value)


def test_ssim_refuses_other_tensors_than_images() -> None:
    features = [double(1, 3, 12, 12)]
    with pytest.raises(UserError, match=r"ssim compares images, .* and was given \[1×3×12×12\]"):
        loss_parts(prepared(SSIMLoss()), GENERATORS, {"one": features, "two": features})
    style = double(1, 8)
    with pytest.raises(UserError, match="and was given 1×8"):
        loss_parts(prepared(SSIMLoss()), GENERATORS, {"one": style, "two": style})


def test_defaults() -> None:
    method = ToyMethod()
    for loss, topic in ((Cycle(), "cycle"), (Identity(), "identity"), (L1(), "reconstruction")):
        loss.prepare(method)
        assert loss.pairs == ToyMethod.pairs[topic]
    own = L2(pairs={"fake_B": "real_B"})
    own.prepare(method)
    assert own.pairs == {"fake_B": "real_B"}


class Bare(Method):
    roles: tuple[Role, ...] = (generator("G", "A", "B"),)
    order = (GENERATORS,)


def test_an_unknown_name_of_pairs_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        L1(pairs="recnstruction").prepare(ToyMethod())
    assert str(caught.value).startswith(
        "method ToyMethod has no pairs 'recnstruction', did you mean 'reconstruction'? It has: "
        "reconstruction, cycle, identity, nce, cam, perceptual. "
        "Or give `pairs`, such as {rec_A: real_A}, of these tensors: real_A, real_B, one"
    )
    with pytest.raises(UserError) as caught:
        Cycle().prepare(Bare())
    assert str(caught.value) == (
        "method Bare has no pairs 'cycle'. It has none. "
        "Or give `pairs`, such as {rec_A: real_A}, of these tensors: real_A, real_B"
    )
    with pytest.raises(UserError, match="pairs is empty"):
        L1(pairs={})


def run(recipe: Path, folder: Path, *options: str) -> int:
    sets = [argument for option in options for argument in ("--set", option)]
    return main([str(recipe), "--out", str(folder), "--device", "cpu", *sets])


@pytest.mark.parametrize("block", ["l1", "l2", "smooth_l1, beta: 0.5", "charbonnier", "ssim"])
@pytest.mark.parametrize("pairs", ["{fake_B: real_A, rec_A: real_A, rec_B: real_B}", "cycle"])
def test_each_trains(block: str, pairs: str, write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    options = (f"losses.x={{type: {block}, pairs: {pairs}}}", "losses.cycle=null", "training.length=2 steps")
    assert run(write_recipe(observers={"tensorboard": None}), tmp_path / "run", *options) == 0
    assert '"x/rec_A"' in (tmp_path / "run" / "metrics.jsonl").read_text()


REFUSED = {
    "losses.x={type: l1}": "losses.x  method CycleGAN has no pairs 'reconstruction'. It has: cycle",
    "losses.x={type: l1, pairs: cylce}": "losses.x  method CycleGAN has no pairs 'cylce', did you mean",
    "losses.x={type: l1, pairs: {rec_a: real_A}}": "losses.x.pairs.rec_a  the method has no tensor 'rec_a', did you",
    "losses.x={type: ssim, pairs: {rec_A: real_a}}": "losses.x.pairs.rec_A  the method has no tensor 'real_a', did you",
    "losses.cycle.pairs=[rec_A]": "losses.cycle.pairs  must be a mapping from text to text, or text, not [rec_A]",
    "losses.cycle.pairs=null": "losses.cycle.pairs  must be a mapping from text to text, or text, not null",
    "losses.cycle.pairs={}": "losses.cycle  pairs is empty: leave it out, or give some",
    "losses.x={type: charbonnier, eps: 0}": "losses.x.eps  must be a number greater than 0, not 0",
    "losses.x={type: smooth_l1, beta: -1}": "losses.x.beta  must be a number greater than 0, not -1",
}


@pytest.mark.parametrize("override", REFUSED)
def test_bad_pairs_are_reported(
    override: str, write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write_recipe(), tmp_path / "run", override) == 2
    assert REFUSED[override] in capsys.readouterr().err


def test_small_images_are_reported_by_the_shape_check(
    write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("losses.x={type: ssim, pairs: cycle}", "data.transform.crop=8")
    assert run(write_recipe(), tmp_path / "run", *options) == 2
    words = "losses.x  ssim needs images of at least 11×11 pixels, its window, and was given 8×8"
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoints").exists()
