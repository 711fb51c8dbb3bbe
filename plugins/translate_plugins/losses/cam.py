"""The loss of U-GAT-IT's auxiliary classifiers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from translate_plugins.losses.pairwise import Pairs, PairwiseLoss, mean_over_members


class CAM(PairwiseLoss):
    """The loss of U-GAT-IT's auxiliary classifier, which separates a generator's source from its target domain.

    Kim et al., U-GAT-IT, ICLR 2020, equation 5; the paper's weight is 1000. The input of the generator's auxiliary
    classifier is a source image in a translation and a target image in the identity pass: binary cross-entropy of its
    logits, with target 1 for the translation and 0 for the identity pass. Equation 6, the part of the discriminators,
    is an adversarial loss on the classifier logits that they return beside their maps.

    Args:
        pairs: logits of a translation -> logits of the same generator's identity pass, (N, K) both, or the name of one
            of the method's `pairs`.
    """

    def __init__(self, *, pairs: Pairs = "cam") -> None:
        super().__init__(pairs)

    def compare(self, output: Any, target: Any) -> Tensor:
        """The mean of -log(sigmoid(output)) plus the mean of -log(1 - sigmoid(target))."""
        return mean_over_members(_cross_entropy, output, target)


def _cross_entropy(translated: Tensor, identity: Tensor) -> Tensor:
    source = F.binary_cross_entropy_with_logits(translated, torch.ones_like(translated))
    return source + F.binary_cross_entropy_with_logits(identity, torch.zeros_like(identity))
