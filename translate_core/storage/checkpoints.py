"""Checkpoints: named things with a state_dict, written whole or not at all."""

from __future__ import annotations

import os
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from translate_core.errors import UserError
from translate_core.runtime.files import sha256_of, sync_folder, write_text

FORMAT = 1
_NAME = re.compile(r"step-(\d+)\.pt")


class Stateful(Protocol):
    """A part of a checkpoint."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors, plain numbers and text, nested in dicts and lists."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Takes back what `state_dict` gave."""
        ...


@dataclass(frozen=True)
class Checkpoint:
    """One that was read and found whole.

    record: what the run noted beside the parts: the resolved recipe, versions, the fingerprint of the data.
    """

    path: Path
    step: int
    record: Mapping[str, Any]
    parts: Mapping[str, dict[str, Any]]

    def restore(self, parts: Mapping[str, Stateful]) -> None:
        """Gives every part its state back. Raises UserError when the two sets of names differ."""
        lacking, extra = sorted(parts.keys() - self.parts.keys()), sorted(self.parts.keys() - parts.keys())
        if lacking or extra:
            raise UserError(
                f"{self.path} is of another recipe: it lacks {', '.join(lacking) or 'nothing'}, "
                f"and has {', '.join(extra) or 'nothing'} beside"
            )
        for name, part in parts.items():
            try:
                part.load_state_dict(self.parts[name])
            except (RuntimeError, ValueError, KeyError) as error:
                raise UserError(f"{self.path} is of another recipe: {name} does not fit: {error}") from None


class DamagedError(UserError):
    """A checkpoint that was not written to its end, or has changed since."""


class Checkpoints:
    """The `checkpoints/` folder of a run: `step-<n>.pt`, each with its SHA-256 beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step stands, or would stand."""
        return self.folder / f"step-{step}.pt"

    def paths(self) -> list[Path]:
        """Every checkpoint, the newest first."""
        if not self.folder.is_dir():
            return []
        numbered = [(int(match[1]), path) for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name))]
        return [path for _, path in sorted(numbered, reverse=True)]

    def save(self, step: int, record: Mapping[str, Any], parts: Mapping[str, dict[str, Any]], keep: int) -> Path:
        """Writes one and prunes the oldest, so that `keep` remain.

        A kill at any moment leaves either the new one whole, or the ones before as they were: the digest is in place
        before the file gets its name.
        """
        for name, state in parts.items():
            check_plain(state, name)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(step)
        part = path.with_suffix(".pt.part")
        with part.open("wb") as stream:
            torch.save({"format": FORMAT, "step": step, "record": dict(record), "parts": dict(parts)}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        write_text(digest_path(path), f"{sha256_of(part)}  {path.name}\n")
        part.replace(path)
        sync_folder(self.folder)
        for old in self.paths()[keep:]:
            old.unlink()
            digest_path(old).unlink(missing_ok=True)
        for leftover in self.folder.glob("*.part"):
            leftover.unlink()
        return path

    def newest(self, tell: Callable[[str], None]) -> Checkpoint | None:
        """The newest whole checkpoint, None where none was ever written.

        tell: is told of every damaged one that is passed over.
        Raises UserError when checkpoints were written and none is whole, or one is refused.
        """
        paths = self.paths()
        for path in paths:
            try:
                return load(path)
            except DamagedError as error:
                # Out of the way, or it would count among those to keep, and be the newest again next time.
                path.rename(path.with_name(path.name + ".damaged"))
                digest_path(path).unlink(missing_ok=True)
                before = "; the one before it is used" if path is not paths[-1] else ""
                tell(f"{error}. It is now {path.name}.damaged{before}")
            except UserError as error:
                raise UserError(
                    f"{error}. Remove it to go on from the one before, or start again with --fresh"
                ) from None
        # Also those that an earlier session moved away: to start over in silence would cost the whole run.
        damaged = sorted(path.name for path in self.folder.glob("*.damaged"))
        if damaged:
            raise UserError(
                f"no checkpoint in {self.folder} is whole ({', '.join(damaged)}); "
                f"to start again from nothing, add --fresh (the old run is moved aside)"
            )
        return None


def load(path: Path) -> Checkpoint:
    """Reads one checkpoint on the CPU.

    Raises DamagedError when the file is not what was written, UserError when it holds anything but plain data and
    tensors, or has another format.
    """
    try:
        expected = digest_path(path).read_text(encoding="utf-8").split()[0]
    except (OSError, IndexError):
        raise DamagedError(f"{path} has no digest beside it ({digest_path(path).name})") from None
    if sha256_of(path) != expected:
        raise DamagedError(f"{path} is damaged: its SHA-256 is not the one noted beside it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch has to say about pickles helps nobody here
            data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # bytes that are no checkpoint make torch raise almost anything
        raise UserError(
            f"{path} is refused: it is no checkpoint of ours, which hold tensors and plain data only; "
            f"loading anything else could run code"
        ) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or not {"step", "record", "parts"} <= data.keys():
        raise UserError(f"{path} is refused: it is no checkpoint of ours, or of another version's format")
    return Checkpoint(path, data["step"], data["record"], data["parts"])


def check_plain(value: object, path: str) -> None:
    """Raises UserError for what would be written, and refused when it is read. path: of the value, for the message."""
    if type(value) in (dict, OrderedDict):
        for key, item in value.items():  # type: ignore[attr-defined]
            check_plain(key, f"{path} (a key)")
            check_plain(item, f"{path}.{key}")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):  # type: ignore[arg-type]
            check_plain(item, f"{path}[{index}]")
    elif not (value is None or type(value) in (bool, int, float, str) or isinstance(value, torch.Tensor)):
        raise UserError(
            f"{path} cannot be saved: it is a {type(value).__module__}.{type(value).__qualname__}; "
            f"a state_dict holds tensors, numbers, text, and lists, tuples and dicts of them"
        )


def digest_path(path: Path) -> Path:
    """Where a checkpoint's SHA-256 stands."""
    return path.with_name(path.name + ".sha256")
