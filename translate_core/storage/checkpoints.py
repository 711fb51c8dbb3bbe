"""Checkpoints: named parts with a state_dict, written completely or not at all."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from translate_core.errors import UserError, raised_at, text_of
from translate_core.runtime.files import PART, atomic_write, make_folder, read_file, sha256_of, write_text
from translate_core.storage.models import FORMAT, CheckpointModel, check
from translate_core.storage.weights import extraordinary

_NAME = re.compile(r"step-(\d+)\.pt")


class Stateful(Protocol):
    """A part of a checkpoint."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors, plain numbers and text, nested in dicts and lists."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Restores what `state_dict` returned."""
        ...


States = Mapping[str, dict[str, Any]]
"""State dicts by the name of their part."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read, and is complete.

    record: what the run records about itself: the resolved recipe, versions, the fingerprint of the data.
    parts: the states that all ranks share. rank_parts: for each rank, the states of its own, such as image pools.
    """

    path: Path
    step: int
    record: Mapping[str, Any]
    parts: States
    rank_parts: Sequence[States]

    def restore(self, parts: Mapping[str, Stateful], rank_parts: Mapping[str, Stateful], rank: int) -> None:
        """Restores the state of every part. Raises UserError when names or states do not match."""
        own = self.rank_parts[rank] if rank < len(self.rank_parts) else {}
        self.restore_from(self.parts, parts)
        self.restore_from(own, rank_parts)

    def restore_from(self, states: States, parts: Mapping[str, Stateful]) -> None:
        """Restores parts from states of this checkpoint. Raises UserError when names or states do not match."""
        missing, extra = sorted(parts.keys() - states.keys()), sorted(states.keys() - parts.keys())
        if missing or extra:
            raise UserError(
                f"{self.path} belongs to another recipe: missing parts: {', '.join(missing) or 'none'}; "
                f"unexpected parts: {', '.join(extra) or 'none'}"
            )
        for name, part in parts.items():
            try:
                part.load_state_dict(states[name])
            except Exception as error:  # each part checks its own state, in its own way
                what = (text_of(error) or type(error).__name__) + raised_at(error)
                raise UserError(f"{self.path} belongs to another recipe: {name} does not fit: {what}") from error


class DamagedError(UserError):
    """A checkpoint that was not written completely, or that has changed since."""


class Checkpoints:
    """The `checkpoints/` folder of a run: `step-<n>.pt`, each with its SHA-256 beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, step: int) -> Path:
        """The path of the checkpoint of a step, whether it exists or not."""
        return self.folder / f"step-{step}.pt"

    def paths(self) -> list[Path]:
        """Every checkpoint, the newest first."""
        if not self.folder.is_dir():
            return []
        numbered = [(int(match[1]), path) for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name))]
        return [path for _, path in sorted(numbered, reverse=True)]

    def none_written(self) -> bool:
        """Whether no checkpoint was ever written, not even one that is damaged now."""
        return not self.paths() and not any(self.folder.glob("*.damaged"))

    def save(
        self, step: int, record: Mapping[str, Any], parts: States, rank_parts: Sequence[States], keep: int
    ) -> Path:
        """Writes a checkpoint and removes the oldest, so that `keep` remain.

        A kill or a power cut at any moment leaves either the new checkpoint complete, or the older ones as they were:
        the digest is written before the file gets its name. Where the step has a checkpoint already, the digests of
        both are recorded until the new one has replaced it.

        Raises UserError for a state that could not be read again.
        """
        for states in (parts, *rank_parts):
            for name, state in states.items():
                if not isinstance(state, dict):
                    raise UserError(
                        f"{name} cannot be saved: its `state_dict` returns {type(state).__name__}, not a dict"
                    )
                check_plain(state, name)
        make_folder(self.folder)
        path = self.path(step)
        replaced = _recorded_digests(path) if path.exists() else []
        content = {
            "format": FORMAT,
            "step": step,
            "record": dict(record),
            "parts": dict(parts),
            "rank_parts": [dict(states) for states in rank_parts],
        }
        with atomic_write(path) as part:
            with part.open("wb") as stream:  # given a path, torch hides why it cannot write
                torch.save(content, stream)
            digest = sha256_of(part)
            _write_digests(path, [digest, *replaced])
        if replaced:
            _write_digests(path, [digest])
        for old in self.paths()[keep:]:
            old.unlink()
            digest_path(old).unlink(missing_ok=True)
        self._remove_leftovers()
        return path

    def _remove_leftovers(self) -> None:
        """Removes what saves left behind that were killed: files that are not whole, digests without a checkpoint."""
        digests = [path for path in self.folder.glob("step-*.pt.sha256") if not path.with_suffix("").exists()]
        for path in [*self.folder.glob(f"*{PART}"), *digests]:
            if path.is_file():
                path.unlink()

    def newest(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """The newest complete checkpoint, None if none was ever written.

        warn: called with a message for each damaged checkpoint; these are renamed.
        Raises UserError when checkpoints were written and none is complete, or when one is refused.
        """
        paths = self.paths()
        for path in paths:
            try:
                return load(path)
            except DamagedError as error:
                # Renamed, or it would count as one to keep, and would be the newest again next time.
                path.rename(path.with_name(path.name + ".damaged"))
                digest = digest_path(path)
                if digest.is_dir():
                    digest.rename(digest.with_name(f"{path.name}.damaged.sha256"))
                else:
                    digest.unlink(missing_ok=True)
                before = "; the one before it is used" if path is not paths[-1] else ""
                warn(f"{error}. It is now {path.name}.damaged{before}")
            except UserError as error:
                raise UserError(
                    f"{error}. Remove it to continue from the one before, or start again with --fresh"
                ) from None
        # Including those that an earlier session renamed: starting over silently would lose the whole run.
        damaged = sorted(path.name for path in self.folder.glob("*.damaged"))
        if damaged:
            raise UserError(
                f"no checkpoint in {self.folder} is complete ({', '.join(damaged)}); "
                f"to start again from nothing, add --fresh (the old run is moved aside)"
            )
        return None


def load(path: Path) -> Checkpoint:
    """Reads one checkpoint on the CPU.

    Raises DamagedError when the file is not as it was written, UserError when it holds anything but plain data and
    tensors, or has another format, PermissionError when this user may not read it.
    """
    expected = _recorded_digests(path)
    if not expected:
        raise DamagedError(f"{path} has no digest beside it ({digest_path(path).name})")
    try:
        digest = sha256_of(path)
    except PermissionError:
        raise
    except UserError as error:
        raise DamagedError(f"{path} {error}") from None
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror}") from None
    if digest not in expected:
        raise DamagedError(f"{path} is damaged: its SHA-256 differs from the recorded one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's warnings about pickles do not concern users
            data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many kinds of exceptions for other bytes
        raise UserError(
            f"{path} is refused: it is not a checkpoint of this software, which holds tensors and plain data only; "
            f"loading anything else could execute code"
        ) from None
    check(data, CheckpointModel, path)
    match = _NAME.fullmatch(path.name)
    if match and int(match[1]) != data["step"]:
        raise UserError(f"{path} is refused: it holds step {data['step']}, not the step of its name")
    for key, value in _tensors({"parts": data["parts"], "rank_parts": data["rank_parts"]}, ""):
        kind = extraordinary(value)
        if kind and not value.is_complex():  # a component may keep complex numbers
            raise UserError(f"{path} is refused: {key} is a tensor that is {kind}")
    _check_finite(path, data["parts"])
    return Checkpoint(path, data["step"], data["record"], data["parts"], data["rank_parts"])


def _tensors(value: object, path: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in plain data, with its path."""
    if isinstance(value, torch.Tensor):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in items:
        yield from _tensors(item, f"{path}.{key}".removeprefix("."))


def _check_finite(path: Path, parts: States) -> None:
    """Raises DamagedError for weights that are not finite: no training of this software saves them."""
    for part, state in parts.items():
        for key, value in state.items() if part.startswith(("networks/", "ema/")) else ():
            if isinstance(value, torch.Tensor) and value.is_floating_point() and not value.isfinite().all():
                raise DamagedError(f"{path} is damaged: {key} of {part} has values that are not finite")


def check_plain(value: object, path: str) -> None:
    """Raises UserError for a value that would be refused when it is read. path: of the value, for the message."""
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


def _recorded_digests(path: Path) -> list[str]:
    """The digests that are recorded for a checkpoint: one, or two while it is replaced. None where they are lost.

    Raises PermissionError when this user may not read them.
    """
    try:
        text = read_file(digest_path(path)).decode("utf-8")
    except PermissionError:
        raise
    except (OSError, ValueError):
        return []
    return [line.split()[0] for line in text.splitlines() if line.strip()]


def _write_digests(path: Path, digests: Sequence[str]) -> None:
    write_text(digest_path(path), "".join(f"{digest}  {path.name}\n" for digest in digests))


def digest_path(path: Path) -> Path:
    """The path of a checkpoint's SHA-256."""
    return path.with_name(path.name + ".sha256")
