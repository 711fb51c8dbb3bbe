"""Every promise of datasets: a component that breaks it is reported."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conformance.broken import REGISTRY, BrokenComponents, Case, beside_the_built_ins
from tests.plugins.made_images import folders, noise
from translate_core import Dataset, TestSplit, TrainSplit
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


class GoodConditions(GoodData):
    """A label, a vector and a label map beside the images."""

    classes = ("sky", "road")

    def __init__(self) -> None:
        self.domains = ("A", "B", "C")

    def open(self) -> None:
        super().open()
        self.channels = {"A": 1, "B": 3, "C": 3}
        self.kinds = {"label": "label", "pose": "vector", "real_A": "map"}
        self.train = Conditions()
        self.test = {"A": ConditionTests()}


class Conditions(TrainSplit):
    item: Any = {
        "real_A": torch.ones(1, 8, 8, dtype=torch.uint8),
        "real_B": torch.zeros(3, 8, 8),
        "label": torch.tensor(2),
        "pose": torch.tensor([100.0, -7.0]),
    }

    def __len__(self) -> int:
        return 4

    def draw(self, index: int, rng: np.random.Generator) -> Any:
        return self.item


class ConditionTests(Tests):
    def __getitem__(self, index: int) -> Any:
        return {"real_A": torch.ones(1, 9, 9, dtype=torch.int64), "label": torch.tensor(0)}


def with_item(name: str, changed: dict[str, Any]) -> type[GoodConditions]:
    """A dataset whose draws differ in these tensors."""

    class Changed(GoodConditions):
        def open(self) -> None:
            super().open()
            self.train = Conditions()
            self.train.item = {**Conditions.item, **changed}  # type: ignore[attr-defined]

    Changed.__name__ = name
    return Changed


CONDITIONS = "supplies labels, vectors and label maps"
WRONG_CONDITIONS: dict[str, tuple[dict[str, Any], str]] = {
    "a label of one dimension": (
        {"label": torch.tensor([1])},
        r"draw\(0, rng\)\['label'\] is 1 of torch.int64, not a label: int64 without dimensions",
    ),
    "a label of 32 bits": ({"label": torch.tensor(1, dtype=torch.int32)}, "is a scalar of torch.int32, not a label"),
    "a number as label": ({"label": 1}, "is int, not a label"),
    "a label beyond the domains": ({"label": torch.tensor(3)}, r"\['label'\] is 3; there are 3 domains, 2 classes"),
    "a negative label": ({"label": torch.tensor(-1)}, "is -1; there are 3 domains, 2 classes"),
    "a vector of integers": ({"pose": torch.tensor([1])}, r"is 1 of torch.int64, not a vector: floating point \(K,\)"),
    "a vector of two dimensions": ({"pose": torch.zeros(1, 2)}, "is 1×2 of torch.float32, not a vector"),
    "a vector that is not finite": ({"pose": torch.tensor([0.0, float("nan")])}, "has values that are not finite"),
    "a map of floats": ({"real_A": torch.zeros(1, 8, 8)}, "is 1×8×8 of torch.float32, not a label map: uint8 or int64"),
    "a map without channel": (
        {"real_A": torch.zeros(8, 8, dtype=torch.uint8)},
        "is 8×8 of torch.uint8, not a label map",
    ),
    "a map of three channels": (
        {"real_A": torch.zeros(3, 8, 8, dtype=torch.uint8)},
        "is 3×8×8; a label map has 1 channel",
    ),
    "a map of another size": (
        {"real_A": torch.zeros(1, 4, 8, dtype=torch.uint8)},
        "is 1×4×8, and `size` declares 8×8",
    ),
    "a map beyond the classes": (
        {"real_A": torch.full((1, 8, 8), 255, dtype=torch.uint8)},
        r"\['real_A'\] has the values 255 … 255; `classes` lists 2",
    ),
}
for what, (broken, finding) in WRONG_CONDITIONS.items():
    BROKEN.breaks("dataset", CONDITIONS, finding)(with_item(what, broken))


@BROKEN.breaks("dataset", CONDITIONS, r"draw\(1, rng\)\['pose'\] has 3 elements, and 2 in another item")
class DataWithVectorsOfTwoLengths(GoodConditions):
    class Train(Conditions):
        def draw(self, index: int, rng: np.random.Generator) -> Any:
            return {**self.item, "pose": torch.zeros(2 + index % 2)}

    def open(self) -> None:
        super().open()
        self.train = self.Train()


@BROKEN.breaks("dataset", CONDITIONS, r"test\['A'\]\[0\]\['real_A'\] has the values 2 … 2; `classes` lists 2")
class DataWhoseTestMapsAreWrong(GoodConditions):
    class Wrong(Tests):
        def __getitem__(self, index: int) -> Any:
            return {"real_A": torch.full((1, 9, 9), 2)}

    def open(self) -> None:
        super().open()
        self.test = {"A": self.Wrong()}


@BROKEN.breaks(
    "dataset", "draws images", r"\['label'\] is a scalar of torch.int64, not an image \(C, H, W\); `kinds` states what"
)
class DataWithALabelThatIsNotStated(GoodConditions):
    def open(self) -> None:
        super().open()
        self.kinds = {"pose": "vector", "real_A": "map"}
        self.test = {}


@BROKEN.breaks("dataset", "draws images", r"draw\(0, rng\)\['real'\] has 2 channels, and `channels` declares 1 or 3")
class DataWithChannelsOfNoDomain(GoodConditions):
    def open(self) -> None:
        super().open()
        self.train = Conditions()
        self.train.item = {"real": torch.zeros(2, 8, 8)}  # type: ignore[attr-defined]


@BROKEN.breaks("dataset", "draws images", r"draw\(1, rng\) has real_A, and another draw real_A, real_B")
class DataOfTwoKindsOfItems(GoodData):
    class Train(Split):
        def draw(self, index: int, rng: np.random.Generator) -> Any:
            item = super().draw(index, rng)
            return item if index % 2 == 0 else {"real_A": item["real_A"]}

    def open(self) -> None:
        super().open()
        self.train = self.Train()


@BROKEN.breaks("dataset", "states its domains", r"`domains` must be a tuple of texts, such as \('A', 'B'\), not 'AB'")
class DataWhoseDomainsAreAText(GoodData):
    def __init__(self) -> None:
        self.domains = "AB"  # type: ignore[assignment]


@BROKEN.breaks("dataset", "states its domains", "`classes` has 'sky' twice")
class DataWithAClassTwice(GoodData):
    classes = ("sky", "road", "sky")


@BROKEN.breaks("dataset", "states its domains", "`domains` is empty")
class DataWithoutDomains(GoodData):
    domains = ()


@BROKEN.breaks(
    "dataset",
    "declares its contents",
    r"`domains` is \('A', 'B'\) in the constructor, and \('A', 'B', 'C'\) when it is open",
)
class DataThatFindsItsDomains(GoodData):
    def open(self) -> None:
        super().open()
        self.domains = ("A", "B", "C")


@BROKEN.breaks("dataset", "declares its contents", "`channels` lacks 'C', which is in `domains`")
class DataWithoutChannelsOfADomain(GoodData):
    domains = ("A", "B", "C")


@BROKEN.breaks("dataset", "declares its contents", "`kinds` must map names to 'label', 'vector' or 'map', not 'image'")
class DataOfAnUnknownKind(GoodData):
    kinds = {"real_A": "image"}


@BROKEN.breaks("dataset", "declares its contents", "`kinds` has label maps, and `classes` is empty")
class DataWithMapsOfNoClasses(GoodData):
    kinds = {"real_A": "map"}


@BROKEN.breaks("dataset", "declares its contents", "`test` has 'C', which is not in `domains`: A, B")
class DataWithTestImagesOfNoDomain(GoodData):
    def open(self) -> None:
        super().open()
        self.test = {"C": Tests()}


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


@pytest.mark.parametrize("base", [GoodData, GoodConditions])
def test_the_bases_of_the_broken_components_keep_every_promise(base: type[GoodData]) -> None:
    results = check_component(*beside_the_built_ins("dataset", base))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results


@pytest.fixture(scope="module")
def label_maps(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Images of A that are label maps, and their counterparts."""
    root = tmp_path_factory.mktemp("maps")
    numbers = np.random.default_rng(0).integers(0, 3, (24, 24), dtype=np.uint8)
    maps, images = ({f"{i}.png": image for i in range(2)} for image in (Image.fromarray(numbers), noise(0, 24, 24)))
    return str(folders(root, trainA=maps, trainB=images, testA=maps, testB=images))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("synthetic", {"size": 16, "train": 4, "test": 2, "domains": ["horse", "zebra", "pony"]}),
        ("paired_folders", {"maps": ["A"], "classes": ["sky", "road", "tree"]}),
        ("unpaired_folders", {"maps": ["A"], "classes": ["sky", "road", "tree"]}),
    ],
)
def test_built_in_datasets_with_labels_and_maps_keep_every_promise(
    name: str, options: dict[str, Any], label_maps: str
) -> None:
    given = options if name == "synthetic" else {**options, "root": label_maps}
    results = check_component(Kit(REGISTRY, {("dataset", name): given}), REGISTRY.get("dataset", name))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results
    assert any(outcome.promise.text.startswith(CONDITIONS) for outcome in results.outcomes)


def test_a_dataset_without_its_images_is_not_tested() -> None:
    kit, registration = (
        Kit(REGISTRY, {("dataset", "unpaired_folders"): {"root": "nowhere"}}),
        REGISTRY.get("dataset", "unpaired_folders"),
    )
    outcome = check_component(kit, registration).outcomes[2]
    assert outcome.status is Status.NOT_TESTED
    assert outcome.detail.startswith(
        "it cannot be opened here; set the place of its images with --set dataset.unpaired_folders.OPTION=VALUE\n"
    )
