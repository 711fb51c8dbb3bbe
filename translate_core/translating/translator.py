"""A trained run, applied: images of any size, from nothing but the run folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from translate_core.components.blame import blamed
from translate_core.contracts.dataset import Dataset, to_uint8, to_unit_range
from translate_core.contracts.direction import Choice, Direction, Option
from translate_core.contracts.network import PRECISIONS, Calls, Network
from translate_core.errors import NoMemoryError, UserError, did_you_mean, is_out_of_memory
from translate_core.runtime.device import choose_device
from translate_core.runtime.images import Channels, convert_image
from translate_core.runtime.label_maps import read_label_map
from translate_core.runtime.randomness import Draws
from translate_core.training.given import kinds_of
from translate_core.training.inference import Inference
from translate_core.training.size_constraint import SizeConstraint
from translate_core.translating.opening import OpenedRun, build_applied, open_run_folder

_PIL_CHANNELS: Mapping[int, Channels] = {1: 1, 3: 3}

Examples = Mapping[str, Image.Image | Tensor]
"""Example images by the name of a choice."""

Options = Mapping[str, int | float]
"""Values by the name of an option."""


class Translator:
    """The translations that a run has learned: `Translator.load("runs/mine").translate(image)`.

    Networks are in evaluation mode, with EMA weights where the run has them. An image is translated the same way each
    time, unless another seed is given.

    directions: the names of the translations, such as A-B; the first is the default. step: the training steps behind
    the weights. device: where it computes. networks: the networks as modules, by role, such as G_AB.
    """

    def __init__(self, run: OpenedRun, device: torch.device) -> None:
        """Raises UserError for a checkpoint of another recipe."""
        recipe = run.recipe
        self.step = run.checkpoint.step
        self.device = device
        self.directions = tuple(recipe.method.directions)
        self._recipe = recipe
        self._channels = run.channels
        precision = PRECISIONS[recipe.training.precision]
        self._dtype = precision.dtype
        with _device_errors(device, "the networks"), blamed(recipe.plugins.registry):
            self.networks: Mapping[str, nn.Module] = build_applied(run, device)
        calls = Calls()
        networks = {
            name: Network(recipe.networks[name].role, module, calls, precision)
            for name, module in self.networks.items()
        }
        constraint = SizeConstraint.of(self.networks.values())
        self._inference = Inference(recipe.method, networks, calls, constraint, device)

    @classmethod
    def load(
        cls,
        run: str | os.PathLike[str],
        *,
        checkpoint: int | str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        trust: bool = False,
    ) -> Self:
        """Loads a run from its folder, which is not changed; the training images need not exist.

        checkpoint: a step (`120`), a name (`step-120`) or a file; None for the newest complete one.
        device: auto, cpu, cuda or mps, or a device of torch.
        trust: whether to execute code that the run names, plugin files and modules, though the run is not known to be
            your own.

        Raises UserError when the folder, the checkpoint or the device is not there, when the checkpoint is damaged or
        belongs to another recipe, and when loading would execute somebody else's code; RecipeError when a plugin is
        missing.
        """
        return cls(open_run_folder(Path(run), checkpoint, trust), choose_device(device))

    def takes_pairs(self, files: str | None) -> bool:
        """Whether files are to be cut into the images of their domains, as the training files were.

        files: `images`, `pairs`, or None if the user has not said.
        Raises UserError for None where the training files held several images, since a file may then be either, and for
        `pairs` where they held one.
        """
        several = type(self._recipe.data()).parts is not Dataset.parts
        kind = self._recipe.data.registration.name
        if files is None and several:
            raise UserError(
                f"this run was trained on files that hold several images ({kind}). Add --files pairs to translate one "
                f"half of such files, or --files images if each file holds one image"
            )
        if files == "pairs" and not several:
            raise UserError(f"this run was trained on files that hold one image each ({kind}): leave --files out")
        return files == "pairs"

    def part(self, image: Image.Image, direction: str | None = None) -> Image.Image:
        """The image of the source domain in a file that holds several, cut as for training.

        Raises UserError for an image that cannot be cut, and for an unknown direction.
        """
        dataset: Dataset = self._recipe.data()
        return dataset.parts(image)[self._recipe.method.directions[self.direction(direction)].source]

    def direction(self, name: str | None = None) -> str:
        """The name of a direction; the first one for None. Raises UserError for a name that the run does not have."""
        if name is None and self.directions:
            return self.directions[0]
        if name is not None and name in self.directions:
            return name
        asked = "." if name is None else f" '{name}'{did_you_mean(name, self.directions)}"
        raise UserError(f"there is no direction{asked} The run has: {', '.join(self.directions) or 'none'}")

    def choices(self, direction: str | None = None) -> tuple[str, ...]:
        """The properties of a translation that are drawn, or taken from an example image, such as style; often none."""
        return tuple(choice.name for choice in self._recipe.method.directions[self.direction(direction)].choices)

    @overload
    def translate(
        self,
        image: Image.Image,
        direction: str | None = None,
        *,
        examples: Examples | None = None,
        options: Options | None = None,
        seed: int = 0,
    ) -> Image.Image: ...

    @overload
    def translate(
        self,
        image: Tensor,
        direction: str | None = None,
        *,
        examples: Examples | None = None,
        options: Options | None = None,
        seed: int = 0,
    ) -> Tensor: ...

    def translate(
        self,
        image: Image.Image | Tensor,
        direction: str | None = None,
        *,
        examples: Examples | None = None,
        options: Options | None = None,
        seed: int = 0,
    ) -> Image.Image | Tensor:
        """Translates one image or a batch; the result has the type, the size and the dtype of the input.

        image: a PIL image of any mode with 8 bits a channel, rotated upright by its EXIF data; the result is RGB, or L
            where the target domain is greyscale. Or a tensor (C, H, W) or (N, C, H, W) on any device, uint8 0 … 255 or
            floating point in [-1, 1]. Where the run was trained on label maps: an 8-bit greyscale or palette image
            whose pixels are numbers of classes, or a tensor of integers (1, H, W) or (N, 1, H, W).
        direction: one of `directions`; the first one for None.
        examples: by name of a choice, the image that it is taken from, of the same types as `image`; other choices
            are drawn.
        options: numbers by name, such as {"steps": 50}; `options` lists those of a direction, with their defaults.
        seed: decides the draws, such as style and dropout.

        Images may have any size: they are padded by reflection to a size that the networks take, and cropped
        afterwards.

        Raises UserError for an unknown direction, choice or option, a value outside the range of an option, an image
        that cannot be decoded, a tensor of another shape, type or range, an image that needs more memory than the
        device has, and where a plugin fails.
        """
        name = self.direction(direction)
        chosen = self._recipe.method.directions[name]
        decided = {}
        for word, example in (examples or {}).items():
            choice = self.choice(word, name)
            decided[choice] = self._on_device(self._planes(example, choice.domain, f"the example for {word}"))
        if isinstance(image, Image.Image):
            self._pil_channels(chosen.target)
        is_map = kinds_of(self._recipe.method).get(chosen.given) == "map"
        planes = self._label_map(image) if is_map else self._planes(image, chosen.source, "the image")
        numbers = self.read_options(options or {}, name)
        output = self._compute(self._on_device(planes, is_map=is_map), chosen, decided, numbers, seed)
        if not planes.is_floating_point():
            output = to_uint8(output)
        output = (output if planes.dim() == 4 else output[0]).to(planes.device).to(planes.dtype)
        if isinstance(image, Tensor):
            return output
        pixels = output.permute(1, 2, 0).numpy()
        return Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])

    def choice(self, name: str, direction: str | None = None) -> Choice:
        """The choice of that name. Raises UserError for a name that the direction does not have."""
        chosen = self.direction(direction)
        choices = {choice.name: choice for choice in self._recipe.method.directions[chosen].choices}
        if name not in choices:
            offers = f"It has: {', '.join(choices)}" if choices else "It has no choices"
            raise UserError(f"{chosen} has no choice '{name}'{did_you_mean(name, list(choices))} {offers}")
        return choices[name]

    def options(self, direction: str | None = None) -> tuple[Option, ...]:
        """The numbers that a user may set for a direction, such as sampling steps; often none."""
        return self._recipe.method.directions[self.direction(direction)].options

    def read_options(self, values: Mapping[str, object], direction: str | None = None) -> dict[str, int | float]:
        """The options of a direction by name: the given values, numbers or text, and defaults otherwise.

        Raises UserError for a name that the direction does not have, and for a value outside its range.
        """
        chosen = self.direction(direction)
        known = {option.name: option for option in self.options(chosen)}
        for name in values:
            if name not in known:
                offers = f"It has: {', '.join(known)}" if known else "It has no options"
                raise UserError(f"{chosen} has no option '{name}'{did_you_mean(name, list(known))} {offers}")
        return {name: option.read(values.get(name, option.default)) for name, option in known.items()}

    def _planes(self, image: Image.Image | Tensor, domain: str, what: str) -> Tensor:
        """(C, H, W) or (N, C, H, W) in the dtype of the input. what: names the image in messages."""
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

    def _label_map(self, image: Image.Image | Tensor) -> Tensor:
        """The numbers of the classes, integers (1, H, W) or (N, 1, H, W)."""
        classes = self._recipe.data().classes
        if isinstance(image, Image.Image):
            try:
                return torch.from_numpy(np.array(read_label_map(image, classes)))[None]
            except UserError as error:
                raise UserError(f"the image {error}") from None
        numbers = image.detach()
        if numbers.dim() not in (3, 4) or numbers.shape[-3] != 1 or numbers.is_floating_point():
            raise UserError("a label map must be a tensor of integers, (1, H, W) or (N, 1, H, W)")
        if int(numbers.max()) >= len(classes):
            raise UserError(
                f"the label map holds the value {int(numbers.max())}, but there are {len(classes)} classes, numbered "
                f"0 … {len(classes) - 1}"
            )
        return numbers

    def _on_device(self, planes: Tensor, *, is_map: bool = False) -> Tensor:
        """(N, C, H, W): images in [-1, 1], label maps as they are."""
        batch = (planes if is_map else to_unit_range(planes, self._dtype)).to(self.device)
        return batch if batch.dim() == 4 else batch[None]

    def _pil_channels(self, domain: str) -> Channels:
        channels = self._channels[domain]
        if channels not in _PIL_CHANNELS:
            raise UserError(
                f"images of domain {domain} have {channels} channels, a PIL image has 1 or 3: translate tensors instead"
            )
        return _PIL_CHANNELS[channels]

    @staticmethod
    def _check(images: Tensor, channels: int) -> None:
        shape = "×".join(map(str, images.shape))
        if images.dim() not in (3, 4) or images.shape[-3] != channels or images.numel() == 0:
            raise UserError(f"a tensor must be ({channels}, H, W) or (N, {channels}, H, W), this one is {shape}")
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise UserError(f"a tensor must be uint8 or floating point, this one is {images.dtype}")
        # Interpolation may overshoot a little; floating point values of 0 … 255 and NaN are refused.
        if images.is_floating_point() and not float(images.abs().amax()) < 2:
            low, high = float(images.min()), float(images.max())
            raise UserError(
                f"a floating point tensor must lie in [-1, 1], this one has {low:g} … {high:g}: "
                f"pass uint8, or x / 127.5 - 1 of what is in 0 … 255"
            )

    @torch.no_grad()
    def _compute(
        self,
        images: Tensor,
        direction: Direction,
        examples: Mapping[Choice, Tensor],
        options: Mapping[str, int | float],
        seed: int,
    ) -> Tensor:
        """The output for images (N, C, H, W) in [-1, 1] on the device; of the same height and width."""
        height, width = images.shape[-2:]
        draws = Draws(self._recipe.training.seed, 0, seed, 0, "translate")
        with (
            torch.random.fork_rng([self.device] if self.device.type == "cuda" else []),
            _device_errors(self.device, f"an image of {width}×{height}"),
            blamed(self._recipe.plugins.registry),
        ):
            values = direction.labels(len(images), self.device)
            for choice, image in examples.items():
                values[choice.drawn] = self._taken(direction, choice, image, draws, len(images))
            tensors = self._inference.tensors(direction.given, {direction.given: images}, draws, values, options)
            output = tensors[direction.output]
        if output.shape[-2:] != images.shape[-2:]:
            raise UserError(
                f"the networks return {output.shape[-1]}×{output.shape[-2]} for an image of {width}×{height}: "
                f"a network must keep the size, or declare the sides that it takes by `multiple` and `smallest`"
            )
        return output

    def _taken(self, direction: Direction, choice: Choice, example: Tensor, draws: Draws, count: int) -> Tensor:
        """The value of a choice in an example image, for a batch of `count`."""
        labels = direction.labels(len(example), self.device)
        tensors = self._inference.tensors(choice.given, {choice.given: example}, draws, labels)
        value: Tensor = tensors.bound[choice.taken]
        return value.expand(count, *value.shape[1:]) if len(value) == 1 else value


@contextmanager
def _device_errors(device: torch.device, what: str) -> Iterator[None]:
    """Turns the bare RuntimeErrors of torch inside the block, and want of memory, into UserErrors."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise NoMemoryError(
                f"{device} has too little memory for {what}: use another device, or a smaller image"
            ) from error
        raise UserError(f"{device} cannot compute {what}: {str(error).strip().splitlines()[0]}") from error
