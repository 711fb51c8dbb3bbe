"""The data on which methods are checked: domains and classes as a dataset states them, and tensors of each kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from translate_core.components.blocks import Block
from translate_core.components.registry import NETWORK_KINDS
from translate_core.conformance.kit import image
from translate_core.conformance.promise import Broken, NotTested
from translate_core.contracts.adversarial import adversarial_pair
from translate_core.contracts.dataset import Dataset
from translate_core.contracts.given import Given, given_of
from translate_core.contracts.method import Method
from translate_core.contracts.tables import table_faults
from translate_core.errors import UserError, explain
from translate_core.runtime.randomness import torch_generator

CHANNELS = 3
"""Channels of every domain of images in the checks."""

_VECTOR = 8
"""Length of vectors."""

_CLASSES = ("first", "second", "third")


class StatedData(Dataset):
    """A dataset that states domains and classes and has no images."""

    def __init__(self, domains: tuple[str, ...], classes: tuple[str, ...] = ()) -> None:
        self.domains = domains
        self.classes = classes

    def __str__(self) -> str:
        classes = f" and {len(self.classes)} classes" if self.classes else ""
        return f"the domains {', '.join(self.domains)}{classes}"

    def open(self) -> None:
        """Does nothing."""

    def fingerprint(self) -> str:
        """A constant."""
        return "stated"


class MethodOnData(Protocol):
    """A method, and examples of what the data give to it."""

    @property
    def method(self) -> Method:
        """The method, after `on`."""

    @property
    def channels(self) -> Mapping[str, int]:
        """Domain -> channels."""

    def given(self, item: Given, side: int, seed: int, count: int = 2) -> Tensor:
        """An example of a given tensor, for `count` images of that height and width."""


@dataclass(frozen=True)
class StatedMethod:
    """A method on data that have no images."""

    method: Method
    data: StatedData

    @property
    def channels(self) -> dict[str, int]:
        """Domain -> channels: 1 where the method takes label maps of it, else the same for every domain."""
        named = {domain for role in self.method.roles for domain in (*role.inputs, *role.outputs)}
        named |= {domain for item in self.method.directions.values() for domain in (item.source, item.target)}
        named |= {choice.domain for item in self.method.directions.values() for choice in item.choices}
        maps = {item.domain for item in given_of(self.method.given) if item.kind == "map"}
        return {domain: 1 if domain in maps else CHANNELS for domain in (*self.data.domains, *sorted(named))}

    def given(self, item: Given, side: int, seed: int, count: int = 2) -> Tensor:
        """An example of a given tensor, for `count` images of that height and width."""
        if item.kind == "image":
            return image(self.channels.get(item.domain, CHANNELS), side, side, seed=seed, count=count)
        if item.kind == "label":
            return (torch.arange(count) + seed) % min(len(stated) for stated in self._numbered())
        generator = torch_generator(seed, "given", item.name)
        if item.kind == "vector":
            return torch.randn(count, _VECTOR, generator=generator)
        classes = max(len(self.data.classes), 1)
        return torch.randint(classes, (count, 1, side, side), generator=generator, dtype=torch.uint8)

    def _numbered(self) -> Iterator[tuple[str, ...]]:
        """What a label may number: domains, and classes where there are any."""
        yield self.data.domains
        if self.data.classes:
            yield self.data.classes


def on_data(block: Block) -> StatedMethod:
    """A method on the first data that it accepts: two domains or three, without classes or with them.

    Raises NotTested if it refuses all of them, Broken if it fails or its tables are wrong then.
    """
    refused: list[str] = []
    for data in data_for(block()):
        try:
            return on(block, data)
        except UserError as error:
            refused.append(f"with {data}: {error}")
    raise NotTested(
        f"method {block.registration.name} accepts none of the data on which it would be checked:\n"
        + "\n".join(refused)
        + "\nCheck it with --recipe, on data of your own"
    )


def on(block: Block, data: StatedData) -> StatedMethod:
    """A new method on these data. Raises UserError if it refuses them, Broken if it fails or its tables are wrong."""
    method: Method = block()
    _call_on(method, data)
    if any(item.kind == "map" for item in given_of(method.given)) and not data.classes:
        raise UserError("it takes label maps, which need classes")
    return StatedMethod(method, data)


def data_for(method: Method) -> Iterator[StatedData]:
    """The data that are tried, in their order."""
    roles = getattr(method, "roles", ())
    named = dict.fromkeys(domain for role in roles for domain in (*role.inputs, *role.outputs))
    own = tuple(named) if type(method).on is Method.on and len(named) > 1 else ()
    for domains in (own or ("A", "B"), ("A", "B", "C")):
        for classes in ((), _CLASSES[: len(domains)]):
            yield StatedData(domains, classes)


def _call_on(method: Method, data: StatedData) -> None:
    try:
        method.on(data)
    except UserError:
        raise
    except Exception as error:  # whatever a component raises
        raise Broken(f"on(data) fails for {data}: {explain(error)}") from None
    faults = table_faults(method, NETWORK_KINDS)
    if faults:
        raise Broken(f"with {data} {faults[0]}")


def tables_of(method: Method) -> Mapping[str, object]:
    """What `on` may set, by attribute."""
    names = ("roles", "given", "order", "pairs", "adversarial_pairs", "directions")
    return {name: getattr(method, name) for name in names}


def names_in_tables(method: Method) -> tuple[str, ...]:
    """The tensors that the tables of a method name: those that users see."""
    pairs = [adversarial_pair(pair) for pair in method.adversarial_pairs.values()]
    names = [name for each in method.pairs.values() for pair in each.items() for name in pair]
    names += [name for pair in pairs for name in (*pair.names("real"), *pair.names("fake"))]
    names += [name for item in method.directions.values() for name in (item.output, *item.show, *item.always)]
    return tuple(dict.fromkeys(names))
