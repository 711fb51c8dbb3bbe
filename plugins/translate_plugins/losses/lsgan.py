"""The least-squares adversarial loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from translate_plugins.losses.adversarial import AdversarialLoss


class LSGAN(AdversarialLoss):
    """Least-squares adversarial loss: mean squared error to 1 for real, to 0 for fake.

    Mao et al., Least Squares Generative Adversarial Networks, ICCV 2017, equation 9; Zhu et al. 2017, section 4.

    Args:
        pool: where each discriminator's fakes come from.
        discriminator_weight: factor on the discriminators' half. CycleGAN, pix2pix and CUT have 0.5, MUNIT and U-GAT-IT
            1.
        several: how the scores are combined where a discriminator returns a list of them: their mean or their sum
            (MUNIT and U-GAT-IT).
        augment: differentiable augmentations of reals and fakes before every discriminator, in both halves: any of
            color, translation, cutout (Zhao et al., NeurIPS 2020). They help where images are few.
    """

    def on_real(self, scores: Tensor) -> Tensor:
        """The mean of (scores - 1)²."""
        return F.mse_loss(scores, torch.ones_like(scores))

    def on_fake(self, scores: Tensor) -> Tensor:
        """The mean of scores²."""
        return F.mse_loss(scores, torch.zeros_like(scores))
