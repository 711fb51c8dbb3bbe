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


@BROKEN.breaks(
    "observer",
    "is restored by its state_dict",
    r"ends the run after step 4 \(seen 4\), and when it is interrupted after step 2 and resumed ends .* after step 6",
)
class ObserverThatForgets(Observer):
    def __init__(self) -> None:
        self.seen = 0

    def on_step(self, step: int) -> None:
        self.seen += 1
        if self.seen == 4:
            self.stop(f"seen {self.seen}")


@BROKEN.breaks("observer", "is restored by its state_dict", "its state_dict is None, not a dict")
class ObserverWithoutState(Observer):
    def state_dict(self) -> Any:
        return None


@BROKEN.breaks("observer", "is restored by its state_dict", "its state_dict differs after it was saved and loaded")
class ObserverThatLoadsNothing(ObserverThatForgets):
    def state_dict(self) -> Any:
        return {"seen": self.seen}


@BROKEN.breaks("observer", "keeps the request of `stop`", r"after stop\('tried'\) its stop_reason is None")
class ObserverWithItsOwnStop(Observer):
    def stop(self, reason: str) -> None:
        pass


@pytest.mark.parametrize("case", BROKEN.cases, ids=lambda case: case.component.__name__)
def test_a_broken_promise_is_reported(case: Case) -> None:
    case.check()


def test_every_promise_is_broken_by_a_component() -> None:
    BROKEN.check_complete()


def test_the_base_of_the_broken_components_keeps_every_promise() -> None:
    results = check_component(*beside_the_built_ins("observer", Observer))
    assert {outcome.status for outcome in results.outcomes} == {Status.KEPT}, results
