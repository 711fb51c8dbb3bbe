"""The projection head of CUT."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from translate_core import UserError


class MLP(nn.Module):
    """Projects features to unit vectors: for each tap a linear layer, ReLU, a linear layer, then L2 normalisation.

    The projection heads of CUT (Park et al., ECCV 2020, section 3.1), in the layout of the authors' code. A vector x
    becomes x / (‖x‖₂ + 1e-7).

    Takes for each tap features (N, channels, H, W) and places (P,), indices into the H · W places in row-major order,
    the same for every image; returns for each tap (N, P, width), vectors of norm 1. Nothing is computed at other
    places.

    Args:
        channels: channels of the features at each tap.
        width: length of the output vectors, and width of the hidden layer.
    """

    def __init__(self, channels: tuple[int, ...], *, width: PositiveInt = 256) -> None:
        super().__init__()
        for index, inputs in enumerate(channels):
            layers = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width))
            self.add_module(f"mlp_{index}", layers)

    def forward(self, features: list[Tensor], places: list[Tensor]) -> list[Tensor]:
        """features: (N, C_i, H_i, W_i). places: (P_i,), int64. Returns (N, P_i, width), at least float32.

        Raises UserError unless both lists have one entry for each tap.
        """
        heads = list(self.children())
        if not len(features) == len(places) == len(heads):
            raise UserError(
                f"the head was built for {len(heads)} taps, and was given features at {len(features)} "
                f"and places for {len(places)}"
            )
        return [_unit(head(_at(maps, at))) for head, maps, at in zip(heads, features, places, strict=True)]


def _at(maps: Tensor, places: Tensor) -> Tensor:
    """The vectors of maps (N, C, H, W) at `places`, indices into H · W: (N, P, C)."""
    return maps.flatten(2).index_select(2, places).transpose(1, 2)


def _unit(vectors: Tensor) -> Tensor:
    vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    return vectors / (torch.linalg.vector_norm(vectors, dim=-1, keepdim=True) + 1e-7)
