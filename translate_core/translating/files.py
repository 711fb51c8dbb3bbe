"""Files in and out: which images are translated, and where their translations are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image

from translate_core.errors import Fault, FaultsError, UserError, did_you_mean, reason_of
from translate_core.runtime.files import atomic_write, make_folder, read_file, real_path
from translate_core.runtime.images import MAX_PIXELS, SUFFIXES, find_images, open_image
from translate_core.runtime.progress import progress
from translate_core.storage.names import enclosing_run

Translate = Callable[[Image.Image], list[Image.Image]]
"""From the image in a file to its translations, one a sample."""


class NothingDrawnError(UserError):
    """Several samples were requested of a direction that draws nothing: they are equal."""


def plan_jobs(inputs: Sequence[Path], out: Path) -> dict[Path, Path]:
    """The files to write, each with the file to translate. Nothing is read or written yet.

    A file is written into `out` under its name, an image in a folder under its path in that folder; the suffix becomes
    `.png`. If `out` lies inside an input folder, the files in it are not inputs.

    Raises FaultsError for inputs that do not exist or hold no images, for two that would be written to the same file,
    when an input would be overwritten, and for results in a run folder.
    """
    faults = _faults_of_out(out)
    sources: dict[Path, Path] = {}
    for given in inputs:
        try:
            found = _find(given, out)
        except UserError as error:
            faults.append(Fault(str(given), str(error)))
            continue
        except OSError as error:
            faults.append(Fault(str(error.filename or given), f"cannot be read: {reason_of(error)}"))
            continue
        for source, name in found.items():
            target = out / (name if name.suffix.lower() == ".png" else name.with_suffix(".png"))
            other = sources.setdefault(target, source)
            if real_path(other) != real_path(source):
                faults.append(Fault(str(source), f"would be written to {target}, and so would {other}: rename one"))
    faults += _overwritten(sources)
    if faults:
        raise FaultsError("what to translate", faults)
    return sources


def _faults_of_out(out: Path) -> list[Fault]:
    if out.is_file():
        return [Fault("--out", f"{out} is a file, not a folder")]
    run = enclosing_run(out)
    if run is not None:
        return [Fault("--out", f"{out} lies in the run folder {run}, whose files only training writes: choose another")]
    return []


def _find(given: Path, out: Path) -> dict[Path, Path]:
    """The images of an input, each with its path below the input. Raises UserError."""
    if given.is_dir():
        found = {given / name: Path(name) for name in find_images(given)}
        results = real_path(out)
        if real_path(given) in results.parents:
            found = {source: name for source, name in found.items() if results not in real_path(source).parents}
        if not found:
            raise UserError(f"holds no images: no {', '.join(sorted(SUFFIXES))} files")
        return found
    if given.exists():
        return {given: Path(given.name)}
    beside = [item.name for item in given.parent.iterdir()] if given.parent.is_dir() else []
    raise UserError(f"does not exist{did_you_mean(given.name, beside)}")


def _overwritten(sources: Mapping[Path, Path]) -> list[Fault]:
    inputs = {real_path(source) for source in sources.values()}
    own = [target for target in sources if real_path(target) in inputs]
    return [Fault("--out", f"{own[0]} is an input, and would be overwritten: choose another folder")] if own else []


def _opened(path: Path, max_pixels: int) -> Image.Image:
    return open_image(read_file(path), max_pixels, "--max-pixels ")


def read_examples(choices: Sequence[str], max_pixels: int = MAX_PIXELS) -> dict[str, Image.Image]:
    """The example images of `NAME=IMAGE` texts, by name. Raises FaultsError with all faults.

    max_pixels: width × height of the largest image.
    """
    faults: list[Fault] = []
    examples: dict[str, Image.Image] = {}
    for name, path in _named("--choose", choices, "IMAGE, such as style=boot.png", "names two images for", faults):
        try:
            examples[name] = _opened(Path(path), max_pixels)
        except UserError as error:
            faults.append(Fault(f"--choose {name}", f"{path} {error}"))
        except OSError as error:
            faults.append(Fault(f"--choose {name}", f"{path} cannot be read: {reason_of(error)}"))
    if faults:
        raise FaultsError("--choose", faults)
    return examples


def read_option_texts(texts: Sequence[str]) -> dict[str, str]:
    """The values of `NAME=NUMBER` texts, by name, as text. Raises FaultsError with all faults."""
    faults: list[Fault] = []
    values = dict(_named("--option", texts, "NUMBER, such as steps=50", "has two values for", faults))
    if faults:
        raise FaultsError("--option", faults)
    return values


def _named(option: str, texts: Sequence[str], form: str, twice: str, faults: list[Fault]) -> Iterator[tuple[str, str]]:
    """Name and value of each `NAME=VALUE` text. Adds a fault for each of another form, and for a second of one name."""
    names: set[str] = set()
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            faults.append(Fault(option, f"'{text}' must be NAME={form}"))
        elif name in names:
            faults.append(Fault(option, f"{twice} {name}"))
        else:
            names.add(name)
            yield name, value


def translate_files(
    translate: Translate, out: Path, jobs: Mapping[Path, Path], max_pixels: int = MAX_PIXELS
) -> list[Fault]:
    """Translates every file and writes the results; returns the faults of files that could not be translated.

    Samples beyond the first one go into `out/sample-1`, `out/sample-2` and so on. max_pixels: width × height of the
    largest image. Raises NothingDrawnError when several samples are equal.
    """
    faults = []
    with progress("translating", len(jobs), "images", announce=False) as advance:
        for target, source in jobs.items():
            try:
                images = translate(_opened(source, max_pixels))
            except UserError as error:
                faults.append(Fault(str(source), str(error)))
            except OSError as error:
                faults.append(Fault(str(source), f"cannot be read: {reason_of(error)}"))
            else:
                _check_that_samples_differ(images)
                for number, image in enumerate(images, 1):
                    folder = out / f"sample-{number}" if len(images) > 1 else out
                    _write(image, folder / target.relative_to(out))
            advance(1)
    return faults


def _check_that_samples_differ(images: Sequence[Image.Image]) -> None:
    if len(images) > 1 and images[0].tobytes() == images[1].tobytes():
        raise NothingDrawnError("this direction draws nothing, so all samples are equal: leave --samples out")


def _write(image: Image.Image, target: Path) -> None:
    try:
        make_folder(target.parent)
        with atomic_write(target) as part:
            image.save(part, format="PNG")
    except OSError as error:
        raise UserError(f"{target} cannot be written: {reason_of(error)}") from None
