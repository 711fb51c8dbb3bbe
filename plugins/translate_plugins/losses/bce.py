"""The original adversarial loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from translate_plugins.losses.adversarial import AdversarialLoss


class BCE(AdversarialLoss):
    """The original adversarial loss: binary cross-entropy on logits, generators in the non-saturating form.

    Goodfellow et al., Generative Adversarial Nets, NeurIPS 2014, equation 1 and section 3. It needs a discriminator
    with `output: logits`.
    """

    def on_real(self, scores: Tensor) -> Tensor:
        """The mean of -log(sigmoid(scores))."""
        return F.binary_cross_entropy_with_logits(scores, torch.ones_like(scores))

    def on_fake(self, scores: Tensor) -> Tensor:
        """The mean of -log(1 - sigmoid(scores))."""
        return F.binary_cross_entropy_with_logits(scores, torch.zeros_like(scores))
