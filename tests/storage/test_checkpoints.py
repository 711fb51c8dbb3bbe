"""Checkpoints: what all ranks share and what each has for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from translate_core import UserError
from translate_core.storage.checkpoints import Checkpoints, load

RECORD = {
    "format": 1, "name": "x", "created": "2026-01-01T00:00:00+0000", "recipe": {"training": {"length": "9 steps"}},
    "results": {}, "plugins": {}, "files": {}, "signature": None, "torch": "2", "applied": ["G"], "ranks": 2,
    "data": {"fingerprint": "f", "channels": {"A": 3}, "size": None},
}  # fmt: skip


class Part:
    def __init__(self, value: int = 0) -> None:
        self.value = value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.value = state_dict["value"]


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    made = Checkpoints(tmp_path / "checkpoints")
    own = [{"losses/adversarial": Part(rank).state_dict()} for rank in (10, 11)]
    made.save(5, RECORD, {"networks/G": Part(7).state_dict()}, own, keep=2)
    return made


@pytest.mark.parametrize("rank", [0, 1])
def test_each_rank_gets_its_own_state_back(checkpoints: Checkpoints, rank: int) -> None:
    network, loss = Part(), Part()
    load(checkpoints.path(5)).restore({"networks/G": network}, {"losses/adversarial": loss}, rank)
    assert (network.value, loss.value) == (7, 10 + rank)


def test_names_may_hold_any_character(tmp_path: Path) -> None:
    """No part is recognised by its name: `@` and `losses/` once had a meaning."""
    made = Checkpoints(tmp_path)
    made.save(1, RECORD, {"losses/a@1": {"value": 1}}, [{"networks/b@0": {"value": 2}}], keep=1)
    shared, own = Part(), Part()
    load(made.path(1)).restore({"losses/a@1": shared}, {"networks/b@0": own}, 0)
    assert (shared.value, own.value) == (1, 2)


def test_a_rank_that_the_checkpoint_lacks(checkpoints: Checkpoints) -> None:
    with pytest.raises(UserError, match="missing parts: losses/adversarial; unexpected parts: none"):
        load(checkpoints.path(5)).restore({"networks/G": Part()}, {"losses/adversarial": Part()}, 2)


def test_other_names(checkpoints: Checkpoints) -> None:
    with pytest.raises(UserError, match="another recipe: missing parts: networks/F; unexpected parts: networks/G"):
        load(checkpoints.path(5)).restore({"networks/F": Part()}, {"losses/adversarial": Part()}, 0)


def test_only_the_newest_are_kept_and_nothing_half_written(checkpoints: Checkpoints) -> None:
    for step in (6, 7):
        checkpoints.save(step, {}, {}, [], keep=2)
    (checkpoints.folder / "step-8.pt.part").touch()
    checkpoints.save(9, {}, {}, [], keep=2)
    names = sorted(path.name for path in checkpoints.folder.iterdir())
    assert names == ["step-7.pt", "step-7.pt.sha256", "step-9.pt", "step-9.pt.sha256"]


def test_none_written(tmp_path: Path, checkpoints: Checkpoints) -> None:
    assert Checkpoints(tmp_path / "nowhere").none_written()
    assert not checkpoints.none_written()
    path = checkpoints.path(5)
    path.rename(path.with_name("step-5.pt.damaged"))
    assert not checkpoints.none_written()


def test_what_killed_saves_left_is_removed(checkpoints: Checkpoints) -> None:
    """Only the digest stands where the process was killed before the checkpoint got its name."""
    for step in range(6, 20):
        (checkpoints.folder / f"step-{step}.pt.sha256").write_text("0  step")
        (checkpoints.folder / f"step-{step}.pt.part").write_bytes(b"the beginning")
    (checkpoints.folder / "step-3.pt.damaged.sha256").write_text("0  step")
    (checkpoints.folder / "step-4.pt.sha256").mkdir()
    checkpoints.save(30, RECORD, {}, [], keep=2)
    names = sorted(path.name for path in checkpoints.folder.iterdir())
    assert names == [
        "step-3.pt.damaged.sha256", "step-30.pt", "step-30.pt.sha256", "step-4.pt.sha256",
        "step-5.pt", "step-5.pt.sha256",
    ]  # fmt: skip
