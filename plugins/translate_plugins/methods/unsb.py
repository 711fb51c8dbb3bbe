"""UNSB: Kim, Kwon, Kim and Ye, Unpaired Image-to-Image Translation via Neural Schrödinger Bridge, ICLR 2024,
arXiv 2305.15086."""

from __future__ import annotations

from itertools import accumulate

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from translate_core import (
    DISCRIMINATORS,
    GENERATORS,
    AdversarialPair,
    Direction,
    Given,
    Method,
    Option,
    UserError,
    discriminator,
    generator,
    head,
    tensor,
    tensors,
)
from translate_plugins.patches import check_taps, drawn_places


class UNSB(Method):
    """UNSB: a Schrödinger bridge from one domain to the other, in a few steps of one generator; unpaired images.

    A chain begins at an image x_0. The generator predicts its end x_1 from x_s; the next x lies between the two, with
    noise. A step of training draws a time t, simulates chains up to it without gradients, and trains the generator
    there: `noisy_A` is x_t, `fake_B` is x_1; `noisy_A2` and `fake_B2` are those of another input. A translation is the
    x_1 after `steps` evaluations of the generator.

    The discriminator D is updated first, then the energy network E, by which the entropy of pairs (x_t, x_1) is
    estimated, then the generator with the heads H. D and E also take the index of the time. Patches of translation and
    input are compared as in CUT, those of `z_fake_B` with `z_real_A` and `z_idt_B` with `z_real_B`. A and B need images
    of the same number of channels. The generator has an attribute `latent_channels`, the length of its latent vectors.

    Args:
        times: number of times, and the largest number of evaluations in a translation.
        tau: τ, the variance of the noise; also the weight of the entropy.
        taps: the taps of the generator whose features are compared, as in CUT.
        patches: number of patches per image at each tap, as in CUT.
    """

    roles = (
        generator("G", "A", "B", methods=("features",), conditions=("time", "latent")),
        discriminator("D", "B", conditions=("time",)),
        discriminator("E", "A", "B", "A", "B", side="energy", conditions=("time",)),
        head("H", "G", ()),
    )
    order = (DISCRIMINATORS, "energy", GENERATORS)
    given = ("real_A", "real_B", Given("real_A2", of="real_A", draw=1))
    pairs = {"nce": {"z_fake_B": "z_real_A", "z_idt_B": "z_real_B"}}
    adversarial_pairs = {"D": AdversarialPair("real_B", "fake_B", real_with=("time",), fake_with=("time",))}

    def __init__(
        self,
        *,
        times: PositiveInt = 5,
        tau: NonNegativeFloat = 0.01,
        taps: tuple[str, ...] = ("image", "down1", "down2", "block1", "block5"),
        patches: PositiveInt = 256,
    ) -> None:
        check_taps(taps, "the generator")
        self.roles = (*type(self).roles[:3], head("H", "G", taps))
        steps = Option("steps", times, low=1, high=times, help="evaluations of the generator")
        self.directions = {"A-B": Direction("A", "B", output="sample_B", always=("first_B",), options=(steps,))}
        self.times = _times(times)
        self.tau = tau
        self.taps = taps
        self.patches = patches

    # Training, section 4: all images of a batch have the same time.

    @tensor
    def time(self) -> Tensor:
        """The index of the time t, for each image."""
        return self._each(self._index(), self.real_A)

    @tensors("noisy_A", "fake_B")
    def bridge_A(self) -> list[Tensor]:
        """x_t and x_1 ~ q(x_1 | x_t) of an input."""
        return self._bridge("real_A")

    @tensors("noisy_A2", "fake_B2")
    def bridge_A2(self) -> list[Tensor]:
        """x_t and x_1 of another input."""
        return self._bridge("real_A2")

    @tensors("noisy_B", "idt_B")
    def bridge_B(self) -> list[Tensor]:
        """x_t and x_1 of a target image, which should be left unchanged."""
        return self._bridge("real_B")

    @tensor
    def bridges(self) -> list[Tensor]:
        """x_t and x_1 of all chains that the losses need, computed in one batch."""
        return self._simulated(self._chains())

    def _index(self) -> int:
        return self.integer(len(self.times) - 1, "time")

    def _chains(self) -> list[str]:
        ends = {"real_A": "fake_B", "real_A2": "fake_B2", "real_B": "idt_B"}
        return [start for start, end in ends.items() if end in self.needed]

    def _bridge(self, start: str) -> list[Tensor]:
        chains = self._chains()
        return self.bridges[chains.index(start) :: len(chains)] if start in chains else self._simulated([start])

    def _simulated(self, chains: list[str]) -> list[Tensor]:
        """x_t of each chain, without gradients, then x_1 of each."""
        if self.real_A.shape[1] != self.real_B.shape[1]:
            raise UserError("the bridge mixes images of A and B, which must have the same number of channels")
        x = self._chain(torch.cat([self[start] for start in chains]), self._index(), chains)
        ends = self._end(x, self._index(), chains)
        return [*x.chunk(len(chains)), *ends.chunk(len(chains))]

    def _chain(self, x: Tensor, steps: int, chains: list[str]) -> Tensor:
        """x_t, that number of steps from x_0: x_s+1 ~ p(x_s+1 | x_1, x_s) = N(a x_1 + (1 - a) x_s, d (1 - a) τ), with
        d = t_s+1 - t_s and a = d / (1 - t_s)."""
        with self.inference(self.G):
            for s in range(steps):
                distance = self.times[s + 1] - self.times[s]
                a = distance / (1 - self.times[s])
                shape = (len(x) // len(chains), *x.shape[1:])
                noise = torch.cat([self.normal(shape, x, "noise", chain, s + 1) for chain in chains])
                x = (1 - a) * x + a * self._end(x, s, chains) + (distance * (1 - a) * self.tau) ** 0.5 * noise
        return x

    def _end(self, x: Tensor, s: int, chains: list[str]) -> Tensor:
        """x_1 ~ q(x_1 | x_s): the output of the generator."""
        parts = zip(x.chunk(len(chains)), chains, strict=True)
        latent = torch.cat([self._latent(part, chain, s) for part, chain in parts])
        return self.G(x, self._each(s, x), latent)

    def _latent(self, images: Tensor, *names: str | int) -> Tensor:
        return self.normal((len(images), self.G.latent_channels), images, "latent", *names)

    def _each(self, s: int, images: Tensor) -> Tensor:
        return torch.full((len(images),), s, device=images.device)

    # Patches, as in CUT: features at time 0.

    @tensor
    def z_fake_B(self) -> list[Tensor]:
        """The queries of the translation: for each tap (N, places, width)."""
        return self.H(self._features(self.fake_B, "A"), self.places_A)

    @tensor
    def z_idt_B(self) -> list[Tensor]:
        """The queries of the translated target image."""
        return self.H(self._features(self.idt_B, "B"), self.places_B)

    @tensors("z_real_A", "places_A")
    def keys_A(self) -> tuple[list[Tensor], list[Tensor]]:
        """The keys of the input, without gradient; and their places, at each tap."""
        return self._keys(self.real_A, "A")

    @tensors("z_real_B", "places_B")
    def keys_B(self) -> tuple[list[Tensor], list[Tensor]]:
        """The keys of the target image; and their places."""
        return self._keys(self.real_B, "B")

    def _features(self, images: Tensor, pair: str) -> list[Tensor]:
        """Features at the taps. The queries and keys of a pair have one latent vector."""
        latent = self._latent(images, "patches", pair)
        return list(self.G.features(images, self.taps, self._each(0, images), latent))

    @torch.no_grad()
    def _keys(self, images: Tensor, pair: str) -> tuple[list[Tensor], list[Tensor]]:
        features = self._features(images, pair)
        places = drawn_places(self, features, self.taps, self.patches, pair)
        return self.H(features, places), places

    @tensor
    def sample_B(self) -> Tensor:
        """x_1 after `steps` evaluations of the generator."""
        last = int(self.option("steps")) - 1
        return self._end(self._chain(self.real_A, last, ["sample"]), last, ["sample"])

    @tensor
    def first_B(self) -> Tensor:
        """x_1 after one evaluation."""
        return self._end(self.real_A, 0, ["sample"])


def _times(count: int) -> tuple[float, ...]:
    """The times of `count` steps and the last, 1: 0, then from 1/2 to 1 at distances as 1, 1/2, 1/3 …"""
    sums = list(accumulate((1 / i for i in range(1, count)), initial=0.0))
    return (0.0, *(0.5 + 0.5 * value / sums[-1] for value in sums)) if count > 1 else (0.0, 1.0)
