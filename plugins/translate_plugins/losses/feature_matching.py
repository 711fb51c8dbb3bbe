"""The feature matching loss of pix2pixHD."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from translate_core import Loss, Method, Tensors, UserError, adversarial_pair


class FeatureMatching(Loss):
    """The distance between a discriminator's features of the fake and of the real image.

    Wang et al., High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs (pix2pixHD), CVPR 2018,
    equation 3: the sum over the taps of the discriminator of the mean absolute difference between the features of the
    fake and of the real image, which is detached. The weight in the paper is 10. A discriminator that returns a list,
    such as `multiscale`, is one network for each member: the sum is divided by their number, as in the authors' code.
    That code also multiplies by 4 / (layers + 1), which is 1 for its three layers.

    It compares the two images of the method's `adversarial_pairs`, so these must belong together, as paired images do.
    The discriminator must have taps, as `patchgan` and `multiscale`; passes are shared with the adversarial loss.
    """

    def prepare(self, method: Method) -> None:
        """Raises UserError when the method has no discriminator."""
        if not method.adversarial_pairs:
            raise UserError(f"needs a discriminator, and method {type(method).__name__} has none")

    def generator_loss(self, tensors: Tensors) -> dict[str, Tensor]:
        """The distance, one value per fake: the sum over the discriminators of that fake.

        Raises UserError when a discriminator has no taps.
        """
        parts: dict[str, Tensor] = {}
        for name, pair in tensors.adversarial_pairs.items():
            fakes, reals = tensors.features(name, "fake"), tensors.features(name, "real")
            scores = tensors.score(name, "fake")
            distances = torch.stack([F.l1_loss(fakes[tap], reals[tap].detach()) for tap in fakes])
            distance = distances.sum() / (len(scores) if isinstance(scores, list) else 1)
            fake = adversarial_pair(pair).fake
            parts[fake] = parts[fake] + distance if fake in parts else distance
        return parts
