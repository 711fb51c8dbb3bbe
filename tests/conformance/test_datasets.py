"""Every promise of datasets: a component that breaks it is reported."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conformance.broken import REGISTRY, BrokenComponents, Case, beside_the_built_ins
from translate_core import (
    Dataset,
    TestSplit,
    TrainSplit,
)
from translate_core.conformance.check import check_component
from translate_core.conformance.kit import Kit
from translate_core.conformance.promise import Status

BROKEN = BrokenComponents("dataset")


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


@BROKEN.breaks("dataset", "builds", "cannot be built: ZeroDivisionError: division by zero")
class DataThatDoesNotBuild(GoodData):
    def __init__(self) -> None:
        1 / 0  # noqa: B018


@BROKEN.breaks("dataset", "opens", "failed: KeyError: 'images'")
class DataThatDoesNotOpen(GoodData):
    def open(self) -> None:
        {}["images"]


@BROKEN.breaks("dataset", "declares its contents", "`channels` must map domains to numbers, such as .*, not 3")
class DataWithoutChannels(GoodData):
    def open(self) -> None:
        super().open()
        self.channels = 3  # type: ignore[assignment]


@BROKEN.breaks("dataset", "draws images", r"draw\(0, rng\)\['real_A'\] is 3×8×8, and `size` declares 16×16")
class DataOfAnotherSize(GoodData):
    def open(self) -> None:
        super().open()
        self.size = (16, 16)


@BROKEN.breaks("dataset", "draws images", r"draw\(0, rng\)\['real_A'\] has values outside \[-1, 1\]", "draws by index")
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


@BROKEN.breaks(
    "dataset",
    "draws by index",
    r"draw\(0, rng\) differs between two calls with equal generators",
    "can be sent",
)
class DataWithDice(GoodData):
    def open(self) -> None:
        super().open()
        self.train = AmbientSplit()


@BROKEN.breaks("dataset", "can be sent", "`train` cannot be pickled: ")
class DataWithALambda(GoodData):
    def open(self) -> None:
        super().open()
        self.train.change = lambda image: image  # type: ignore[attr-defined]


@BROKEN.breaks("dataset", "names test images", r"test\['B'\]\[0\] has real_A, and no 'real_B'")
class DataOfAnotherDomain(GoodData):
    def open(self) -> None:
        super().open()
        self.test = {"B": Tests()}


@BROKEN.breaks("dataset", "has a stable fingerprint", r"it is 0\.\d+, and 0\.\d+ when the same images are opened again")
class DataWithAChangingFingerprint(GoodData):
    def open(self) -> None:
        super().open()
        self.print = str(random.SystemRandom().random())

    def fingerprint(self) -> str:
        return self.print


@BROKEN.breaks("dataset", "cuts a file", r"parts\(image\) has the domain 'C'; `channels` has A, B")
class DataWithAnUnknownPart(GoodData):
    def parts(self, image: Image.Image) -> Any:
        return {"A": image, "C": image}


@BROKEN.breaks("dataset", "cuts a file", r"failed: AttributeError: .* has no attribute 'channels'")
class DataThatMustBeOpenToCut(GoodData):
    def parts(self, image: Image.Image) -> Any:
        return dict.fromkeys(self.channels, image)


@pytest.mark.parametrize("case", BROKEN.cases, ids=lambda case: case.component.__name__)
def test_a_broken_promise_is_reported(case: Case) -> None:
    case.check()


def test_every_promise_is_broken_by_a_component() -> None:
    BROKEN.check_complete()


def test_the_base_of_the_broken_components_keeps_every_promise() -> None:
    results = check_component(*beside_the_built_ins("dataset", GoodData))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results


def test_a_dataset_without_its_images_is_not_tested() -> None:
    kit, registration = (
        Kit(REGISTRY, {("dataset", "unpaired_folders"): {"root": "nowhere"}}),
        REGISTRY.get("dataset", "unpaired_folders"),
    )
    outcome = check_component(kit, registration).outcomes[1]
    assert outcome.status is Status.NOT_TESTED
    assert outcome.detail.startswith(
        "it cannot be opened here; set the place of its images with --set dataset.unpaired_folders.OPTION=VALUE\n"
    )
