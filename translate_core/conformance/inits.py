"""The promises of initialisations."""

from __future__ import annotations

import random

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from translate_core.components.blocks import Block
from translate_core.conformance.kit import Kit, finite, named, same
from translate_core.conformance.promise import Broken, promise
from translate_core.errors import explain
from translate_core.runtime.randomness import seeded


class InitSubject:
    """An initialisation, applied to a network with the usual layers."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block

    def initialised(self, seed: int = 0) -> nn.Module:
        """The network after the call, as in a run: without gradients, at a derived seed."""
        network = _network()
        with seeded(seed, "init"), torch.no_grad():
            self.block(network=network)
        return network


def _network() -> nn.Module:
    with seeded(0, "network"):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.InstanceNorm2d(8),
            nn.BatchNorm2d(8),
            nn.ConvTranspose2d(8, 4, 3, bias=False),
            nn.PReLU(),
            spectral_norm(nn.Conv2d(4, 4, 3)),
            nn.Flatten(),
            nn.Linear(16, 4),
            nn.Linear(4, 4, bias=False),
            nn.LayerNorm(4),
            nn.BatchNorm1d(4, affine=False),
        )


@promise(
    "accepts a network with the usual layers", "it is called on every new network, whatever its layers", first=True
)
def accepts_networks(subject: InitSubject) -> None:
    """Convolutions, linear layers, norms with and without weights, spectral norm."""
    try:
        subject.initialised()
    except Exception as error:  # whatever a component raises
        raise Broken(f"fails on a network with convolutions, linear layers and norms: {explain(error)}") from None


@promise(
    "changes nothing but values, in place",
    "optimizers, checkpoints and weights from elsewhere identify parameters by name and shape",
)
def keeps_parameters(subject: InitSubject) -> None:
    """The same parameters with the same shapes, finite, and trainable as before."""
    network = _network()
    before = {name: (id(item), tuple(item.shape), item.requires_grad) for name, item in network.named_parameters()}
    with seeded(0, "init"), torch.no_grad():
        subject.block(network=network)
    after = {name: (id(item), tuple(item.shape), item.requires_grad) for name, item in network.named_parameters()}
    changed = [name for name in before if after.get(name) != before[name]] + sorted(after.keys() - before.keys())
    if changed:
        raise Broken(f"{named(changed)} is replaced, has another shape, or another requires_grad")
    if not finite(dict(network.state_dict())):
        raise Broken("leaves values that are not finite")


@promise(
    "draws the same from the same seed",
    "`training.seed` decides every draw, and only the generators of torch and numpy are seeded",
)
def is_decided_by_the_seed(subject: InitSubject) -> None:
    """Twice, with different states of Python's own generator."""
    random.seed(1)
    one = subject.initialised().state_dict()
    random.seed(2)
    other = subject.initialised().state_dict()
    different = [name for name in one if not same(one[name], other[name])]
    if different:
        raise Broken(f"{named(different)} differs between two initialisations at the same seed")


PROMISES = (accepts_networks, keeps_parameters, is_decided_by_the_seed)
