"""Every promise of observers: a component that breaks it is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conformance.broken import BrokenComponents, Case, beside_the_built_ins
from translate_core import (
    Observer,
)
from translate_core.conformance.check import check_component
from translate_core.conformance.promise import Status

BROKEN = BrokenComponents("observer")


@BROKEN.breaks("observer", "builds", "cannot be built: FileNotFoundError: ")
class ObserverThatDoesNotBuild(Observer):
    def __init__(self) -> None:
        Path("/nowhere/at/all").read_text()


@BROKEN.breaks("observer", "observes a whole run", "failed: KeyError: 'cycle'")
class ObserverOfOneLoss(Observer):
    def on_losses(self, step: int, losses: Any, rates: Any) -> None:
        losses["cycle"]


@BROKEN.breaks("observer", "observes a run that is interrupted", "failed: FileExistsError: ")
class ObserverOfOneSession(Observer):
    def on_start(self, run: Any) -> None:
        (run.folder / "mine").mkdir()


@BROKEN.breaks("observer", "does not modify its arguments", "changes the losses in its arguments")
class ObserverThatTakesAway(Observer):
    def on_losses(self, step: int, losses: Any, rates: Any) -> None:
        losses.popitem()


@pytest.mark.parametrize("case", BROKEN.cases, ids=lambda case: case.component.__name__)
def test_a_broken_promise_is_reported(case: Case) -> None:
    case.check()


def test_every_promise_is_broken_by_a_component() -> None:
    BROKEN.check_complete()


def test_the_base_of_the_broken_components_keeps_every_promise() -> None:
    results = check_component(*beside_the_built_ins("observer", Observer))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results
