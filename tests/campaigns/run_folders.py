"""Run folders that were edited, damaged or made by somebody hostile: resumed, applied, loaded, initialised from."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import yaml
from PIL import Image

from tests.campaigns.rule import DONE, FAULT, Campaign, Ended, Outcome, called, half_written, outcome
from tests.campaigns.small_recipe import small_recipe
from tests.campaigns.values import at, bytes_changed, hostile, nodes, put
from tests.tiny_runs import PLUGIN
from translate_core import Translator, UserError
from translate_core.commands.apply import main as apply
from translate_core.commands.run import main as run

TRAINING = {
    "length": "4 steps",
    "checkpoint_every": "2 steps",
    "sample_every": "2 steps",
    "keep_checkpoints": 2,
}
LONGER = ["--set", "training.length=5 steps"]
MOST = 100 * 2**20
"""Bytes that a run folder may grow to: no attempt reads or writes without end."""


class Canary:
    """A pickle that leaves a file when it is executed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


class RunFolders(Campaign):
    """A finished run or ablation is copied, changed at one to three places, and used."""

    name = "run_folders"
    limit = 60.0

    def __init__(self, shared: Path) -> None:
        super().__init__(shared)
        recipe = small_recipe(TRAINING, generator={"type": "mine"}, plugins=["plugin.py"])
        (shared / "plugin.py").write_text(PLUGIN)
        (shared / "recipe.yaml").write_text(json.dumps(recipe))
        (shared / "small.yaml").write_text(json.dumps(small_recipe(TRAINING, observers={})))
        (shared / "ablation.yaml").write_text("base: small.yaml\nvary: {losses.cycle.weight: [0, 1]}\nseeds: [0]\n")
        for name in ("recipe", "ablation"):
            ended = called("translate-run", run, self._training(name, shared / f"run-{name}"))
            assert ended.status == DONE, ended.printed
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(shared / "a.png")

    def _training(self, name: str, folder: Path, *more: str) -> list[str]:
        return [str(self.shared / f"{name}.yaml"), "--out", str(folder), "--device", "cpu", *more]

    def attempt(self, rng: random.Random, folder: Path) -> Outcome:
        """Changes a copy and uses it in some ways."""
        name = "ablation" if rng.random() < 0.15 else "recipe"
        copied = folder / "copied"
        shutil.copytree(self.shared / f"run-{name}", copied)
        canary = folder / "canary"
        done = [_changed(copied, rng, canary) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        uses = [self._train_on(name, copied)] if name == "ablation" else self._uses(copied, folder, rng)
        ended = [use() for use in uses]
        broken = [
            text
            for item in ended
            for text in item.broken([str(copied), "recipe", "plugin.py", "ablation", "checkpoint"])
        ]
        if canary.exists():
            broken.append("a pickle was executed")
        if sum(path.stat().st_size for path in copied.rglob("*") if path.is_file() and not path.is_symlink()) > MOST:
            broken.append("the folder grew without end")
        return outcome("; ".join(done), ended, broken + half_written(copied))

    def _train_on(self, name: str, copied: Path) -> Callable[[], Ended]:
        return lambda: called("translate-run", run, self._training(name, copied, *LONGER))

    def _uses(self, copied: Path, folder: Path, rng: random.Random) -> Sequence[Callable[[], Ended]]:
        given = [str(copied), str(self.shared / "a.png"), "--out", str(folder / "out"), "--device", "cpu"]
        trained = self._training("recipe", folder / "new", "--set", "training.length=1 steps", "--dry-run")
        weights = rng.choice((copied, *sorted(copied.glob("weights/*")), *sorted(copied.glob("checkpoints/*.pt"))))
        uses: list[Callable[[], Ended]] = [
            lambda: called("translate-apply", apply, given),
            lambda: called("translate-apply", apply, [*given, "--checkpoint", "2", "--direction", "B-A", "--trust"]),
            lambda: called("load", _load, [str(copied)]),
            lambda: called("translate-run", run, [*trained, "--set", f"generator.init_from={weights}"]),
            lambda: called("translate-run", run, [str(copied / "recipe.yaml"), "--dry-run", "--device", "cpu"]),
        ]
        return [*rng.sample(uses, 2), self._train_on("recipe", copied)]


def _load(arguments: Sequence[str]) -> int:
    """`Translator.load` as a command."""
    import sys

    try:
        Translator.load(arguments[0], device="cpu").translate(torch.zeros(3, 16, 16))
    except UserError as error:
        print(f"load: {error}", file=sys.stderr)
        return FAULT
    return DONE


# Changes; each returns its description


class InapplicableError(Exception):
    """The folder has nothing for a change, perhaps because of an earlier one."""


def _changed(folder: Path, rng: random.Random, canary: Path) -> str:
    while True:
        change = rng.choice(CHANGES)
        with suppress(InapplicableError):
            return f"{change.__name__.strip('_')}: {change(folder, rng, canary)}"


def _files(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(path for path in folder.rglob(pattern) if path.is_file() and not path.is_symlink())


def _one(found: Sequence[Path], rng: random.Random) -> Path:
    if not found:
        raise InapplicableError
    return rng.choice(found)


def _edited(tree: Any, rng: random.Random) -> str:
    """Changes a node of plain data in place."""
    found = list(nodes(tree))
    if not found:
        return "nothing to edit"
    path = rng.choice(found)
    how = rng.choice(("put", "put", "put", "delete", "rename"))
    parent = at(tree, path[:-1])
    if how == "delete":
        del parent[path[-1]]
    elif how == "rename" and isinstance(parent, dict):
        parent["x"] = parent.pop(path[-1])
    else:
        put(tree, path, hostile(rng))
    return f"{how} {'.'.join(map(str, path))[:80]}"


def _json(folder: Path, rng: random.Random, canary: Path) -> str:
    path = _one([*_files(folder, "*.json"), *_files(folder, "*.jsonl")], rng)
    try:
        lines = [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines()
        place = rng.randrange(len(lines))
        tree = json.loads(lines[place])
    except (ValueError, OSError):
        raise InapplicableError from None
    described = _edited(tree, rng) if rng.random() < 0.85 else "all"
    lines[place] = json.dumps(tree if described != "all" else hostile(rng))
    path.write_text("\n".join(lines) + "\n")
    return f"{path.name} {described}"


def _recipe(folder: Path, rng: random.Random, canary: Path) -> str:
    path = folder / "recipe.yaml"
    try:
        tree = yaml.safe_load(path.read_text())
    except (ValueError, OSError, yaml.YAMLError):
        raise InapplicableError from None
    described = _edited(tree, rng)
    path.write_text(yaml.safe_dump(tree))
    return described


def _bytes(folder: Path, rng: random.Random, canary: Path) -> str:
    path = _one(_files(folder), rng)
    path.write_bytes(bytes_changed(path.read_bytes(), rng))
    return path.relative_to(folder).as_posix()


REPLACEMENTS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "an empty file": lambda path: path.touch(),
    "another file": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to /dev/null": lambda path: path.symlink_to("/dev/null"),
    "a link to the folder above": lambda path: path.symlink_to(".."),
}


def _replaced(folder: Path, rng: random.Random, canary: Path) -> str:
    path = _one(sorted(path for path in folder.rglob("*") if path.name != ".lock"), rng)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    by = rng.choice(sorted(REPLACEMENTS))
    REPLACEMENTS[by](path)
    return f"{path.relative_to(folder)} by {by}"


def _added(folder: Path, rng: random.Random, canary: Path) -> str:
    names = (
        "checkpoints/step-99999999999999999999999.pt", "checkpoints/step-7.pt", "checkpoints/step-٣.pt",
        "checkpoints/step--1.pt", "checkpoints/step-4.pt.damaged", "weights/x.safetensors", "errors.log", "x",
        "checkpoints/step-0.pt", "checkpoints/step-007.pt", "results.json.1", "samples/x.png", "plugins/x.py",
    )  # fmt: skip
    path = folder / rng.choice(names)
    if path.exists() or path.is_symlink() or not path.parent.is_dir():
        raise InapplicableError
    by = rng.choice(sorted(set(REPLACEMENTS) - {"nothing"}))
    REPLACEMENTS[by](path)
    return f"{path.relative_to(folder)}, {by}"


def _digest(folder: Path, rng: random.Random, canary: Path) -> str:
    path = _one(_files(folder, "*.sha256"), rng)
    text = rng.choice((b"", b"\n", b"0" * 64, b"x  y", b"\xff\xfe", b"0" * 10**6, path.read_bytes().upper()))
    path.write_bytes(text)
    return f"{path.name} {text[:10]!r}"


TENSORS: dict[str, Callable[[torch.Tensor], Any]] = {
    "sparse": lambda value: value.detach().clone().reshape(-1).to_sparse(),
    "quantised": lambda value: torch.quantize_per_tensor(value.float(), 1.0, 0, torch.qint8),
    "meta": lambda value: value.to("meta"),
    "nan": lambda value: torch.full_like(value, float("nan")) if value.is_floating_point() else value - 10**6,
    "infinite": lambda value: torch.full_like(value, float("inf")) if value.is_floating_point() else value + 10**9,
    "complex": lambda value: value.to(torch.complex64),
    "another shape": lambda value: value.reshape(-1)[:1],
    "empty": lambda value: value.new_empty(0),
    "huge": lambda value: value.reshape(-1)[:1].expand(10**11),
    "another type": lambda value: value.to(torch.int8),
    "a double": lambda value: value.double(),
    "a number": lambda value: 3,
    "a list": lambda value: value.reshape(-1)[:3].tolist(),
    "none": lambda value: None,
    "a view": lambda value: torch.zeros(10, *value.shape, dtype=value.dtype)[3],
}


def _checkpoint(folder: Path, rng: random.Random, canary: Path) -> str:
    """A checkpoint of another structure, with the digest of its bytes."""
    path = _one(_files(folder, "step-*.pt"), rng)
    try:
        tree = torch.load(path, weights_only=True)
    except Exception:  # damaged by an earlier change
        raise InapplicableError from None
    places = [place for place in nodes(tree) if isinstance(at(tree, place), torch.Tensor)]
    if rng.random() < 0.5 and places:
        place, kind = rng.choice(places), rng.choice(sorted(TENSORS))
        try:
            put(tree, place, TENSORS[kind](at(tree, place)))
        except (RuntimeError, IndexError):
            raise InapplicableError from None
        described = f"{kind} {'/'.join(map(str, place))[:80]}"
    else:
        described = _edited(tree, rng)
    torch.save(tree, path)
    _sign(path)
    return f"{path.name} {described}"


def _pickle(folder: Path, rng: random.Random, canary: Path) -> str:
    """A pickle that executes something, with its digest."""
    path = _one([*_files(folder, "step-*.pt"), *_files(folder, "*.safetensors")], rng)
    if rng.random() < 0.5:
        path.write_bytes(pickle.dumps(Canary(canary)))
    else:
        torch.save({"format": 1, "step": 4, "parts": {"networks/G_AB": Canary(canary)}}, path)
    if path.suffix == ".pt":
        _sign(path)
    return path.name


def _sign(path: Path) -> None:
    digest = path.with_name(path.name + ".sha256")
    if not digest.exists() or digest.is_file():
        digest.unlink(missing_ok=True)
        digest.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")


def _weights(folder: Path, rng: random.Random, canary: Path) -> str:
    """Safetensors of other names, types and values."""
    path = _one(_files(folder, "*.safetensors"), rng)
    try:
        state = safetensors.torch.load_file(path)
    except Exception:  # damaged by an earlier change
        raise InapplicableError from None
    key = rng.choice(sorted(state)) if state else "x"
    kind = rng.choice(("nan", "infinite", "another shape", "empty", "another type", "a double", "renamed", "none"))
    if kind == "renamed":
        state["x" * rng.choice((1, 100_000))] = state.pop(key, torch.ones(1))
    elif kind == "none":
        state = {}
    else:
        state[key] = TENSORS[kind](state.get(key, torch.ones(2))).contiguous()
    safetensors.torch.save_file(
        state, path, {"translate": str(hostile(rng))[:1000].encode("utf-8", "replace").decode()}
    )
    return f"{path.name} {kind} {key}"


def _permissions(folder: Path, rng: random.Random, canary: Path) -> str:
    """Files and folders that may not be read or written, which root may."""
    if os.geteuid() == 0:
        raise InapplicableError
    path = rng.choice(sorted(folder.rglob("*")))
    path.chmod(rng.choice((0, 0o400, 0o200)))
    return path.relative_to(folder).as_posix()


Change = Callable[[Path, random.Random, Path], str]
CHANGES: tuple[Change, ...] = (
    _json, _json, _json, _recipe, _bytes, _bytes, _replaced, _replaced, _replaced, _added, _digest, _checkpoint,
    _checkpoint, _checkpoint, _pickle, _weights, _permissions,
)  # fmt: skip
