"""Gradients of a discriminator's scores with respect to its images, for gradient penalties."""

from __future__ import annotations

import torch
from torch import Tensor

from translate_core import Network


def gradients_of_scores(discriminator: Network, images: Tensor, *conditions: Tensor) -> list[Tensor]:
    """∇D(x) at every image, (N, C, H, W), one for each tensor that D returns; differentiable in D's weights.

    D(x) is the mean of D's output for an image: over its map, or over its logits. images: (N, C, H, W).
    conditions: what D takes after the image.
    """
    images = images.detach().requires_grad_()
    # torch.compile does not support second derivatives.
    with torch.compiler.set_stance("force_eager"):
        output = discriminator(images, *conditions)
    members = [output] if isinstance(output, Tensor) else output
    gradients = []
    for scores in members:
        # Summed here and divided afterwards: in half precision the gradient of a mean could underflow inside D.
        (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        gradients.append(gradient / (scores.numel() // len(scores)))
    return gradients
