"""The promises of datasets."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from functools import cached_property

from PIL import Image

from translate_core.components.blocks import Block
from translate_core.conformance.items import check_item
from translate_core.conformance.kit import Kit, ambient, same
from translate_core.conformance.promise import Broken, NotTested, built, promise
from translate_core.contracts.dataset import Dataset, Item, TrainSplit
from translate_core.errors import UserError
from translate_core.runtime.randomness import numpy_generator


class DatasetSubject:
    """A dataset, opened on first use."""

    def __init__(self, kit: Kit, block: Block) -> None:
        self.block = block
        self._stack = ExitStack()

    def build(self) -> Dataset:
        """A new dataset, not opened."""
        dataset: Dataset = self.block()
        return dataset

    @cached_property
    def opened(self) -> Dataset:
        """The opened dataset. Raises NotTested if its images cannot be read."""
        dataset = self.build()
        try:
            dataset.open()
        except UserError as error:
            name = self.block.registration.name
            raise NotTested(
                f"it cannot be opened here; set the place of its images with --set dataset.{name}.OPTION=VALUE\n{error}"
            ) from None
        return self._stack.enter_context(closing(dataset))

    def close(self) -> None:
        """Closes the opened dataset."""
        self._stack.close()

    @property
    def places(self) -> list[int]:
        """The indices of the first two draws, a middle one and the last."""
        count = len(self.opened.train)
        return sorted({0, 1 % count, count // 2, count - 1})

    def items(self) -> Iterator[tuple[str, Item, tuple[int, int] | None]]:
        """Some draws, and the first and the last test item of each domain: each described, with its declared size."""
        for place in self.places:
            yield f"draw({place}, rng)", _draw(self.opened.train, place), self.opened.size
        for domain, split in self.opened.test.items():
            for place in {0, len(split) - 1} if len(split) else ():
                yield f"test['{domain}'][{place}]", split[place], None


def _draw(split: TrainSplit, index: int) -> Item:
    return split.draw(index, numpy_generator(0, "image", index))


@promise("builds", "a recipe is validated, and its constructor called, before anything is opened", first=True)
def builds(subject: DatasetSubject) -> None:
    """From its options alone."""
    built(subject.build)


@promise(
    "states its domains and classes in its constructor",
    "networks are chosen for them when a recipe is validated, before its images are opened",
    first=True,
)
def states_domains(subject: DatasetSubject) -> None:
    """Distinct non-empty texts; classes may be empty."""
    dataset = subject.build()
    for name, example in (("domains", ("A", "B")), ("classes", ("sky", "road"))):
        stated = getattr(dataset, name, None)
        if not isinstance(stated, tuple) or not all(isinstance(item, str) and item for item in stated):
            raise Broken(f"`{name}` must be a tuple of texts, such as {example!r}, not {stated!r}")
        if repeated := [item for number, item in enumerate(stated) if item in stated[:number]]:
            raise Broken(f"`{name}` has {repeated[0]!r} twice")
    if not dataset.domains:
        raise Broken("`domains` is empty")


@promise("opens", "a run opens it once, and every loader process uses the opened dataset", first=True)
def opens(subject: DatasetSubject) -> None:
    """If its images are available."""
    _ = subject.opened


@promise(
    "declares its contents",
    "networks are built for `channels`, the shape check runs at `size`, and an epoch is as long as `train`",
    first=True,
)
def declares(subject: DatasetSubject) -> None:
    """`channels`, `kinds`, `size`, `train`, `test`; `domains` and `classes` are those of the constructor."""
    dataset = subject.opened
    _check_stated(subject.build(), dataset)
    channels = getattr(dataset, "channels", None)
    if (
        not isinstance(channels, Mapping)
        or not channels
        or not all(isinstance(item, int) for item in channels.values())
    ):
        raise Broken(f"`channels` must map domains to numbers, such as {{'A': 3, 'B': 3}}, not {channels!r}")
    if without := [domain for domain in dataset.domains if domain not in channels]:
        raise Broken(f"`channels` lacks {without[0]!r}, which is in `domains`")
    if not hasattr(dataset, "size") or not (dataset.size is None or len(dataset.size) == 2):
        raise Broken(f"`size` must be (height, width), or None, not {getattr(dataset, 'size', 'missing')!r}")
    if not hasattr(dataset, "train") or len(dataset.train) < 1:
        raise Broken("`train` has no images")
    if not isinstance(getattr(dataset, "test", None), Mapping):
        raise Broken("`test` must map domains to splits; it may be empty")
    if unknown := [domain for domain in dataset.test if domain not in dataset.domains]:
        raise Broken(f"`test` has {unknown[0]!r}, which is not in `domains`: {', '.join(dataset.domains)}")


def _check_stated(built: Dataset, opened: Dataset) -> None:
    """Raises Broken where what the constructor states changes later, or `kinds` has unknown ones."""
    for name in ("domains", "classes"):
        before, after = getattr(built, name), getattr(opened, name)
        if before != after:
            raise Broken(f"`{name}` is {before} in the constructor, and {after} when it is open")
    if not isinstance(opened.kinds, Mapping) or (wrong := set(opened.kinds.values()) - {"label", "vector", "map"}):
        found = repr(sorted(wrong)[0]) if isinstance(opened.kinds, Mapping) else repr(opened.kinds)
        raise Broken(f"`kinds` must map names to 'label', 'vector' or 'map', not {found}")
    if "map" in opened.kinds.values() and not opened.classes:
        raise Broken("`kinds` has label maps, and `classes` is empty")


@promise(
    "draws images of the declared channels and size",
    "they are stacked to a batch, and networks are built for those channels",
    first=True,
)
def draws_images(subject: DatasetSubject) -> None:
    """`real_<domain>`, uint8 or floating point in [-1, 1]; every draw has the same names."""
    names: set[str] = set()
    for place in subject.places:
        item, what = _draw(subject.opened.train, place), f"draw({place}, rng)"
        check_item(subject.opened, what, item, subject.opened.size, "image")
        names = names or set(item)
        if names != set(item):
            raise Broken(f"{what} has {', '.join(sorted(item))}, and another draw {', '.join(sorted(names))}")


@promise(
    "supplies labels, vectors and label maps of the stated kinds",
    "they are stacked to a batch as they are, and networks are built for the stated domains and classes",
    applies=lambda subject: bool(subject.opened.kinds),
)
def supplies_conditions(subject: DatasetSubject) -> None:
    """In draws and in test items; a vector has one length in all of them."""
    lengths: dict[str, int] = {}
    for what, item, expected in subject.items():
        for kind in ("label", "vector", "map"):
            check_item(subject.opened, what, item, expected, kind)
        for name, value in item.items():
            if subject.opened.kinds.get(name) == "vector" and lengths.setdefault(name, len(value)) != len(value):
                raise Broken(f"{what}['{name}'] has {len(value)} elements, and {lengths[name]} in another item")


@promise(
    "draws by index and generator alone",
    "a resumed run equals an uninterrupted one bit for bit, with any number of loader processes",
)
def draws_are_pure(subject: DatasetSubject) -> None:
    """The same in any order, for different states of the ambient generators."""
    split = subject.opened.train
    with ambient(1):
        first = {place: _draw(split, place) for place in subject.places}
    with ambient(2):
        again = {place: _draw(split, place) for place in reversed(subject.places)}
    different = [str(place) for place in first if not same(first[place], again[place])]
    if different:
        raise Broken(f"draw({different[0]}, rng) differs between two calls with equal generators")


@promise(
    "can be sent to another process",
    "the split is pickled for loader processes that are spawned",
)
def can_be_pickled(subject: DatasetSubject) -> None:
    """A copy draws the same."""
    try:
        copied: TrainSplit = pickle.loads(pickle.dumps(subject.opened.train))
    except Exception as error:  # pickle raises several kinds
        raise Broken(f"`train` cannot be pickled: {type(error).__name__}: {error}") from None
    for place in subject.places:
        if not same(_draw(subject.opened.train, place), _draw(copied, place)):
            raise Broken(f"draw({place}, rng) of a pickled copy differs")


@promise(
    "names test images by their domain",
    "samples and metrics translate `real_<domain>` and compare with `target_<domain>` if it exists",
    applies=lambda subject: bool(subject.opened.test),
)
def shows_test_images(subject: DatasetSubject) -> None:
    """The first and the last of each domain, read twice."""
    for domain, split in subject.opened.test.items():
        if len(split) < 1:
            raise Broken(f"`test['{domain}']` has no images: leave the domain out")
        for place in {0, len(split) - 1}:
            item = split[place]
            if f"real_{domain}" not in item:
                raise Broken(f"test['{domain}'][{place}] has {', '.join(item)}, and no 'real_{domain}'")
            check_item(subject.opened, f"test['{domain}'][{place}]", item, None, "image")
            if not same(item, split[place]):
                raise Broken(f"test['{domain}'][{place}] differs when it is read again")
            if not isinstance(split.name(place), str) or not split.name(place):
                raise Broken(f"test['{domain}'].name({place}) is {split.name(place)!r}, not a non-empty text")


@promise(
    "has a stable fingerprint",
    "a run resumes only with the data that it started with, which the fingerprint identifies",
)
def has_a_fingerprint(subject: DatasetSubject) -> None:
    """The same for a second dataset that is opened and closed."""
    found = subject.opened.fingerprint()
    if not isinstance(found, str) or not found:
        raise Broken(f"fingerprint() returns {found!r}, not a non-empty text")
    with closing(subject.build()) as other:
        other.open()
        if other.fingerprint() != found:
            raise Broken(f"it is {found}, and {other.fingerprint()} when the same images are opened again")


@promise(
    "cuts a file into images of its domains without being open",
    "`translate-apply` cuts the files of a trained run with it, and the training images need not exist",
    applies=lambda subject: type(subject.build()).parts is not Dataset.parts,
)
def cuts_files(subject: DatasetSubject) -> None:
    """A plain image twice as wide as high; a dataset may refuse it with a UserError."""
    with closing(subject.build()) as closed:
        try:
            parts = closed.parts(Image.new("RGB", (128, 64)))
        except UserError:
            return
    if not isinstance(parts, Mapping) or not all(isinstance(part, Image.Image) for part in parts.values()):
        raise Broken(f"parts(image) returns {type(parts).__name__}, not images by domain")
    if unknown := [domain for domain in parts if domain not in subject.opened.channels]:
        raise Broken(f"parts(image) has the domain {unknown[0]!r}; `channels` has {', '.join(subject.opened.channels)}")


PROMISES = (
    builds,
    states_domains,
    opens,
    declares,
    draws_images,
    supplies_conditions,
    draws_are_pure,
    can_be_pickled,
    shows_test_images,
    has_a_fingerprint,
    cuts_files,
)
