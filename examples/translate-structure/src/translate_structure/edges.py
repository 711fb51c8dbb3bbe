"""A loss that compares the edges of a translation with those of its input."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from translate_core import Loss, Method, Tensors, UserError


class Edges(Loss):
    """Mean difference of gradient magnitudes between the input and the output.

    Gradients are those of Sobel's filter on the mean over the channels, so that a grey image can be compared with a
    colour image. With `penalise: changed` the loss is |‖∇y‖ - ‖∇x‖|, in the spirit of Mathieu, Couprie and LeCun, Deep
    Multi-Scale Video Prediction beyond Mean Square Error, ICLR 2016, equation 6. With `penalise: lost` it is
    max(0, ‖∇x‖ - ‖∇y‖): lost edges are penalised, new ones, such as stripes, are not.

    Args:
        penalise: lost (edges of the input that are weaker in the output) or changed (stronger ones too).
        pairs: output -> the tensor that its edges are compared with; by default, for each direction of the method, its
            output and its input.
    """

    def __init__(self, *, penalise: Literal["lost", "changed"] = "lost", pairs: dict[str, str] | None = None) -> None:
        super().__init__()
        self.penalise = penalise
        self.pairs = pairs or {}

    def prepare(self, method: Method) -> None:
        """Uses the method's directions unless the recipe has pairs. Raises UserError when there are none."""
        self.pairs = self.pairs or {item.output: item.given for item in method.directions.values()}
        if not self.pairs:
            raise UserError(
                f"method {type(method).__name__} has no direction: give `pairs`, such as {{fake_B: real_A}}, of "
                f"{', '.join(method.tensor_names())}"
            )

    def generator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        """One part for each pair, named after its output."""
        parts = {}
        for output, source in self.pairs.items():
            missing = gradients(tensors[source]) - gradients(tensors[output])
            parts[output] = (missing.relu() if self.penalise == "lost" else missing.abs()).mean()
        return parts


def gradients(images: Tensor) -> Tensor:
    """The magnitude of Sobel's gradient of the mean over the channels, where the filter fits into the image.

    images: (N, C, H, W). Returns (N, 1, H - 2, W - 2); a slope of 1 a pixel has the magnitude 1.
    """
    grey = images.mean(1, keepdim=True)
    across, down = grey[..., 2:] - grey[..., :-2], grey[..., 2:, :] - grey[..., :-2, :]
    across = (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 8
    down = (down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]) / 8
    # The square root has no derivative at 0, the value for a constant image.
    return torch.sqrt(across.square() + down.square() + 1e-8)
