"""The command `translate-apply`: files and folders of images through a trained run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from translate_core.commands.arguments import command_parser, completed_by, folders, parsed
from translate_core.errors import Fault, FaultsError, UserError, did_you_mean
from translate_core.runtime.console import OK, USER_FAULT, guarded, tell
from translate_core.runtime.device import CHOICES

if TYPE_CHECKING:
    from PIL import Image

    Translate = Callable[[Image.Image], list[Image.Image]]


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
    made.add_argument("--direction", metavar="NAME", help="A-B, B-A … (default: the first that the run has)")
    made.add_argument(
        "--choose",
        action="append",
        default=[],
        metavar="NAME=IMAGE",
        help="take what the run would draw, such as style, from an image: --choose style=boot.png",
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
        "--checkpoint", metavar="STEP", help="a step (120), a name (step-120) or a file (default: the newest)"
    )
    made.add_argument("--device", choices=CHOICES, default="auto", help="where to compute (default: %(default)s)")
    made.add_argument("--trust", action="store_true", help="execute plugin files that came with somebody else's run")
    return made


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status.

    0 when every image was translated, 2 for the user's fault, also when some images do not decode, 130 interrupted,
    1 a defect.
    """
    options = parsed(parser(), arguments)
    return guarded("translate-apply", lambda: _apply(options))


def _apply(options: argparse.Namespace) -> int:
    jobs = plan_jobs(options.inputs, options.out)
    examples = _examples(options.choose)

    from translate_core.translating.translator import Translator

    translator = Translator.load(options.run, checkpoint=options.checkpoint, device=options.device, trust=options.trust)
    direction = translator.direction(options.direction)
    for name in examples:
        translator.choice(name, direction)
    drawn = [name for name in translator.choices(direction) if name not in examples]
    several = options.direction is None and len(translator.directions) > 1
    tell(
        f"translating {len(jobs)} image{'s' if len(jobs) > 1 else ''} {direction} on {translator.device}, "
        f"with {options.run} after step {translator.step}"
        + (f" (it has {', '.join(translator.directions)}: choose with --direction)" if several else "")
        + (f" ({' and '.join(drawn)} drawn: --choose {drawn[0]}=IMAGE takes it from an image)" if drawn else "")
    )

    def translate(image: Image.Image) -> list[Image.Image]:
        return [
            translator.translate(image, direction, examples=examples, seed=options.seed + sample)
            for sample in range(options.samples)
        ]

    faults = _translate_all(_checked(translate, direction) if options.samples > 1 else translate, options.out, jobs)
    if faults:
        tell(f"translate-apply: {len(faults)} of {len(jobs)} images could not be translated")
        for fault in faults:
            tell(f"  {fault.path}: {fault.message}")
        return USER_FAULT
    tell(f"done: {options.out}")
    return OK


def _examples(choose: Sequence[str]) -> dict[str, Image.Image]:
    """The images named by `--choose`, decoded. Raises FaultsError with all that is wrong with them."""
    from translate_core.runtime.images import open_image

    examples: dict[str, Image.Image] = {}
    faults = []
    for text in choose:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            faults.append(Fault("--choose", f"'{text}' must be NAME=IMAGE, such as style=boot.png"))
        elif name in examples:
            faults.append(Fault("--choose", f"names two images for {name}"))
        else:
            try:
                examples[name] = open_image(Path(path).read_bytes())
            except UserError as error:
                faults.append(Fault(f"--choose {name}", f"{path} {error}"))
            except OSError as error:
                faults.append(Fault(f"--choose {name}", f"{path} cannot be read: {error.strerror}"))
    if faults:
        raise FaultsError("what to choose", faults)
    return examples


class _NothingDrawnError(UserError):
    """Several samples were asked for, and they are equal."""


def _checked(translate: Translate, direction: str) -> Translate:
    """Refuses to write the same image several times, of a run that draws nothing."""

    def translate_and_compare(image: Image.Image) -> list[Image.Image]:
        images = translate(image)
        if images[0].tobytes() == images[1].tobytes():
            raise _NothingDrawnError(
                f"{direction} draws nothing, so that every sample is the same: leave --samples out"
            )
        return images

    return translate_and_compare


def plan_jobs(inputs: Sequence[Path], out: Path) -> dict[Path, Path]:
    """What is to be written, and out of what: target -> source. Nothing is read or written yet.

    A file goes into `out` under its name, an image in a folder under its path in that folder; the ending becomes
    `.png`. Where `out` lies inside an input folder, what is in it is no input.

    Raises FaultsError for inputs that do not exist or hold no images, for two that would be written to the same file,
    and when an input would be overwritten.
    """
    faults = [Fault("--out", f"{out} is a file, not a folder")] if out.is_file() else []
    sources: dict[Path, Path] = {}
    for given in inputs:
        try:
            found = _find(given, out)
        except UserError as error:
            faults.append(Fault(str(given), str(error)))
            continue
        for source, name in found.items():
            target = out / (name if name.suffix.lower() == ".png" else name.with_suffix(".png"))
            other = sources.setdefault(target, source)
            if other.resolve() != source.resolve():
                faults.append(Fault(str(source), f"would be written to {target}, and so would {other}: rename one"))
    faults += _overwritten(sources)
    if faults:
        raise FaultsError("what to translate", faults)
    return sources


def _find(given: Path, out: Path) -> dict[Path, Path]:
    """The images that an input stands for -> their names relative to it. Raises UserError."""
    from translate_core.runtime.images import SUFFIXES, find_images

    if given.is_dir():
        found = {given / name: Path(name) for name in find_images(given)}
        results = out.resolve()
        if given.resolve() in results.parents:
            found = {source: name for source, name in found.items() if results not in source.resolve().parents}
        if not found:
            raise UserError(f"holds no images: no {', '.join(sorted(SUFFIXES))} files")
        return found
    if given.exists():
        return {given: Path(given.name)}
    beside = [item.name for item in given.parent.iterdir()] if given.parent.is_dir() else []
    raise UserError(f"does not exist{did_you_mean(given.name, beside)}")


def _overwritten(sources: Mapping[Path, Path]) -> list[Fault]:
    inputs = {source.resolve() for source in sources.values()}
    own = [target for target in sources if target.resolve() in inputs]
    return [Fault("--out", f"{own[0]} is an input, and would be overwritten: choose another folder")] if own else []


def _translate_all(translate: Translate, out: Path, jobs: Mapping[Path, Path]) -> list[Fault]:
    """Writes every image that can be translated; returns what is wrong with the others."""
    from translate_core.runtime.images import open_image
    from translate_core.runtime.progress import progress

    faults = []
    with progress("translating", len(jobs), "images", announce=False) as advance:
        for target, source in jobs.items():
            try:
                images = translate(open_image(source.read_bytes()))
            except _NothingDrawnError:
                raise
            except UserError as error:
                faults.append(Fault(str(source), str(error)))
            except OSError as error:
                faults.append(Fault(str(source), f"cannot be read: {error.strerror}"))
            else:
                for number, image in enumerate(images, 1):
                    folder = out / f"sample-{number}" if len(images) > 1 else out
                    _write(image, folder / target.relative_to(out))
            advance(1)
    return faults


def _write(image: Image.Image, target: Path) -> None:
    """Writes a PNG file whole or not at all. Raises UserError."""
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            image.save(part, format="PNG")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
