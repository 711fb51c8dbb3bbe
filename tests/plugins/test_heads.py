from __future__ import annotations

import copy

import pytest
import torch

from translate_core import UserError
from translate_plugins.heads.mlp import MLP


def test_parameter_count_is_that_of_cut() -> None:
    with torch.device("meta"):
        assert sum(value.numel() for value in MLP((3, 128, 256, 256, 256)).parameters()) == 560_384


def test_state_dict_has_the_published_layout() -> None:
    keys = MLP((3, 5), width=4).state_dict().keys()
    assert list(keys) == [f"mlp_{i}.{j}.{name}" for i in (0, 1) for j in (0, 2) for name in ("weight", "bias")]


@pytest.mark.parametrize("last", [False, True])
def test_vectors_are_those_of_the_paper(last: bool) -> None:
    torch.manual_seed(0)
    head = MLP((2, 3), width=8).double()
    features = [torch.randn(2, 2, 4, 5).double(), torch.randn(2, 3, 3, 2).double()]
    places = [torch.tensor([0, 19, 7, 7]), torch.tensor([5, 0])]
    weights = head.state_dict()
    given = [maps.contiguous(memory_format=torch.channels_last) for maps in features] if last else features
    found = head(given, places)
    assert [tuple(value.shape) for value in found] == [(2, 4, 8), (2, 2, 8)]
    for tap, (maps, at) in enumerate(zip(features, places, strict=True)):
        for image in range(2):
            for number, place in enumerate(at.tolist()):
                row, column = divmod(place, maps.shape[3])
                x = maps[image, :, row, column]
                x = (weights[f"mlp_{tap}.0.weight"] @ x + weights[f"mlp_{tap}.0.bias"]).clamp(min=0)
                x = weights[f"mlp_{tap}.2.weight"] @ x + weights[f"mlp_{tap}.2.bias"]
                expected = x / (x.square().sum().sqrt() + 1e-7)
                torch.testing.assert_close(found[tap][image, number], expected, rtol=0, atol=1e-10)


def test_gradients_reach_every_parameter_and_the_given_places_only() -> None:
    torch.manual_seed(0)
    head = MLP((3,), width=4)
    maps = torch.randn(2, 3, 4, 4, requires_grad=True)
    (vectors,) = head([maps], [torch.tensor([1, 6])])
    (vectors * torch.randn_like(vectors)).sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in head.parameters())
    assert maps.grad is not None
    assert sorted(set(maps.grad.flatten(2).nonzero()[:, 2].tolist())) == [1, 6]


def test_a_vector_of_zeros_has_a_gradient() -> None:
    head = MLP((3,), width=4)
    for value in head.parameters():
        torch.nn.init.zeros_(value)
    (vectors,) = head([torch.randn(1, 3, 2, 2)], [torch.arange(4)])
    vectors.sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in head.parameters())


def test_half_precision_still_gives_unit_vectors() -> None:
    torch.manual_seed(0)
    head = MLP((16,), width=32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (vectors,) = head([torch.randn(1, 16, 8, 8)], [torch.arange(64)])
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(1, 64), rtol=0, atol=1e-5)


def test_runs_on_the_meta_device_and_survives_copying() -> None:
    with torch.device("meta"):
        head = MLP((3, 8))
    maps = [torch.empty(2, 3, 8, 8, device="meta"), torch.empty(2, 8, 4, 4, device="meta")]
    found = head(maps, [torch.empty(5, dtype=torch.int64, device="meta")] * 2)
    assert [tuple(value.shape) for value in found] == [(2, 5, 256), (2, 5, 256)]
    assert copy.deepcopy(head).state_dict().keys() == head.state_dict().keys()


def test_features_and_places_must_match_the_taps() -> None:
    head = MLP((3, 8), width=4)
    with pytest.raises(UserError, match="built for 2 taps, and was given features at 1 and places for 1"):
        head([torch.randn(1, 3, 2, 2)], [torch.arange(4)])
