"""The loss of U-GAT-IT's auxiliary classifiers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from translate_plugins.losses.pairwise import Pairs, PairwiseLoss, mean_over_members


class CAM(PairwiseLoss):
    """A generator's attention is to tell its source domain from its target domain.

    Kim et al., U-GAT-IT, ICLR 2020, equation 5; the paper's weight is 1000. The generator's auxiliary classifier sees a
    source image when it translates and a target image in the identity pass: binary cross-entropy of its logits, to 1 of
    the translation, to 0 of the identity pass. Equation 6, the discriminators' part, is an adversarial loss on what
    they return beside their maps.

    Args:
        pairs: logits of a translation -> logits of the same generator's identity pass, (N, K) both, or the name of one
            of the method's tables of pairs.
    """

    def __init__(self, *, pairs: Pairs = "cam") -> None:
        super().__init__(pairs)

    def compare(self, output: Any, target: Any) -> Tensor:
        """The mean of -log(sigmoid(output)) plus the mean of -log(1 - sigmoid(target))."""
        return mean_over_members(_cross_entropy, output, target)


def _cross_entropy(translated: Tensor, identity: Tensor) -> Tensor:
    source = F.binary_cross_entropy_with_logits(translated, torch.ones_like(translated))
    return source + F.binary_cross_entropy_with_logits(identity, torch.zeros_like(identity))
