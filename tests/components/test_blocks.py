"""Blocks validated outside a recipe."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import PositiveInt

from translate_core import Factory, Loss, NoPool, Pool
from translate_core.components.blocks import BlockReader, faults_of_options, resolve_block
from translate_core.components.plugins import load_plugins
from translate_core.components.registry import Owner, Registry
from translate_core.errors import Fault, FaultsError


@dataclass(frozen=True)
class Patch:
    """A patch.

    Args:
        size: its height and width.
        stride: its stride.
    """

    size: PositiveInt
    stride: PositiveInt = 1


class Patches(Loss):
    """A loss with required options at two levels."""

    def __init__(self, *, scale: float, patch: Patch, pool: Factory[Pool] = NoPool) -> None:
        super().__init__()


@pytest.fixture(scope="module")
def registry() -> Registry:
    built_in = load_plugins().registry
    registry = copy.copy(built_in)
    registry._by_kind = {kind: dict(items) for kind, items in built_in._by_kind.items()}
    registry.add("loss", "patches", Patches, Owner("mine", ""), default=False)
    return registry


def partial_faults(registry: Registry, **options: Any) -> list[Fault]:
    return faults_of_options(registry, registry.get("loss", "patches"), options)


def test_a_block_has_its_options_and_its_record(registry: Registry) -> None:
    block = resolve_block(registry, "loss", {"type": "patches", "scale": 2, "patch": {"size": 8}})
    assert block.options["patch"] == Patch(8, 1)
    assert block.record == {
        "type": "patches",
        "scale": 2.0,
        "patch": {"size": 8, "stride": 1},
        "pool": {"type": "none"},
    }
    assert isinstance(block(), Patches)


def test_every_missing_option_is_a_fault(registry: Registry) -> None:
    with pytest.raises(FaultsError) as caught:
        resolve_block(registry, "loss", {"type": "patches", "patch": {"stride": 2}})
    assert caught.value.faults == (
        Fault("loss.scale", "is missing: patches needs it (a number)"),
        Fault("loss.patch.size", "is missing: patch needs it (a whole number greater than 0)"),
    )


def test_partial_options_may_miss_required_ones_at_every_level(registry: Registry) -> None:
    assert partial_faults(registry) == []
    assert partial_faults(registry, patch={"stride": 2}) == []
    assert partial_faults(registry, pool={"type": "history"}) == []


def test_partial_options_have_all_other_faults(registry: Registry) -> None:
    faults = partial_faults(registry, scal=1, patch={"stride": 0}, pool={"type": "history", "size": "big"})
    assert faults == [
        Fault("scal", "patches has no option 'scal', did you mean 'scale'? It takes: scale, patch, pool"),
        Fault("patch.stride", "must be a whole number greater than 0, not 0"),
        Fault("pool.size", "must be a whole number at least 1 and at most 1000000, not 'big'"),
    ]


def test_nothing_is_built_from_an_incomplete_block(registry: Registry) -> None:
    reader = BlockReader(registry, partial=True)
    assert reader.block("loss", {"type": "patches", "scale": 1}, "losses.p") is None
    assert reader.faults == []


def test_a_fault_has_the_path_of_the_block_that_supplies_the_key(registry: Registry) -> None:
    reader = BlockReader(registry)
    value = {"type": "patches", "scale": "wide", "patch": {"size": 0}}
    assert reader.block("loss", value, "losses.p", sources={"scale": "loss", "type": "loss"}) is None
    assert [fault.path for fault in reader.faults] == ["loss.scale", "losses.p.patch.size"]
