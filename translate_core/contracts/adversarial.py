"""Adversarial pairs: what a discriminator distinguishes, and under which conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Which = Literal["real", "fake"]


@dataclass(frozen=True)
class AdversarialPair:
    """The real and the fake tensor that a discriminator distinguishes, each with its conditions.

    real, fake: names of tensors. real_with, fake_with: names of the tensors that the discriminator takes after the
    image, such as a time or a label, in the order of its `conditions`.
    """

    real: str
    fake: str
    real_with: tuple[str, ...] = ()
    fake_with: tuple[str, ...] = ()

    def names(self, which: Which) -> tuple[str, ...]:
        """The names of the image and of its conditions."""
        return (self.real, *self.real_with) if which == "real" else (self.fake, *self.fake_with)


def adversarial_pair(pair: tuple[str, str] | AdversarialPair) -> AdversarialPair:
    """The pair; two names are a pair without conditions."""
    return pair if isinstance(pair, AdversarialPair) else AdversarialPair(*pair)
