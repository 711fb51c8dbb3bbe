"""The losses of the Schrödinger bridge of UNSB."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from translate_core import Loss, Method, Tensors, UserError, loss_of

_TENSORS = ("noisy_A", "fake_B", "noisy_A2", "fake_B2", "time")


class SchrodingerBridge(Loss):
    """The loss of UNSB's bridge: a transport cost minus an entropy, which an energy network estimates.

    Kim et al., Unpaired Image-to-Image Translation via Neural Schrödinger Bridge, ICLR 2024, section 4, as in the
    authors' code. With the energy network E, a pair p = (x_t, x_1) and the pair p' of another input, both at time i of
    T, and l = logsumexp E(p, p') over all positions and images:

    - the generators minimise τ · mean (x_t - x_1)² (part `transport`) and (T - i) / T · τ · (l - mean E(p, p)) (part
      `entropy`); the weight in the recipe multiplies both.
    - the side "energy" minimises l + l² - mean E(p, p), which the weight does not multiply.

    The paper has |x_t - x_1|² - 2 τ (1 - t) H with the entropy H: in the code the transport cost is a mean with the
    factor τ, the entropy lacks the 2, and (T - i) / T stands for 1 - t.
    """

    def prepare(self, method: Method) -> None:
        """Raises UserError for a method without a bridge."""
        if not {*_TENSORS} <= {*method.tensor_names()}:
            raise UserError(f"needs a method with the tensors {', '.join(_TENSORS)}, such as unsb")

    def generator_loss(self, tensors: Tensors) -> Mapping[str, Tensor]:
        """The transport cost and the negative entropy, scalars."""
        start, end = tensors["noisy_A"], tensors["fake_B"]
        same, other = _energies(tensors, grad=True)
        remaining = 1 - tensors["time"][0].to(same.dtype) / (len(tensors.times) - 1)
        return {
            "transport": tensors.tau * (start - end).square().mean(),
            "entropy": tensors.tau * remaining * (other - same),
        }

    @loss_of("energy", weighted=False)
    def energy_loss(self, tensors: Tensors) -> Mapping[str, Tensor]:
        """l + l² - mean E(p, p), a scalar."""
        same, other = _energies(tensors, grad=False)
        return {"E": other + other.square() - same}


def _energies(tensors: Tensors, *, grad: bool) -> tuple[Tensor, Tensor]:
    """The mean of E(p, p), and the logsumexp of E(p, p') over all positions and images; computed in one pass.

    grad: whether gradients flow into the pairs.
    """
    pair, other_pair = (
        torch.cat((tensors[start], tensors[end]), 1) for start, end in (("noisy_A", "fake_B"), ("noisy_A2", "fake_B2"))
    )
    inputs = torch.cat((torch.cat((pair, pair), 1), torch.cat((pair, other_pair), 1)))
    energies = tensors.network("E")(inputs if grad else inputs.detach(), tensors["time"].repeat(2))
    same, other = energies.chunk(2)
    return same.mean(), other.flatten().logsumexp(0)
