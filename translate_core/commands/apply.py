"""The command `translate-apply`: files and folders of images through a trained run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from translate_core.commands.arguments import command_parser, completed_by, folders, parsed
from translate_core.runtime.console import OK, USER_FAULT, guarded, inform
from translate_core.runtime.device import CHOICES
from translate_core.runtime.memory import check_room_for_torch

if TYPE_CHECKING:
    from PIL import Image

    from translate_core.translating.translator import Translator


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = command_parser(
        "translate-apply",
        "Translate images with a trained run, each at its own size. The run folder is all that it needs.",
    )
    completed_by(made.add_argument("run", type=Path, metavar="RUN", help="the folder of a run"), folders)
    made.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="INPUT",
        help="image files, and folders of them (with their sub-folders)",
    )
    made.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where to write PNG files of the same names"
    )
    made.add_argument(
        "--files",
        choices=("images", "pairs"),
        help="what the files hold, for a run that was trained on pairs side by side: one image each, or such pairs, of "
        "which the half of the source domain is translated",
    )
    made.add_argument("--direction", metavar="NAME", help="A-B, B-A … (default: the first that the run has)")
    made.add_argument(
        "--choose",
        action="append",
        default=[],
        metavar="NAME=IMAGE",
        help="take a property that is otherwise drawn, such as style, from an image: --choose style=boot.png",
    )
    made.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="set an option of the direction, such as --option steps=50",
    )
    made.add_argument(
        "--samples",
        type=_positive,
        default=1,
        metavar="N",
        help="translate each image N times, with other draws, into DIR/sample-1, DIR/sample-2 …",
    )
    made.add_argument("--seed", type=int, default=0, metavar="N", help="another seed, other draws (default: 0)")
    made.add_argument(
        "--max-pixels",
        type=_pixels,
        metavar="N",
        help="translate images of up to N pixels, width × height (default: 178,956,970)",
    )
    made.add_argument(
        "--checkpoint", metavar="STEP", help="a step (120), a name (step-120) or a file (default: the newest)"
    )
    made.add_argument("--device", choices=CHOICES, default="auto", help="where to compute (default: %(default)s)")
    made.add_argument("--trust", action="store_true", help="import the plugins that somebody else's run lists")
    return made


_MEMORY = "Translate smaller images, or fewer --samples at a time"

_MOST_SAMPLES = 10_000
"""All samples of an image are in memory before they are written."""


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MOST_SAMPLES:
        raise argparse.ArgumentTypeError(f"must be 1 … {_MOST_SAMPLES:,}, not {number}")
    return number


def _pixels(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status.

    0 when every image was translated, 2 for the user's fault, also when some images do not decode, 130 interrupted,
    1 a defect.
    """
    options = parsed(parser(), arguments)
    return guarded("translate-apply", lambda: _apply(options), memory=_MEMORY)


def _apply(options: argparse.Namespace) -> int:
    # Faults of the arguments are reported before torch is imported.
    from translate_core.runtime.images import MAX_PIXELS
    from translate_core.translating.files import plan_jobs, read_examples, read_option_texts, translate_files

    jobs = plan_jobs(options.inputs, options.out)
    max_pixels = options.max_pixels or MAX_PIXELS
    examples = read_examples(options.choose, max_pixels)
    options_given = read_option_texts(options.option)

    check_room_for_torch()
    from translate_core.translating.translator import Translator

    translator = Translator.load(options.run, checkpoint=options.checkpoint, device=options.device, trust=options.trust)
    direction = translator.direction(options.direction)
    for name in examples:
        translator.choice(name, direction)
    numbers = translator.read_options(options_given, direction)
    pairs = translator.takes_pairs(options.files)
    inform(_opening(options, translator, direction, len(jobs)))

    def translate(image: Image.Image) -> list[Image.Image]:
        source = translator.part(image, direction) if pairs else image
        return [
            translator.translate(source, direction, examples=examples, options=numbers, seed=options.seed + sample)
            for sample in range(options.samples)
        ]

    faults = translate_files(translate, options.out, jobs, max_pixels)
    if faults:
        inform(f"translate-apply: {len(faults)} of {len(jobs)} images could not be translated")
        for fault in faults:
            inform(f"  {fault.path}: {fault.message}")
        return USER_FAULT
    inform(f"done: {options.out}")
    return OK


def _given_names(texts: Sequence[str]) -> set[str]:
    """The names in `NAME=VALUE` texts."""
    return {text.partition("=")[0] for text in texts}


def _opening(options: argparse.Namespace, translator: Translator, direction: str, count: int) -> str:
    """What is translated, and which other directions and choices there are."""
    text = f"translating {count} image{'s' if count > 1 else ''} {direction} on {translator.device}, "
    text += f"with {options.run} after step {translator.step}"
    if options.direction is None and len(translator.directions) > 1:
        text += f" (it has {', '.join(translator.directions)}: choose with --direction)"
    chosen = _given_names(options.choose)
    drawn = [name for name in translator.choices(direction) if name not in chosen]
    if drawn:
        text += f" ({' and '.join(drawn)} drawn: --choose {drawn[0]}=IMAGE takes it from an image)"
    free = [option for option in translator.options(direction) if option.name not in _given_names(options.option)]
    if free:
        listed = ", ".join(f"{option.name}={option.default}" for option in free)
        text += f" (options: {listed}: change with --option)"
    return text


if __name__ == "__main__":
    sys.exit(main())
