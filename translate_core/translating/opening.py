"""A run folder, opened for translating: its recipe, a checkpoint, and the networks that translations use."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from translate_core.errors import UserError, did_you_mean
from translate_core.recipe.file import read_recipe
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.recipe.resolver import resolve
from translate_core.runtime.console import warn
from translate_core.storage.checkpoints import Checkpoint, Checkpoints, DamagedError
from translate_core.storage.checkpoints import load as load_checkpoint
from translate_core.storage.names import RECIPE, RECORD
from translate_core.storage.run_folder import RunFolder
from translate_core.storage.trust import check_code
from translate_core.training.build import build_networks

_STEP = re.compile(r"(?:step-)?(\d+)(?:\.pt)?")


@dataclass(frozen=True)
class OpenedRun:
    """A run folder. channels: by domain. applied: the networks that translations use."""

    recipe: ResolvedRecipe
    channels: Mapping[str, int]
    applied: Sequence[str]
    checkpoint: Checkpoint


def open_run_folder(path: Path, checkpoint: int | str | os.PathLike[str] | None, trust: bool) -> OpenedRun:
    """The recipe and a checkpoint of a run. Raises as `Translator.load` does."""
    folder = _find_run(path)
    record = folder.record()
    data = read_recipe(folder.path / RECIPE)
    check_code(folder.path, data, record, trust)
    recipe = resolve(folder.path / RECIPE, data)
    unknown = [name for name in record["applied"] if name not in recipe.networks]
    if unknown:
        raise UserError(f"{folder.path / RECORD} lists networks that its recipe does not have: {', '.join(unknown)}")
    chosen = _choose_checkpoint(folder.checkpoints, checkpoint)
    return OpenedRun(recipe, record["data"]["channels"], record["applied"], chosen)


def build_applied(run: OpenedRun, device: torch.device) -> dict[str, nn.Module]:
    """The networks that translations use, by role, in evaluation mode, with EMA weights where there are any.

    Raises UserError when the checkpoint does not fit them.
    """
    recipe, checkpoint = run.recipe, run.checkpoint
    roles = {name: network for name, network in recipe.networks.items() if name in run.applied}
    modules = build_networks(recipe, roles, run.channels, device, load=False)
    states = {name: checkpoint.parts.get(f"ema/{name}", checkpoint.parts[f"networks/{name}"]) for name in modules}
    checkpoint.restore_from(states, modules)
    for module in modules.values():  # a plugin's `eval` may return anything
        module.eval()
        module.requires_grad_(False)
    return modules


def _find_run(path: Path) -> RunFolder:
    folder = RunFolder(path)
    if folder.exists():
        return folder
    if path.is_dir():
        inside = sorted(str(record.parent) for depth in ("*", "*/*") for record in path.glob(f"{depth}/{RECORD}"))
        listing = f" It holds runs: {', '.join(inside[:5])}{' …' if len(inside) > 5 else ''}" if inside else ""
        raise UserError(f"{path} is not a run folder: it has no {RECORD}.{listing}")
    if path.exists():
        raise UserError(f"{path} is a file, not the folder of a run")
    beside = [item.name for item in path.parent.iterdir() if item.is_dir()] if path.parent.is_dir() else []
    raise UserError(f"there is no run folder {path}{did_you_mean(path.name, beside)}")


def _choose_checkpoint(checkpoints: Checkpoints, asked: int | str | os.PathLike[str] | None) -> Checkpoint:
    if asked is None:
        return _newest(checkpoints)
    existing = {path.stem: path for path in checkpoints.paths()}
    match = _STEP.fullmatch(str(asked))
    name = f"step-{int(match[1])}" if match else str(asked)
    path = existing.get(name, Path(asked) if isinstance(asked, str | os.PathLike) else checkpoints.folder / name)
    if not path.is_file():
        raise UserError(f"there is no checkpoint {name}. The run has: {', '.join(existing) or 'none'}")
    return load_checkpoint(path)


def _newest(checkpoints: Checkpoints) -> Checkpoint:
    """The newest complete checkpoint. Unlike training, this leaves damaged files as they are."""
    damaged: list[str] = []
    for path in checkpoints.paths():
        try:
            checkpoint = load_checkpoint(path)
        except DamagedError as error:
            damaged.append(str(error))
            continue
        for message in damaged:
            warn(f"{message}; {path.name} is used")
        return checkpoint
    if damaged:
        raise UserError("\n  ".join([f"no checkpoint in {checkpoints.folder} is complete:", *damaged]))
    raise UserError(f"there is no checkpoint in {checkpoints.folder} yet: train until one is saved")
