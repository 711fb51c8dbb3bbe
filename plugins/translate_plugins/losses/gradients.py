"""Gradients of a discriminator's scores in its images, which penalties on them are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from translate_core import Network


def gradients_of_scores(judge: Network, images: Tensor) -> list[Tensor]:
    """∇D(x) at every image, (N, C, H, W), itself differentiable in D's weights; one for each tensor that D returns.

    D(x) is the mean of what D returns for an image: of its map, or of its logits. images: (N, C, H, W).
    """
    images = images.detach().requires_grad_()
    # torch.compile has no second derivative.
    with torch.compiler.set_stance("force_eager"):
        judgement = judge(images)
    members = [judgement] if isinstance(judgement, Tensor) else judgement
    gradients = []
    for scores in members:
        # Summed here and divided afterwards: in half precision a gradient of the mean might vanish within D.
        (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        gradients.append(gradient / (scores.numel() // len(scores)))
    return gradients
