"""The least-squares adversarial loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from translate_plugins.losses.adversarial import AdversarialLoss


class LSGAN(AdversarialLoss):
    """Least-squares adversarial loss: mean squared error, with target 1 for real and 0 for fake.

    Mao et al., Least Squares Generative Adversarial Networks, ICCV 2017, equation 9; Zhu et al. 2017, section 4.
    """

    def on_real(self, scores: Tensor) -> Tensor:
        """The mean of (scores - 1)²."""
        return F.mse_loss(scores, torch.ones_like(scores))

    def on_fake(self, scores: Tensor) -> Tensor:
        """The mean of scores²."""
        return F.mse_loss(scores, torch.zeros_like(scores))
