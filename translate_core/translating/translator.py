"""A trained run, applied: images of any size, out of nothing but the run folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from translate_core.contracts.dataset import to_uint8, to_unit_range
from translate_core.contracts.direction import Choice, Direction
from translate_core.contracts.method import Method
from translate_core.contracts.network import PRECISIONS, Calls, Network
from translate_core.contracts.role import GENERATORS
from translate_core.errors import UserError, did_you_mean
from translate_core.recipe.file import read_recipe
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.recipe.resolver import resolve
from translate_core.runtime.console import warn
from translate_core.runtime.device import choose_device
from translate_core.runtime.files import sha256_of
from translate_core.runtime.images import Channels, convert_image
from translate_core.runtime.randomness import Draws
from translate_core.storage.checkpoints import Checkpoint, Checkpoints, DamagedError
from translate_core.storage.checkpoints import load as load_checkpoint
from translate_core.storage.run_folder import RECIPE, RECORD, RunFolder
from translate_core.training.build import build_networks
from translate_core.training.size_constraint import SizeConstraint, crop

_STEP = re.compile(r"(?:step-)?(\d+)(?:\.pt)?")
_NO_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory", re.IGNORECASE)
_PIL_CHANNELS: Mapping[int, Channels] = {1: 1, 3: 3}

Examples = Mapping[str, Image.Image | Tensor]
"""By the name of a choice, the image that it is taken from."""


class Translator:
    """The translations that a run has learnt: `Translator.load("runs/mine").translate(image)`.

    Networks are in evaluation mode, with the averaged weights where the run keeps them. An image is translated the same
    way each time, unless another seed is asked for.

    directions: the names of the translations, such as A-B; the first is the one where none is asked for.
    step: how many steps the weights were trained for.
    device: where it computes.
    """

    def __init__(
        self, resolved: ResolvedRecipe, channels: Mapping[str, int], checkpoint: Checkpoint, device: torch.device
    ) -> None:
        """channels: of the images of each domain. Raises UserError for a checkpoint of another recipe."""
        self.step = checkpoint.step
        self.device = device
        self.directions = tuple(resolved.method.directions)
        self._plan = resolved
        self._channels = channels
        self._dtype = PRECISIONS[resolved.training.precision].dtype
        self._calls = Calls()
        with _told(device, "the networks"):
            modules = _generators(resolved, channels, checkpoint, device)
        self._fit = SizeConstraint.of(modules.values())
        self._networks = {
            name: Network(resolved.networks[name].role, module, self._calls, PRECISIONS[resolved.training.precision])
            for name, module in modules.items()
        }

    @classmethod
    def load(
        cls,
        run: str | os.PathLike[str],
        *,
        checkpoint: int | str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        trust: bool = False,
    ) -> Self:
        """Loads a run from its folder, in which nothing is changed; the images that it was trained on need not exist.

        checkpoint: a step (`120`), a name (`step-120`) or a file; None for the newest that is whole.
        device: auto, cpu, cuda or mps, or a device of torch.
        trust: whether to execute plugin files that came with the run and are not known to be your own.

        Raises UserError when the folder, the checkpoint or the device is not there, when the checkpoint is damaged or
        of another recipe, and when loading would execute somebody else's code; RecipeError when a plugin is missing.
        """
        folder = _find_run(Path(run))
        record = _record_of(folder)
        recipe = read_recipe(folder.path / RECIPE)
        _check_files(folder, recipe, record, trust)
        resolved = resolve(folder.path / RECIPE, recipe)
        chosen = _choose_checkpoint(folder.checkpoints, checkpoint)
        place = device if isinstance(device, torch.device) else choose_device(device)
        return cls(resolved, record["data"]["channels"], chosen, place)

    def direction(self, name: str | None = None) -> str:
        """The name of a direction; the first one for None. Raises UserError for one that the run does not have."""
        if name is None and self.directions:
            return self.directions[0]
        if name is not None and name in self.directions:
            return name
        asked = "." if name is None else f" '{name}'{did_you_mean(name, self.directions)}"
        raise UserError(f"there is no direction{asked} The run has: {', '.join(self.directions) or 'none'}")

    def choices(self, direction: str | None = None) -> tuple[str, ...]:
        """What of a translation is drawn, and can be taken from an image instead: such as style; often nothing."""
        return tuple(choice.name for choice in self._plan.method.directions[self.direction(direction)].choices)

    @overload
    def translate(
        self, image: Image.Image, direction: str | None = None, *, examples: Examples | None = None, seed: int = 0
    ) -> Image.Image: ...

    @overload
    def translate(
        self, image: Tensor, direction: str | None = None, *, examples: Examples | None = None, seed: int = 0
    ) -> Tensor: ...

    def translate(
        self,
        image: Image.Image | Tensor,
        direction: str | None = None,
        *,
        examples: Examples | None = None,
        seed: int = 0,
    ) -> Image.Image | Tensor:
        """One image, or a batch, as the other domain has it; of the kind, the size and the dtype that it came with.

        image: a PIL image, turned upright as its EXIF data say, of any mode: what comes back is RGB, or L where the
            target domain is greyscale. Or a tensor (C, H, W) or (N, C, H, W) on any device, uint8 in 0 … 255 or
            floating point in [-1, 1].
        direction: one of `directions`; the first one for None.
        examples: by name of a choice, the image that it is taken from, of the same kinds as `image`; what is not among
            them is drawn.
        seed: another seed gives other draws: another style, another dropout.

        Any size will do: what the networks cannot take is padded by reflection, and cropped afterwards.

        Raises UserError for an unknown direction or choice, an image that does not decode, a tensor of another shape,
        type or range, and an image that the device has too little memory for.
        """
        name = self.direction(direction)
        chosen = self._plan.method.directions[name]
        decided = {}
        for word, example in (examples or {}).items():
            choice = self.choice(word, name)
            decided[choice] = self._on_device(self._planes(example, choice.domain, f"the example for {word}"))
        if isinstance(image, Image.Image):
            self._pil_channels(chosen.target)
        planes = self._planes(image, chosen.source, "the image")
        output = self._compute(self._on_device(planes), chosen, decided, seed)
        if planes.dtype == torch.uint8:
            output = to_uint8(output)
        output = (output if planes.dim() == 4 else output[0]).to(planes.device).to(planes.dtype)
        if isinstance(image, Tensor):
            return output
        pixels = output.permute(1, 2, 0).numpy()
        return Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])

    def choice(self, name: str, direction: str | None = None) -> Choice:
        """The choice of that name. Raises UserError for one that the direction does not have."""
        chosen = self.direction(direction)
        choices = {choice.name: choice for choice in self._plan.method.directions[chosen].choices}
        if name not in choices:
            offers = f"It has: {', '.join(choices)}" if choices else "Nothing about it can be chosen"
            raise UserError(f"{chosen} has no choice '{name}'{did_you_mean(name, list(choices))} {offers}")
        return choices[name]

    def _planes(self, image: Image.Image | Tensor, domain: str, what: str) -> Tensor:
        """(C, H, W) or (N, C, H, W), as it came. what: for messages."""
        if isinstance(image, Tensor):
            self._check(image.detach(), self._channels[domain])
            return image.detach()
        if not isinstance(image, Image.Image):
            raise UserError(f"{what} must be a PIL image or a tensor, not {type(image).__name__}")
        try:
            pixels = np.array(convert_image(image, self._pil_channels(domain)))
        except UserError as error:
            raise UserError(f"{what} {error}") from None
        return torch.from_numpy(pixels if pixels.ndim == 3 else pixels[..., None]).permute(2, 0, 1)

    def _on_device(self, planes: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1]."""
        batch = to_unit_range(planes, self._dtype).to(self.device)
        return batch if batch.dim() == 4 else batch[None]

    def _pil_channels(self, domain: str) -> Channels:
        channels = self._channels[domain]
        if channels not in _PIL_CHANNELS:
            raise UserError(
                f"images of domain {domain} have {channels} channels, which no PIL image has: translate tensors instead"
            )
        return _PIL_CHANNELS[channels]

    @staticmethod
    def _check(images: Tensor, channels: int) -> None:
        shape = "×".join(map(str, images.shape))
        if images.dim() not in (3, 4) or images.shape[-3] != channels or images.numel() == 0:
            raise UserError(f"a tensor must be ({channels}, H, W) or (N, {channels}, H, W), this one is {shape}")
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise UserError(f"a tensor must be uint8 or floating point, this one is {images.dtype}")
        # Interpolation may have overshot a little; 0 … 255 in floating point must not pass, nor anything that is NaN.
        if images.is_floating_point() and not float(images.abs().amax()) < 2:
            low, high = float(images.min()), float(images.max())
            raise UserError(
                f"a floating point tensor must lie in [-1, 1], this one has {low:g} … {high:g}: "
                f"pass uint8, or x / 127.5 - 1 of what is in 0 … 255"
            )

    def _batch(self, given: Mapping[str, Tensor], draws: Draws) -> Method:
        return self._plan.method.tensors(given, self._networks, self._calls, draws, grad=False)

    @torch.no_grad()
    def _compute(self, images: Tensor, direction: Direction, examples: Mapping[Choice, Tensor], seed: int) -> Tensor:
        """images: (N, C, H, W) in [-1, 1], on the device. The output, of the same height and width."""
        height, width = images.shape[-2:]
        draws = Draws(self._plan.training.seed, 0, seed, 0, "translate")
        with (
            torch.random.fork_rng([self.device] if self.device.type == "cuda" else []),
            _told(self.device, f"an image of {width}×{height}"),
        ):
            draws.reseed_ambient(self.device, direction.given)
            given = {direction.given: self._fit.pad(images)}
            for choice, example in examples.items():
                like = self._batch({f"real_{choice.domain}": self._fit.pad(example)}, draws)
                found = like[choice.taken]
                given[choice.drawn] = found.expand(len(images), *found.shape[1:]) if len(found) == 1 else found
            batch = self._batch(given, draws)
            output = crop(batch[direction.output], height, width)
        if output.shape[-2:] != images.shape[-2:]:
            raise UserError(
                f"the networks make {output.shape[-1]}×{output.shape[-2]} of an image of {width}×{height}: "
                f"a network must keep the size, or say by its attributes `multiple` and `smallest` which sides it takes"
            )
        return output


def _find_run(path: Path) -> RunFolder:
    folder = RunFolder(path)
    if folder.exists():
        return folder
    if path.is_dir():
        inside = sorted(str(record.parent) for depth in ("*", "*/*") for record in path.glob(f"{depth}/{RECORD}"))
        listing = f" It holds runs: {', '.join(inside[:5])}{' …' if len(inside) > 5 else ''}" if inside else ""
        raise UserError(f"{path} is no run folder: it has no {RECORD}.{listing}")
    if path.exists():
        raise UserError(f"{path} is a file, not the folder of a run")
    beside = [item.name for item in path.parent.iterdir() if item.is_dir()] if path.parent.is_dir() else []
    raise UserError(f"there is no run folder {path}{did_you_mean(path.name, beside)}")


def _record_of(folder: RunFolder) -> dict[str, Any]:
    record = folder.record()
    if record.get("format") != 1:
        raise UserError(f"{folder.path / RECORD} is not what a run notes about itself, or of another version's format")
    return record


def _check_files(folder: RunFolder, recipe: Mapping[str, Any], record: Mapping[str, Any], trust: bool) -> None:
    """Raises UserError unless every plugin file of a run may be executed.

    A file may when it is what the run was trained with, and either the user trusts the run, or the file is the copy of
    one that is still where the training found it.
    """
    noted = {Path(entry).name: file for entry, file in record["files"].items()}
    listed = recipe.get("plugins")
    for entry in listed if isinstance(listed, list) else ():
        if not (isinstance(entry, str) and entry.endswith(".py")):
            continue
        copy = folder.path / entry
        file = noted.get(copy.name)
        if not copy.is_file():
            raise UserError(f"the run is not whole: the plugin file {copy} is missing")
        if file is None or sha256_of(copy) != file["sha256"]:
            raise UserError(
                f"{copy} is not the plugin file that the run was trained with: {RECORD} has another SHA-256 of it"
            )
        if not trust and not _is_own(Path(file["path"]), folder, file["sha256"]):
            raise UserError(
                f"loading this run would execute {copy}, which is not known to be yours: "
                f"{file['path']}, which it was copied from, is not there, or has changed.\n"
                f"Read the file; if you trust it, say so with --trust (in Python: trust=True)"
            )


def _is_own(original: Path, folder: RunFolder, sha256: str) -> bool:
    # The path stands in a file that came with the run: it must not lead back into what else came with it.
    return (
        original.is_absolute()
        and original.is_file()
        and not original.resolve().is_relative_to(folder.path.resolve())
        and sha256_of(original) == sha256
    )


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
    """The newest whole checkpoint. Unlike a training that goes on, applying a run leaves damaged files as they are."""
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
        raise UserError("\n  ".join([f"no checkpoint in {checkpoints.folder} is whole:", *damaged]))
    raise UserError(f"there is no checkpoint in {checkpoints.folder} yet: the run must go on until it has saved one")


def _generators(
    resolved: ResolvedRecipe, channels: Mapping[str, int], checkpoint: Checkpoint, device: torch.device
) -> dict[str, nn.Module]:
    """The trained networks of the generators' side. Raises UserError when the checkpoint does not fit them."""
    resolved_all = {
        name: item
        for name, item in resolved.networks.items()
        # A run leaves out what it does not need.
        if item.role.side == GENERATORS and f"networks/{name}" in checkpoint.parts
    }
    modules = build_networks(resolved, resolved_all, channels, device, load=False)
    states = {}
    for name in modules:
        for part in (f"ema/{name}", f"networks/{name}"):
            if part in checkpoint.parts:
                states[name] = checkpoint.parts[part]
                break
    replace(checkpoint, parts=states).restore(modules)
    return {name: module.eval().requires_grad_(False) for name, module in modules.items()}


@contextmanager
def _told(device: torch.device, what: str) -> Iterator[None]:
    """Raises UserError for what networks and devices cannot do; torch raises bare RuntimeErrors for all of it."""
    try:
        yield
    except RuntimeError as error:
        if _NO_MEMORY.search(str(error)):
            raise UserError(
                f"{device} has too little memory for {what}: take another device, or a smaller image"
            ) from error
        raise UserError(f"{device} cannot compute {what}: {str(error).strip().splitlines()[0]}") from error
