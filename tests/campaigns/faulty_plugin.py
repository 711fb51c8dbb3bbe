"""A plugin with every kind of component, one place of which fails from its n-th call on.

`plugin_faults.py` copies it with other values of `PLACE`, `NTH` and `REACHED`, and another body of `_fault`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from translate_core import Observer, Schedule, hookimpl, network, tensor
from translate_plugins.datasets.synthetic import Synthetic
from translate_plugins.discriminators.patchgan import PatchGAN
from translate_plugins.generators.resnet import ResNet
from translate_plugins.heads.mlp import MLP
from translate_plugins.losses.lsgan import LSGAN
from translate_plugins.losses.reconstruction import Cycle
from translate_plugins.methods.cyclegan import CycleGAN
from translate_plugins.metrics.psnr import PSNR
from translate_plugins.metrics.swd import SWD
from translate_plugins.pools.history import History

PLACE, NTH, REACHED = "", 1, Path("reached")
calls = 0


class Hostile:
    """Fails at whatever is done with it."""

    def _fails(self, *args, **kwargs):
        raise RuntimeError("oh")

    __len__ = __iter__ = __call__ = __str__ = __repr__ = __bool__ = __float__ = __int__ = __eq__ = __getitem__ = _fails
    __hash__ = __add__ = __mul__ = __radd__ = __rmul__ = __lt__ = __gt__ = __contains__ = __getattr__ = _fails


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class DemandingError(Exception):
    def __init__(self, one, two):
        super().__init__("oh")


class Quits(SystemExit):
    def __repr__(self):
        raise RuntimeError("no text")


def _fault(value):
    return value


def here(place, value=None):
    """The value, or the fault, where the place is the one that fails."""
    global calls
    if place == PLACE:
        calls += 1
        if calls >= NTH:
            REACHED.touch()
            return _fault(value)
    return value


def watched(kind, *names):
    """Class decorator: the results of these methods pass through `here`."""

    def wrap(cls):
        for name in names:
            setattr(cls, name, passing(f"{kind}.{name}", getattr(cls, name)))
        return cls

    return wrap


def passing(place, original):
    def method(self, *args, **kwargs):
        return here(place, original(self, *args, **kwargs))

    return method


def replaced(item, kind, *names):
    """Attributes of an object pass through `here`."""
    for name in names:
        setattr(item, name, here(f"{kind}.{name}", getattr(item, name)))


@watched("generator", "forward", "state_dict", "load_state_dict", "train", "parameters", "features")
class Generator(ResNet):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, blocks=2, width=4)
        here("generator.__init__")
        replaced(self, "generator", "taps")


@watched("discriminator", "forward", "state_dict", "load_state_dict")
class Discriminator(PatchGAN):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, layers=1, width=4)
        here("discriminator.__init__")


@watched("head", "forward", "state_dict")
class Head(MLP):
    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__(channels, width=8)
        here("head.__init__")


@watched("network", "forward", "state_dict", "load_state_dict")
class Tone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        here("network.__init__")
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, images):
        return images + self.shift


@watched("method", "on", "after_update", "tensor_names")
class Toned(CycleGAN):
    roles = (*CycleGAN.roles, network("T"))

    def __init__(self) -> None:
        here("method.__init__")
        replaced(self, "method", "roles", "order", "given", "pairs", "adversarial_pairs", "directions")

    @tensor
    def rec_A(self):
        return here("method.rec_A", self.T(self.G_BA(self.fake_B)))


@watched("loss", "generator_loss", "prepare", "state_dict", "load_state_dict", "parts")
class Again(Cycle):
    def __init__(self, *, distance: str = "l1") -> None:
        super().__init__()
        here("loss.__init__")


@watched("adversarial", "generator_loss", "discriminator_loss", "prepare")
class Adversarial(LSGAN):
    pass


@watched("pool", "query_with", "get_extra_state", "set_extra_state")
class Past(History):
    def __init__(self) -> None:
        super().__init__(size=3)
        here("pool.__init__")


@watched("metric", "update", "compute")
class Score(PSNR):
    def __init__(self) -> None:
        super().__init__()
        here("metric.__init__")
        replaced(self, "metric", "protocol", "higher_is_better")


@watched("sets", "distance")
class Sets(SWD):
    def __init__(self) -> None:
        super().__init__(descriptors=4)
        here("sets.__init__")
        replaced(self, "sets", "protocol", "higher_is_better", "embedding")
        embedding = self.embedding
        self.embedding = lambda images: here("sets.embedded", embedding(images))


@watched(
    "observer",
    "on_start",
    "on_step",
    "on_losses",
    "on_samples",
    "on_evaluation",
    "on_checkpoint",
    "on_stop",
    "state_dict",
    "load_state_dict",
)
class Watch(Observer):
    def __init__(self) -> None:
        here("observer.__init__")
        replaced(self, "observer", "stop_reason")

    def state_dict(self):
        return {"seen": 1}


@watched("schedule", "factor", "after_epoch", "state_dict", "load_state_dict")
class Wave(Schedule):
    def __init__(self, length: int, epoch: int) -> None:
        here("schedule.__init__")

    def factor(self, step):
        return 1.0

    def after_epoch(self, loss, parts):
        return None

    def state_dict(self):
        return {"seen": 1}


@watched("optimizer", "step", "zero_grad", "state_dict", "load_state_dict")
class Slow(torch.optim.SGD):
    pass


def slow(params, *, lr: float = 0.001) -> torch.optim.Optimizer:
    return here("optimizer.factory", Slow(params, lr=lr))


class Train:
    def __init__(self, split):
        self.split = split
        self.shuffled = here("train.shuffled", True)

    def __len__(self):
        return here("train.__len__", len(self.split))

    def in_epoch(self, epoch):
        return here("train.in_epoch", self)

    def draw(self, index, rng):
        item = here("train.draw", self.split.draw(index, rng))
        if isinstance(item, dict) and "real_A" in item:
            item["real_A"] = here("train.real_A", item["real_A"])
        return item


class Test:
    def __init__(self, split):
        self.split = split

    def __len__(self):
        return here("test.__len__", len(self.split))

    def __getitem__(self, index):
        item = here("test.__getitem__", self.split[index])
        if isinstance(item, dict) and "real_A" in item:
            item["real_A"] = here("test.real_A", item["real_A"])
        return item

    def name(self, index):
        return here("test.name", self.split.name(index))


@watched("dataset", "open", "fingerprint", "close")
class Images(Synthetic):
    def __init__(self) -> None:
        super().__init__(size=16, train=4, test=2)
        here("dataset.__init__")
        replaced(self, "dataset", "domains", "classes", "kinds")

    def open(self):
        super().open()
        self.train = Train(self.train)
        self.test = {domain: Test(split) for domain, split in self.test.items()}
        replaced(self, "dataset", "channels", "size", "train", "test", "folders")


def start(network) -> None:
    here("init.start")


here("plugin.import")


@hookimpl
def register(registry):
    here("plugin.register")
    registry.generator("mine", here("plugin.generator", Generator))
    registry.loss("mine", here("plugin.loss", Again))
    registry.optimizer("mine", here("plugin.optimizer", slow))
    registry.observer(here("plugin.name", "mine"), Watch)
    registry.discriminator("mine", Discriminator)
    registry.head("mine", Head)
    registry.network("mine", Tone)
    registry.method("mine", Toned)
    registry.loss("mine_adversarial", Adversarial)
    registry.pool("mine", Past)
    registry.metric("mine", Score)
    registry.metric("mine_sets", Sets)
    registry.schedule("mine", Wave)
    registry.dataset("mine", Images)
    registry.init("mine", start)
