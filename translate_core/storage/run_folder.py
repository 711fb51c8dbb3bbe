"""The folder of a run: its recipe, what it was made with, its checkpoints, and who may go on with it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from translate_core.contracts.dataset import Dataset
from translate_core.contracts.length import Length
from translate_core.contracts.observer import Result
from translate_core.errors import UserError
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.runtime import yaml12
from translate_core.runtime.files import sha256_of, write_text
from translate_core.storage.checkpoints import Checkpoints

RECIPE = "recipe.yaml"
RECORD = "run.json"
RESULTS = "results.json"


def default_folder(recipe: Path, overrides: Mapping[str, Any], operation: frozenset[str]) -> Path:
    """`runs/<recipe>`, and the overrides that decide what is learned: the same command finds the same folder."""
    deciding = {
        key: value
        for key, value in overrides.items()
        if not any(key == item or key.startswith(item + ".") for item in operation)
    }
    return Path("runs") / folder_name(deciding, recipe.stem)


def folder_name(values: Mapping[str, Any], *words: str) -> str:
    """A name for a folder: the words, then `key=value` of a flat mapping in the order of its keys.

    Characters that a file system or a shell may not like become `-`; a long name ends in a hash of the whole.
    """
    settings = [
        f"{key}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"
        for key, value in sorted(values.items())
    ]
    name = re.sub(r"[^A-Za-z0-9._=,+-]+", "-", ",".join([*words, *settings])).strip("-.")
    if len(name) > 120:
        return f"{name[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return name


@dataclass(frozen=True)
class RunFolder:
    """A run folder, existing or not."""

    path: Path

    @property
    def checkpoints(self) -> Checkpoints:
        """Its checkpoints."""
        return Checkpoints(self.path / "checkpoints")

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / RECORD).is_file()

    def record(self) -> dict[str, Any]:
        """What the run noted when it began. Raises UserError when this is no run folder."""
        try:
            record = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self.path} is no run folder: it has no {RECORD}") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path / RECORD} cannot be read: {error}") from None
        assert isinstance(record, dict)
        return record

    def begin(self, record: Mapping[str, Any], resolved: ResolvedRecipe) -> None:
        """Writes the resolved recipe, the record and copies of the recipe's plugin files; the record last."""
        self.path.mkdir(parents=True, exist_ok=True)
        recipe = dict(resolved.record)
        if resolved.plugins.files:
            folder = self.path / "plugins"
            folder.mkdir(exist_ok=True)
            for source in resolved.plugins.files.values():
                if source.resolve() != (folder / source.name).resolve():
                    shutil.copyfile(source, folder / source.name)
            recipe["plugins"] = [
                f"plugins/{resolved.plugins.files[entry].name}" if entry in resolved.plugins.files else entry
                for entry in recipe["plugins"]
            ]
        comment = f"# The recipe as resolved, every default filled in.\n#   translate-run {self.path / RECIPE}\n"
        write_text(self.path / RECIPE, comment + yaml12.dump(recipe))
        write_text(self.path / RECORD, json.dumps(record, indent=2, ensure_ascii=False) + "\n")

    def write_results(self, step: int, results: Sequence[Result]) -> None:
        """Notes the final test metrics; `step` is the length of the run."""
        content = {"step": step, "results": [asdict(result) for result in results]}
        write_text(self.path / RESULTS, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def final_results(self, steps: int) -> list[Result] | None:
        """The final test metrics; None while the run is not finished. steps: its length.

        The results are written before the last checkpoint, without which a run is not finished.
        """
        path = self.path / RESULTS
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            done, results = int(content["step"]), [Result(**result) for result in content["results"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} cannot be read: {error}; remove {self.path} to train this run again") from None
        return results if done >= steps and self.checkpoints.path(done).exists() else None

    def set_aside(self) -> Path | None:
        """Moves an existing folder to `<name>.1`, `.2`, …; returns where it is now."""
        if not self.path.exists():
            return None
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        self.path.rename(aside)
        return aside

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time. Raises UserError when another one is at work here. The lock dies with its process."""
        self.path.mkdir(parents=True, exist_ok=True)
        if os.name != "posix":
            yield
            return
        import fcntl

        with (self.path / ".lock").open("w") as stream:
            try:
                # Not flock: loader processes would inherit that lock, and outlive a training process that was killed.
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(
                    f"another process is at work in {self.path}; wait for it, or choose another --out"
                ) from None
            yield


def make_record(resolved: ResolvedRecipe, dataset: Dataset, ranks: int) -> dict[str, Any]:
    """What a run notes about itself, in its folder and in every checkpoint: plain data, as JSON would give it back."""
    record = {
        "format": 1,
        "name": resolved.name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "recipe": resolved.record,
        "results": resolved.results(),
        "plugins": resolved.plugins.versions,
        "files": {
            entry: {"path": str(path), "sha256": sha256_of(path)} for entry, path in resolved.plugins.files.items()
        },
        "torch": str(torch.__version__),  # a subclass of str, which a checkpoint must not hold
        "data": {"fingerprint": dataset.fingerprint(), "channels": dict(dataset.channels), "size": dataset.size},
        "ranks": ranks,
    }
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain


def check_same_run(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Raises UserError, listing what differs, when a folder holds a run that would have learned something else."""
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
            warn(f"the run was begun with {plugin} {version}, and goes on with {now or 'none'}")


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
