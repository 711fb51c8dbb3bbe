"""`translate-plugins check`: what is ours keeps every promise, and what breaks one is told so in the right words."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.reduced import SMALL, make_images
from translate_core import (
    GENERATORS,
    Choice,
    Dataset,
    Direction,
    Loss,
    Method,
    Metric,
    Observer,
    Pool,
    Schedule,
    TestSplit,
    TrainSplit,
    discriminator,
    generator,
    tensor,
)
from translate_core.commands.plugins import main
from translate_core.components.plugins import load_plugins
from translate_core.components.registry import KINDS, Owner, Registration
from translate_core.conformance.check import TRIALS, check_component, check_documentation
from translate_core.conformance.documentation import PROMISES as DOCUMENTATION
from translate_core.conformance.kit import Kit
from translate_core.conformance.promise import Status

REGISTRY = load_plugins().registry
BUILT_IN = [REGISTRY.get(kind, name) for kind in KINDS for name in REGISTRY.names(kind)]


# Ours

NEEDED: dict[tuple[str, str], dict[str, Any]] = {
    ("optimizer", "sgd"): {"lr": 0.01},
    ("schedule", "step"): {"every": "2 steps"},
    ("schedule", "warmup"): {"over": "2 steps"},
    ("dataset", "synthetic"): {"size": 16, "train": 4, "test": 2},
    ("generator", "johnson"): {"width": 4},
    ("generator", "resnet_adalin"): {"width": 4},
}
"""Options that a component needs, or that make it small, beside those in tests/reduced.py."""


def settings(folder: Path) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    made: dict[tuple[str, str], dict[str, Any]] = {
        **{key: dict(value) for key, value in SMALL.items() if REGISTRY.find(*key)},
        **{key: dict(value) for key, value in NEEDED.items() if REGISTRY.find(*key)},
    }
    for name in ("unpaired_folders", "paired_folders", "paired_side_by_side"):
        make_images(name, folder / name)
        made["dataset", name] = {"root": str(folder / name), "transform": {"crop": 32}}
    if REGISTRY.find("loss", "perceptual"):
        from torchvision.models import vgg

        torch.manual_seed(0)
        drawn = vgg.make_layers(vgg.cfgs["D"]).state_dict()
        torch.save({f"features.{key}": value for key, value in drawn.items()}, folder / "vgg16.pth")
        made["loss", "perceptual"] = {"weights": str(folder / "vgg16.pth")}
    return made


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit(REGISTRY, settings(tmp_path_factory.mktemp("images")))


def test_the_enumeration_is_whole() -> None:
    assert set(TRIALS) == set(KINDS)
    assert len(BUILT_IN) >= 55
    assert all(len(promises) >= 3 for _, promises in TRIALS.values())


@pytest.mark.parametrize("registration", BUILT_IN, ids=lambda item: f"{item.kind}-{item.name}")
def test_every_built_in_keeps_every_promise(registration: Registration, kit: Kit) -> None:
    trials = [check_component(kit, registration), check_documentation(kit, registration)]
    outcomes = [outcome for trial in trials for outcome in trial.outcomes]
    assert [(outcome.promise.says, outcome.detail) for outcome in outcomes if outcome.status is not Status.KEPT] == []
    assert all(trial.whole for trial in trials)
    assert len(outcomes) >= 4


# Broken ones, one for each promise


@dataclass
class Case:
    """A component that breaks a promise.

    says: the beginning of the promise. told: a pattern of what is said of it. also: beginnings of others that it
    breaks, for there is no other way to break the first.
    """

    kind: str
    says: str
    component: Any
    told: str
    also: tuple[str, ...] = ()


CASES: list[Case] = []


def breaks(kind: str, says: str, told: str, *also: str) -> Any:
    def add(component: Any) -> Any:
        CASES.append(Case(kind, says, component, told, also))
        return component

    return add


class Good(nn.Module):
    """A generator that keeps every promise."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).tanh()


@breaks("generator", "builds", "cannot be built with in_channels 3, out_channels 3: KeyError: 'depth'")
class DoesNotBuild(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        {}["depth"]


@breaks("generator", "takes any number of channels", "with in_channels 1, out_channels 3 it cannot be computed")
class ThreeChannelsOnly(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(3, 3)


@breaks("generator", "takes any number", "with in_channels 3, out_channels 1 it returns 3 channels")
class ThreeChannelsOut(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, 3)


@breaks(
    "generator",
    "serves the methods",
    "in method munit the tensor 'fake_B' cannot be computed with these networks and images",
)
class DecodesBadly(Good):
    style_channels = 2

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :2], x.mean((2, 3))[:, :2]

    def decode(self, content: Tensor, style: Tensor) -> Tensor:
        return self.conv(content + style[..., None, None])


@breaks("generator", "is rehearsed without values", r"reads the value of a tensor, .* \(test_check.py, line \d+\)")
class Reads(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.mean().item() < 9 else x


Reads.forward.__globals__.setdefault("_", None)


@breaks(
    "generator", "returns an image of the size", "an image 2×3×16×16 comes back as 2×3×8×8; where not every size goes"
)
class Halves(Good):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y[..., ::2, ::2] if x.shape[-1] % 16 == 0 else y


@breaks("generator", "translates an image of any size", "an image of 37×51, padded to 37×51, comes back as 1×3×37×50")
class CropsInEvaluation(Good):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if self.training else y[..., 1:]


@breaks("discriminator", "returns scores for each image", "for 2 images it returns scores of 1×64×65")
class Forgets(nn.Module):
    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean(0)


@breaks("discriminator", "returns scores for each image", "returns dict, not a tensor of scores or a list of them")
class NamesScores(Forgets):
    def forward(self, x: Tensor) -> Any:
        return {"scores": self.conv(x)}


@breaks(
    "generator",
    "computes finite numbers",
    "the gradients of conv.weight, conv.bias are not finite",
    "computes under bf16",
)
class RootOfZero(Good):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y + (y * 0).abs().sqrt()


@breaks("generator", "sends a gradient to every parameter", "nothing reaches spare.weight, spare.bias")
class HasASpare(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.spare = nn.Linear(2, 2)


@breaks(
    "generator", "computes under bf16", "cannot be computed with these networks and images: Expected both inputs to be"
)
class Complex(Good):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.complex(y, y.flip(-1)).abs()


@breaks("generator", "computes in float64", "forward.. returns torch.float32 for images of float64")
class AlwaysSingle(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).float()


@breaks("generator", "computes the same in channels-last", "cannot be computed .* view size is not compatible")
class Views(Good):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).view(len(x), -1).tanh().view(x.shape[0], -1, *x.shape[2:])


@breaks("generator", "leaves what it is given", r"forward\(\) overwrites its input")
class InPlace(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mul_(0.5))


@breaks("generator", "starts the same", "scale differ between two that were built from one seed")
class OwnDice(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.scale = nn.Parameter(torch.full((1, 1, 1), random.random()))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


@breaks("generator", "computes the same again", "two passes in training mode differ though torch's ambient generator")
class Trembles(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 + random.random())


@breaks("generator", "computes the same again", "a pass in evaluation mode changes its state_dict")
class Counts(Good):
    count: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return super().forward(x)


@breaks("generator", "comes back from its state_dict", "after load_state_dict it computes something else")
class Hidden(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.scale = torch.rand(1).tolist()[0] if self.conv.weight.device.type != "meta" else 1.0

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


@breaks("generator", "can be copied", "copy.deepcopy fails: RuntimeError: Only Tensors created explicitly by the user")
class KeepsAGraph(Good):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.twice = self.conv.weight * 2


class Tapped(Good):
    taps: Mapping[str, int] = {"image": 3, "deep": 3}

    def features(self, x: Tensor, taps: tuple[str, ...]) -> list[Tensor]:
        maps = {"image": x, "deep": self.conv(x)}
        return [maps[name] for name in taps]


@breaks("generator", "has the taps", "tap 'deep' is declared with 8 channels, and its map is 2×3×37×51")
class WrongChannels(Tapped):
    taps = {"image": 3, "deep": 8}


@breaks("generator", "has the taps", "the map at tap 'deep' depends on which others are asked for")
class OverwritesATap(Tapped):
    taps = {"deep": 3, "deeper": 3}

    def features(self, x: Tensor, taps: tuple[str, ...]) -> list[Tensor]:
        deep = self.conv(x)
        maps = {"deep": deep, "deeper": deep.relu_() if "deeper" in taps else deep}
        return [maps[name] for name in taps]


@breaks("generator", "has the taps", r"it has `taps` and no method `features\(x, taps\)`")
class OnlyDeclares(Good):
    taps = {"image": 3}


@breaks("generator", "lets its after_update", "after it parameters have other shapes, or values that are not finite")
class Explodes(Good):
    def after_update(self) -> None:
        self.conv.weight.div_(0)


# Losses


@breaks("loss", "builds", "cannot be built: needs a file")
class LossThatDoesNotBuild(Loss):
    def __init__(self) -> None:
        super().__init__()
        raise ValueError("needs a file")


@breaks("loss", "is rehearsed", "with method gan it reads the value of a tensor")
class LossThatReads(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        value = tensors["fake_B"].mean()
        return {"fake_B": value if value > 0 else -value}


@breaks("loss", "is rehearsed", "generator_loss returns a tensor of 2 as 'fake_B', not a scalar")
class LossOfVectors(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": tensors["fake_B"].mean((1, 2, 3))}


@breaks("loss", "is rehearsed", "discriminator_loss returns Tensor, not named scalars")
class LossWithoutNames(Loss):
    def discriminator_loss(self, tensors: Any) -> Any:
        return tensors["fake_B"].mean()


@breaks("loss", "computes finite numbers", "generators: fake_B is nan for images drawn at random", "sends a gradient")
class LossOfNothing(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": (tensors["fake_B"] - 9).log().mean()}


@breaks(
    "loss",
    "sends a gradient",
    "the generators get no gradient: what it returns for them depends on nothing that is trained",
)
class LossWithoutGradient(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": tensors["fake_B"].detach().mean()}


@breaks("loss", "sends a gradient", "nothing reaches its own spare.weight, spare.bias; freeze what is not trained")
class LossWithASpare(Loss):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(2, 2)

    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": tensors["fake_B"].mean()}


@breaks("loss", "has its parameters", "computing a term changes its parameters: scale", "goes on")
class LossThatGrows(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        if not hasattr(self, "scale"):
            self.scale = nn.Parameter(torch.ones((), dtype=tensors["fake_B"].dtype, device=tensors["fake_B"].device))
        return {"fake_B": tensors["fake_B"].mean() * self.scale}


@breaks(
    "loss", "draws from the batch alone", "generators: fake_B depends on torch's, numpy's or Python's ambient generator"
)
class LossWithDice(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": (tensors["fake_B"] * torch.rand_like(tensors["fake_B"])).mean()}


@breaks("loss", "computes in float64", "generators: fake_B is torch.float32 for images of float64")
class SingleLoss(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": tensors["fake_B"].float().mean()}


@breaks("loss", "leaves the tensors", "overwrites the tensor 'real_B'")
class LossInPlace(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": (tensors["fake_B"] - tensors["real_B"].mul_(0.5)).mean()}


@breaks("loss", "goes on from its state_dict", "generators: fake_B differs after the state was saved and loaded")
class LossThatCounts(Loss):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def generator_loss(self, tensors: Any) -> Any:
        self.count += 1
        return {"fake_B": tensors["fake_B"].mean() * self.count}


@breaks("loss", "goes on from its state_dict", "its state_dict._extra_state cannot be saved: it is a builtins.set")
class LossWithASet(Loss):
    def generator_loss(self, tensors: Any) -> Any:
        return {"fake_B": tensors["fake_B"].mean()}

    def get_extra_state(self) -> Any:
        return {1, 2}

    def set_extra_state(self, state: Any) -> None: ...


# Data sets


class Split(TrainSplit):
    def __len__(self) -> int:
        return 4

    def draw(self, index: int, rng: np.random.Generator) -> Any:
        shift = int(rng.integers(4))
        return {name: torch.full((3, 8, 8), index + shift, dtype=torch.uint8) for name in ("real_A", "real_B")}


class Tests(TestSplit):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return {"real_A": torch.zeros(3, 8, 8)}

    def name(self, index: int) -> str:
        return f"{index}.png"


class GoodData(Dataset):
    """Made-up images."""

    def open(self) -> None:
        self.channels = {"A": 3, "B": 3}
        self.size = (8, 8)
        self.train = Split()
        self.test = {"A": Tests()}

    def fingerprint(self) -> str:
        return "made up"


@breaks("dataset", "builds", "cannot be built: ZeroDivisionError: division by zero")
class DataThatDoesNotBuild(GoodData):
    def __init__(self) -> None:
        1 / 0  # noqa: B018


@breaks("dataset", "opens", "failed: KeyError: 'images'")
class DataThatDoesNotOpen(GoodData):
    def open(self) -> None:
        {}["images"]


@breaks("dataset", "says what it holds", "`channels` must be numbers by domain, such as .*, not 3")
class DataWithoutChannels(GoodData):
    def open(self) -> None:
        super().open()
        self.channels = 3  # type: ignore[assignment]


@breaks("dataset", "draws images", r"draw\(0, rng\)\['real_A'\] is 3×8×8, and `size` says 16×16")
class DataOfAnotherSize(GoodData):
    def open(self) -> None:
        super().open()
        self.size = (16, 16)


@breaks("dataset", "draws images", r"draw\(0, rng\)\['real_A'\] has values outside \[-1, 1\]", "decides a draw")
class DataOutOfRange(GoodData):
    class Train(Split):
        def draw(self, index: int, rng: np.random.Generator) -> Any:
            return {"real_A": torch.full((3, 8, 8), 255.0)}

    def open(self) -> None:
        super().open()
        self.train = self.Train()


class AmbientSplit(Split):
    def draw(self, index: int, rng: np.random.Generator) -> Any:
        return {"real_A": torch.full((3, 8, 8), int(np.random.randint(200)), dtype=torch.uint8)}


@breaks(
    "dataset",
    "decides a draw",
    r"draw\(0, rng\) differs between two calls with generators at the same place",
    "survives",
)
class DataWithDice(GoodData):
    def open(self) -> None:
        super().open()
        self.train = AmbientSplit()


@breaks("dataset", "survives being sent", "`train` cannot be pickled: ")
class DataWithALambda(GoodData):
    def open(self) -> None:
        super().open()
        self.train.change = lambda image: image  # type: ignore[attr-defined]


@breaks("dataset", "shows test images", r"test\['B'\]\[0\] holds real_A, and no 'real_B'")
class DataOfAnotherDomain(GoodData):
    def open(self) -> None:
        super().open()
        self.test = {"B": Tests()}


@breaks("dataset", "has a fingerprint", r"it is 0\.\d+, and 0\.\d+ when the same images are opened again")
class DataWithAChangingFingerprint(GoodData):
    def open(self) -> None:
        super().open()
        self.print = str(random.SystemRandom().random())

    def fingerprint(self) -> str:
        return self.print


@breaks("dataset", "cuts a file", r"parts\(image\) has the domain 'C'; `channels` has A, B")
class DataWithAnUnknownPart(GoodData):
    def parts(self, image: Image.Image) -> Any:
        return {"A": image, "C": image}


@breaks("dataset", "cuts a file", r"failed: AttributeError: .* has no attribute 'channels'")
class DataThatMustBeOpenToCut(GoodData):
    def parts(self, image: Image.Image) -> Any:
        return dict.fromkeys(self.channels, image)


# Pools


class GoodPool(Pool):
    """Keeps the last images."""

    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return images.clone()


@breaks("pool", "builds", "cannot be built: TypeError: a wrong call")
class PoolThatDoesNotBuild(GoodPool):
    def __init__(self) -> None:
        super().__init__()
        raise TypeError("a wrong call")


@breaks("pool", "returns as many images", "for 2×3×8×8, torch.float32, it returns 1×3×8×8, torch.float32")
class PoolOfOne(GoodPool):
    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return images[:1]


@breaks(
    "pool",
    "draws from the generator",
    "its answers depend on torch's, numpy's or Python's ambient generator",
    "goes on",
)
class PoolWithDice(GoodPool):
    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return images if random.random() < 0.5 else images.flip(-1)


@breaks("pool", "leaves the images", "overwrites the images that it is given")
class PoolInPlace(GoodPool):
    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return images.clamp_(-0.5, 0.5)


@breaks("pool", "goes on from its state", "it answers otherwise after its state was saved and loaded")
class PoolWithoutState(GoodPool):
    def __init__(self) -> None:
        super().__init__()
        self.before: Tensor | None = None

    def query(self, images: Tensor, rng: torch.Generator) -> Tensor:
        before, self.before = self.before, images.clone()
        return images if before is None else before


# Metrics


class GoodMetric(Metric):
    """Mean difference."""

    higher_is_better = False
    protocol = "mean absolute difference"

    def __init__(self) -> None:
        self.values: list[float] = []

    def update(self, output: Tensor, reference: Tensor) -> None:
        self.values.append(float((output - reference).abs().mean()))

    def compute(self) -> float:
        return sum(self.values) / len(self.values)


@breaks("metric", "builds", "cannot be built: no table")
class MetricThatDoesNotBuild(GoodMetric):
    def __init__(self) -> None:
        raise ValueError("no table")


@breaks("metric", "says which way is up", "`protocol` must say in one line what is computed")
class MetricWithoutProtocol(GoodMetric):
    protocol = ""


@breaks("metric", "gives a number", r"compute\(\) returns tensor\(.*\), not a finite number")
class MetricOfTensors(GoodMetric):
    def compute(self) -> Any:
        return torch.tensor(self.values).mean()


@breaks("metric", "gives the same number again", r"two evaluations of the same images give \S+ and \S+$")
class MetricWithDice(GoodMetric):
    def compute(self) -> float:
        return super().compute() + random.random()


@breaks("metric", "leaves images as they are", "overwrites the images that it is given")
class MetricInPlace(GoodMetric):
    def update(self, output: Tensor, reference: Tensor) -> None:
        super().update(output.clamp_(0, 1), reference)


# Optimizers


@breaks("optimizer", "makes a torch optimizer", "leaves out 2.bias")
def forgetful(params: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(params[:-1], lr=0.1)


@breaks(
    "optimizer",
    "updates every parameter",
    "a step leaves 0.weight, 0.bias, 1.weight, 2.weight, 2.bias as it was",
)
def standing(params: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=0.0)


class Stubborn(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.data -= 0.1 * parameter.grad


@breaks("optimizer", "learns at the rate", "parameters change at a rate of 0")
def stubborn(params: list[nn.Parameter]) -> torch.optim.Optimizer:
    return Stubborn(params, lr=0.1)


class Demanding(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data -= group["lr"] * parameter.grad


@breaks("optimizer", "passes over parameters", "failed: TypeError: unsupported operand")
def demanding(params: list[nn.Parameter]) -> torch.optim.Optimizer:
    return Demanding(params, lr=0.1)


class Warming(torch.optim.SGD):
    steps = 0

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.steps += 1
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.data -= group["lr"] * self.steps * parameter.grad


@breaks("optimizer", "goes on from its state_dict", "it steps otherwise after its state was saved and loaded")
def warming(params: list[nn.Parameter]) -> torch.optim.Optimizer:
    return Warming(params, lr=0.1)


# Schedules


class GoodSchedule(Schedule):
    """Stays."""

    def __init__(self, length: int, epoch: int) -> None:
        self.length = length

    def factor(self, step: int) -> float:
        return 1.0


@breaks("schedule", "builds", "cannot be built: ZeroDivisionError: ")
class ScheduleOfLongRuns(GoodSchedule):
    def __init__(self, length: int, epoch: int) -> None:
        super().__init__(length, epoch)
        self.slope = 1 / (length - 1)


@breaks("schedule", "gives a finite factor", r"factor\(6\) of a run of 10 steps is -0\.2")
class ScheduleBelowZero(GoodSchedule):
    def factor(self, step: int) -> float:
        return round(1 - 2 * step / 10, 3) if self.length == 10 else 1.0


@breaks(
    "schedule",
    "decides by the step",
    "what it returns for a step depends on which steps it was asked for before",
    "goes on",
)
class ScheduleThatCounts(GoodSchedule):
    count = 0

    def factor(self, step: int) -> float:
        self.count += 1
        return 1 / self.count


@breaks("schedule", "goes on from its state_dict", "its factors differ after its state was saved and loaded")
class ScheduleThatForgets(GoodSchedule):
    scale = 1.0

    def factor(self, step: int) -> float:
        return self.scale

    def after_epoch(self, loss: float) -> None:
        self.scale /= 2


# Initialisations


@breaks(
    "init", "takes a network", "fails on such a network: AttributeError: 'Sequential' object has no attribute 'weight'"
)
def one_layer(network: nn.Module) -> None:
    nn.init.normal_(network.weight)  # type: ignore[arg-type]


@breaks("init", "changes values in place", "0.weight, 5.parametrizations.weight.original is another parameter after it")
def replacing(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            name = "weight" if "weight" in module._parameters else None
            if name is not None:
                module.weight = nn.Parameter(torch.zeros_like(module.weight))
            else:
                module.parametrizations.weight.original = nn.Parameter(torch.zeros_like(module.weight))


@breaks(
    "init",
    "draws the same",
    "0.weight, 3.weight, 7.weight, 8.weight differs between two that were initialised from one seed",
)
def own_dice(network: nn.Module) -> None:
    for module in network.modules():
        if type(module) in (nn.Conv2d, nn.ConvTranspose2d, nn.Linear):
            nn.init.constant_(module.weight, random.random())


# Observers


@breaks("observer", "builds", "cannot be built: FileNotFoundError: ")
class ObserverThatDoesNotBuild(Observer):
    def __init__(self) -> None:
        Path("/nowhere/at/all").read_text()


@breaks("observer", "hears a whole run", "failed: KeyError: 'cycle'")
class ObserverOfOneLoss(Observer):
    def on_losses(self, step: int, losses: Any, rates: Any) -> None:
        losses["cycle"]


@breaks("observer", "hears a run that stops", "failed: FileExistsError: ")
class ObserverOfOneSession(Observer):
    def on_start(self, run: Any) -> None:
        (run.folder / "mine").mkdir()


@breaks("observer", "changes nothing", "changes the losses that it is shown")
class ObserverThatTakesAway(Observer):
    def on_losses(self, step: int, losses: Any, rates: Any) -> None:
        losses.popitem()


# Methods


class GoodMethod(Method):
    """A generator alone."""

    roles = (generator("G", "A", "B"),)
    order = (GENERATORS,)
    directions = {"A-B": Direction("A", "B")}

    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.real_A)


@breaks("method", "builds", "cannot be built: ZeroDivisionError")
class MethodThatDoesNotBuild(GoodMethod):
    def __init__(self) -> None:
        1 / 0  # noqa: B018


@breaks("method", "computes every tensor", "tensor 'bright' reads the value of a tensor")
class MethodThatReads(GoodMethod):
    @tensor
    def bright(self) -> Tensor:
        return self.fake_B if self.fake_B.mean() > 0 else self.real_A


@breaks("method", "gives its discriminators", "D cannot judge 'pair': RuntimeError: ")
class MethodThatJudgesPairs(GoodMethod):
    roles = (generator("G", "A", "B"), discriminator("D", "B"))
    order = (GENERATORS, "discriminators")
    adversarial_pairs = {"D": ("real_B", "pair")}

    @tensor
    def pair(self) -> Tensor:
        return torch.cat((self.real_A, self.fake_B), dim=1)


@breaks("method", "uses every network", "no tensor comes of E, which judges nothing either")
class MethodWithASpare(GoodMethod):
    roles = (generator("G", "A", "B"), generator("E", "B", "A"))


@breaks(
    "method",
    "translates in every direction",
    "direction A-B: 'fake_B' cannot be computed: tensor 'real_B' was not given",
)
class MethodThatNeedsBoth(GoodMethod):
    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.real_A) + self.real_B.mean()


@breaks(
    "method",
    "translates in every direction",
    "direction A-B: 'fake_B' is 1×3×32×32, not an image of the size of its input",
)
class MethodThatHalves(GoodMethod):
    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.real_A)[..., ::2, ::2]


class Styled(GoodMethod):
    directions = {"A-B": Direction("A", "B", choices=(Choice("style", "style_B", "B", "style_real_B"),))}

    @tensor
    def style_B(self) -> Tensor:
        return self.normal((len(self.real_A), 8), self.real_A, "style")

    @tensor
    def style_real_B(self) -> Tensor:
        return self.real_B.mean((2, 3))

    @tensor
    def fake_B(self) -> Tensor:
        return self.G(self.real_A) + self.style_B.mean()


@breaks("method", "takes what it lets a user choose", "'style_B' is 1×8 where it is drawn, and 'style_real_B' 1×3")
class MethodOfTwoStyles(Styled):
    pass


@breaks("method", "draws from the batch alone", "the tensor 'noise' is drawn by torch.rand_like without a generator")
class MethodWithDice(GoodMethod):
    @tensor
    def noise(self) -> Tensor:
        return torch.rand_like(self.real_A)


@breaks("method", "lets its after_update", "failed: AttributeError: ")
class MethodThatTrips(GoodMethod):
    def after_update(self, side: str, networks: Any) -> None:
        networks["G"].nothing()


def tried(kind: str, component: Any) -> tuple[Kit, Registration]:
    """The component as `tried` beside our own; a loss beside two methods alone, for it is tried with every one."""
    registry = copy.copy(REGISTRY)
    registry._by_kind = {key: dict(items) for key, items in REGISTRY._by_kind.items()}
    if kind == "loss":
        registry._by_kind["method"] = {name: registry.get("method", name) for name in ("gan", "cyclegan")}
    registry.add(kind, "tried", component, Owner("mine", ""), default=False)
    made = {key: dict(value) for key, value in SMALL.items() if registry.find(*key)}
    return Kit(registry, made), registry.get(kind, "tried")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{getattr(case.component, '__name__', '')}")
def test_a_broken_component_is_told(case: Case) -> None:
    trial = check_component(*tried(case.kind, case.component))
    broken = [outcome for outcome in trial.outcomes if outcome.status is Status.BROKEN]
    told = [outcome.detail for outcome in broken if outcome.promise.says.startswith(case.says)]
    assert len(told) == 1, [(outcome.promise.says, outcome.detail) for outcome in broken]
    assert re.search(case.told, told[0]), told[0]
    others = [outcome.promise.says for outcome in broken if not outcome.promise.says.startswith(case.says)]
    assert all(says.startswith(case.also) for says in others), others


def test_every_promise_is_broken_once() -> None:
    kinds = {promises: [kind for kind in TRIALS if TRIALS[kind][1] is promises] for _, promises in TRIALS.values()}
    assert sum(len(names) for names in kinds.values()) == len(KINDS)
    hard = [(names, promise) for promises, names in kinds.items() for promise in promises if not promise.advice]
    assert len(hard) >= 60
    for names, promise in hard:
        assert promise.why
        cases = [case for case in CASES if case.kind in names and promise.says.startswith(case.says)]
        assert cases, f"no component breaks the promise that a {names[0]} {promise.says}"


@pytest.mark.parametrize(
    ("kind", "component"),
    [
        ("generator", Good), ("generator", Tapped), ("dataset", GoodData), ("pool", GoodPool), ("metric", GoodMetric),
        ("schedule", GoodSchedule), ("method", GoodMethod), ("observer", Observer),
    ],
)  # fmt: skip
def test_what_the_broken_ones_are_made_of_is_whole(kind: str, component: Any) -> None:
    trial = check_component(*tried(kind, component))
    assert {outcome.status for outcome in trial.outcomes} == {Status.KEPT}, trial


# What cannot be tried


def test_a_loss_that_suits_no_method_is_not_tried() -> None:
    class OfATensor(Loss):
        def generator_loss(self, tensors: Any) -> Any:
            return {"depth": tensors["depth"].mean()}

    trial = check_component(*tried("loss", OfATensor))
    assert [outcome.status for outcome in trial.outcomes] == [Status.KEPT, Status.NOT_TRIED]
    assert not trial.whole
    assert "it suits no registered method with these options:\n" in trial.outcomes[1].detail
    assert "gan: the method has no tensor 'depth'" in trial.outcomes[1].detail


def test_a_method_that_needs_a_network_that_nobody_has_is_not_tried() -> None:
    class Speaks(GoodMethod):
        roles = (generator("G", "A", "B", methods=("speak",)),)

    trial = check_component(*tried("method", Speaks))
    assert [outcome.status for outcome in trial.outcomes] == [Status.KEPT, Status.NOT_TRIED]
    wanted = "method tried needs a generator with a method 'speak', and none that is registered is one"
    assert trial.outcomes[1].detail == wanted


def test_an_option_that_is_needed_is_named() -> None:
    def needy(params: list[nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(params, lr=rate)

    trial = check_component(*tried("optimizer", needy))
    assert [(outcome.status, outcome.detail) for outcome in trial.outcomes] == [
        (
            Status.NOT_TRIED,
            "it needs rate and decay: add --set optimizer.tried.rate=VALUE --set optimizer.tried.decay=VALUE",
        )
    ]


def test_a_dataset_without_its_images_is_not_tried() -> None:
    kit, registration = (
        Kit(REGISTRY, {("dataset", "unpaired_folders"): {"root": "nowhere"}}),
        REGISTRY.get("dataset", "unpaired_folders"),
    )
    outcome = check_component(kit, registration).outcomes[1]
    assert outcome.status is Status.NOT_TRIED
    assert outcome.detail.startswith(
        "it cannot be opened here; say where images are with --set dataset.unpaired_folders.OPTION=VALUE\n"
    )


# Advice


class AlwaysDrops(Good):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x), 0.5)


def test_chance_in_evaluation_mode_is_mentioned() -> None:
    trial = check_component(*tried("generator", AlwaysDrops))
    assert [(outcome.status, outcome.detail) for outcome in trial.outcomes if outcome.status is not Status.KEPT] == [
        (Status.NOT_TRIED, "it leaves something to chance in evaluation mode, which would depend on the order"),
        (Status.ADVICE, "two passes over one image in evaluation mode differ"),
    ]


class Wordless(Loss):
    def __init__(self, size: int = 1, depth: int = 2) -> None:
        super().__init__()


class Stale(Loss):
    """A loss.

    Args:
        size: of it.
        width: gone.
    """

    def __init__(self, size: int = 1) -> None:
        super().__init__()


@pytest.mark.parametrize(
    ("component", "told"),
    [
        (Wordless, ["it has no docstring", "the section `Args:` has nothing on size, depth"]),
        (Stale, ["the section `Args:` describes width, and there is no such option"]),
    ],
)
def test_documentation_is_advised(component: type[Loss], told: list[str]) -> None:
    trial = check_documentation(*tried("loss", component))
    assert [outcome.detail for outcome in trial.outcomes if outcome.status is Status.ADVICE] == told
    assert all(promise.advice and promise.why for promise in DOCUMENTATION)


# The command

PLUGIN = '''
from torch import nn
from translate_core import hookimpl


class Small(nn.Module):
    """A convolution.

    Args:
        width: nothing depends on it.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x):
        return self.conv(x)


class Smaller(Small):
    """Smaller by a half."""

    def __init__(self, in_channels: int, out_channels: int, width: int = 3) -> None:
        super().__init__(in_channels, out_channels, width)

    def forward(self, x):
        return self.conv(x)[..., ::2, ::2]


@hookimpl(contract=1)
def register(registry):
    registry.generator("small", Small)
'''


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["check", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_file_that_keeps_its_promises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    file = str(tmp_path / "mine.py")
    status, out, err = said(capsys, file, "--set", "generator.small.width=4")
    assert (status, err) == (0, "")
    assert out.startswith(f"{file}: 1 component, contract version 1\n\ngenerator small\n  ✓ builds\n")
    assert out.endswith("  ✓ says what each option means\n\n✓ promises: 18 kept\n")


def test_what_is_broken_is_told_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN + '    registry.generator("smaller", Smaller)\n')
    status, out, _ = said(capsys, str(tmp_path / "mine.py"))
    assert status == 2
    assert (
        "\ngenerator small\n  – builds\n      not tested: it needs width: add --set "
        "generator.small.width=VALUE\n  – the promises that depend on it were not tested\n"
    ) in out
    assert (
        "\n  ✗ returns an image of the size of its input\n"
        "      an image 2×3×16×16 comes back as 2×3×8×8; where not every size goes, the attributes `multiple` and\n"
        "      `smallest` say which do\n"
        "      It matters because losses compare what goes in with what comes out pixel by pixel, at each size that\n"
        "      `multiple` and `smallest` allow.\n"
    ) in out
    assert out.endswith("\n✗ promises: 18 kept, 2 broken, 1 not tested\n")


def test_an_installed_package_by_its_name_or_module(capsys: pytest.CaptureFixture[str]) -> None:
    from translate_core.conformance.target import registered_by

    for target in ("translate", "Translate", "translate_plugins", "translate_plugins.builtin"):
        _, found = registered_by(target)
        assert len(found) == len(BUILT_IN)


def test_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "module_to_check.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    status, out, _ = said(capsys, "module_to_check")
    assert status == 0
    assert out.startswith("module_to_check: 1 component")
    assert out.endswith("\n✓ promises: 2 kept, 1 not tested\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no_such_package"], "there is no module 'no_such_package' to import; install the package that holds it"),
        (["nothing.py"], "there is no file nothing.py"),
        (["{mine}", "--set", "genrator.small.width=1"], "there is no kind 'genrator', did you mean 'generator'?"),
        (["{mine}", "--set", "generator.smal.width=1"], "there is no generator 'smal', did you mean 'small'?"),
        (["{mine}", "--set", "generator.small=1"], "it must be KIND.NAME.OPTION=VALUE, and names no option"),
        (["{mine}", "--set", "generator.small.widht=1"], "small has no option 'widht', did you mean 'width'?"),
        (["{mine}", "--set", "generator.small.width=wide"], "must be a whole number, not 'wide'"),
        (["{mine}", "--set", "generator.small.width"], "'generator.small.width' must be KEY=VALUE"),
        (["{empty}"], "registers no component: call `registry.<kind>(name, component)` in its hook"),
        (["{broken}"], "cannot be imported: ZeroDivisionError: division by zero (broken.py, line 1)"),
    ],
)
def test_what_the_user_did_wrong(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "empty.py").write_text("from translate_core import hookimpl\n@hookimpl\ndef register(registry): pass\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    places = {name: str(tmp_path / f"{name}.py") for name in ("mine", "empty", "broken")}
    status, out, err = said(capsys, *(argument.format(**places) for argument in arguments))
    assert (status, out) == (2, "")
    assert err.startswith("translate-plugins: ")
    assert told in err
