"""What a run records about itself, and whether a run may be resumed with another recipe."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from translate_core.contracts.dataset import Dataset
from translate_core.contracts.length import Length
from translate_core.errors import UserError, written_in
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.runtime.files import sha256_of
from translate_core.storage.models import FORMAT, EarlyEnd
from translate_core.storage.trust import signature_of


def fingerprint_of(dataset: Dataset) -> str:
    """What the dataset returns for its images. Raises UserError for anything but a text."""
    fingerprint: object = dataset.fingerprint()
    if not isinstance(fingerprint, str):
        raise UserError(f"`fingerprint` of {written_in(dataset)} must return a text, not {type(fingerprint).__name__}")
    return fingerprint


def make_record(recipe: ResolvedRecipe, dataset: Dataset, applied: Sequence[str], ranks: int) -> dict[str, Any]:
    """The record of a run, in its folder and in every checkpoint: plain data, as JSON would return it.

    applied: the networks that translations use.
    """
    fingerprint = fingerprint_of(dataset)
    files = {entry: {"path": str(path), "sha256": sha256_of(path)} for entry, path in recipe.plugins.files.items()}
    record = {
        "format": FORMAT,
        "name": recipe.name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "recipe": recipe.record,
        "results": recipe.results(),
        "plugins": recipe.plugins.versions,
        "files": files,
        "signature": signature_of(
            recipe.record.get("plugins", ()), {entry: file["sha256"] for entry, file in files.items()}
        ),
        "torch": str(torch.__version__),  # a subclass of str, which a checkpoint must not hold
        "data": {"fingerprint": fingerprint, "channels": dict(dataset.channels), "size": dataset.size},
        "applied": list(applied),
        "ranks": ranks,
    }
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain


def early_end(record: Mapping[str, Any], length: int) -> EarlyEnd | None:
    """The early end that a record states. None without one, and for a run that is longer now: it continues.

    length: of the run now, in steps.
    """
    given = record.get("ended")
    ended = None if given is None else EarlyEnd.model_validate(given)
    return ended if ended is not None and length <= ended.length else None


def check_same_run(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Raises UserError, listing the differences, when a folder holds a run that would have learned something else."""
    differing = _differences(old["results"], new["results"])
    old_length, new_length = (_length(record) for record in (old, new))
    if old_length.unit == new_length.unit and new_length.count < old_length.count:
        differing.append(f"training.length: {old_length} there, {new_length} now (it may only grow)")
    if old["ranks"] != new["ranks"]:
        differing.append(f"processes: {old['ranks']} there, {new['ranks']} now")
    if old["data"]["fingerprint"] != new["data"]["fingerprint"]:
        differing.append(
            f"the images: fingerprint {old['data']['fingerprint']} there, {new['data']['fingerprint']} now"
        )
    for entry, file in old["files"].items():
        if entry in new["files"] and new["files"][entry]["sha256"] != file["sha256"]:
            differing.append(f"plugin {entry}: its code has changed")
    if differing:
        listing = "\n".join(f"  {line}" for line in differing)
        raise UserError(
            f"{folder} holds a run of another recipe:\n{listing}\n"
            f"Choose another folder with --out, or start again here with --fresh (the old run is moved aside)"
        )
    for plugin, version in old["plugins"].items():
        now = new["plugins"].get(plugin)
        if now != version and plugin not in old["files"]:
            warn(f"the run was started with {plugin} {version}, and continues with {now or 'none'}")


def _length(record: Mapping[str, Any]) -> Length:
    return Length.parse(record["recipe"]["training"]["length"])


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    absent = object()
    lines = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key, absent), new.get(key, absent)
        if before != after:
            there, now = ("absent" if value is absent else json.dumps(value) for value in (before, after))
            lines.append(f"{key}: {there} there, {now} now")
    return lines
