"""What initialisations promise."""

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
    """An initialisation, and a network with the usual layers."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block

    def initialised(self, seed: int = 0) -> nn.Module:
        """The network after it, as a run does it: without gradients, at a derived seed."""
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
    "takes a network with the usual layers", "it is called on every new network, whatever that is built of", first=True
)
def takes_networks(subject: InitSubject) -> None:
    """Convolutions, linear layers, norms with and without weights, spectral norm."""
    try:
        subject.initialised()
    except Exception as error:  # whatever a component raises
        raise Broken(f"fails on such a network: {explain(error)}") from None


@promise(
    "changes values in place, and nothing else",
    "optimizers, checkpoints and weights of others know parameters by name and shape",
)
def keeps_parameters(subject: InitSubject) -> None:
    """The same parameters, of the same shapes, finite and trainable as before."""
    network = _network()
    before = {name: (id(item), tuple(item.shape), item.requires_grad) for name, item in network.named_parameters()}
    with seeded(0, "init"), torch.no_grad():
        subject.block(network=network)
    after = {name: (id(item), tuple(item.shape), item.requires_grad) for name, item in network.named_parameters()}
    changed = [name for name in before if after.get(name) != before[name]] + sorted(after.keys() - before.keys())
    if changed:
        raise Broken(
            f"{named(changed)} is another parameter after it, of another shape, or no longer trained as before"
        )
    if not finite(dict(network.state_dict())):
        raise Broken("it leaves values that are not finite")


@promise(
    "draws the same from the same seed",
    "`training.seed` decides every draw; only torch's and numpy's generators are set to it",
)
def is_decided_by_the_seed(subject: InitSubject) -> None:
    """Twice, while Python's own generator goes on."""
    random.seed(1)
    one = subject.initialised().state_dict()
    random.seed(2)
    other = subject.initialised().state_dict()
    different = [name for name in one if not same(one[name], other[name])]
    if different:
        raise Broken(f"{named(different)} differs between two that were initialised from one seed")


PROMISES = (takes_networks, keeps_parameters, is_decided_by_the_seed)
