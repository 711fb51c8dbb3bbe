"""Fetches a data set that is not there yet."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import PositiveInt

from translate_core.errors import DataError, Fault, UserError, did_you_mean
from translate_core.runtime.images import find_images

from .archive import ArchiveError, unpack
from .lock import locked
from .transfer import TransferError, discard, origin_url, transfer

_MANIFESTS = Path(__file__).parent / "manifests"
_FAULTS_SHOWN = 20


@dataclass(frozen=True)
class Download:
    """A zip or .tar.gz file on the net that holds the set, and how to know that it is the right one.

    The content is trusted, not the channel: with a manifest only the files that it names are unpacked, and each must
    have its SHA-256, so plain http and any mirror will do.

    Args:
        url: http or https address of the file; of several, the next one is tried when one fails.
        manifest: text file with lines `<sha256>  <relative name>`, or the name of one that comes with the package.
        counts: number of images by folder, to verify the set where no manifest is known.

    Raises:
        UserError: an address that is not http or https, or none.
    """

    url: str | list[str]
    manifest: str | None = None
    counts: dict[str, PositiveInt] | None = None

    def __post_init__(self) -> None:
        wrong = [repr(url) for url in self._urls if re.match(r"https?://[^/\s]", url) is None]
        if wrong:
            raise UserError(f"url must be an address with http:// or https://, not {', '.join(wrong)}")
        if not self._urls:
            raise UserError("url must name at least one address")

    @property
    def _urls(self) -> list[str]:
        return [self.url] if isinstance(self.url, str) else self.url

    def fetch(self, root: Path) -> None:
        """Download, unpack, verify, and only then give the folder its name `root`; nothing if it exists.

        A broken download goes on where it stopped, in this call or the next one, and of several processes that call
        this at once one does the work. Whenever it is interrupted, `root` is either missing or whole.

        Raises:
            UserError: no address could be reached or had the right content, or the disk is full or not writable.
            DataError: the manifest is not there, or is none.
        """
        manifest = None if self.manifest is None else _read_manifest(self.manifest)
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            with locked(_beside(root, ".lock")):
                if not root.exists():
                    self._fetch(root, manifest)
        except OSError as error:
            raise UserError(f"data set {root} could not be stored beside {root}: {error}") from None

    def _fetch(self, root: Path, manifest: Mapping[str, str] | None) -> None:
        part, unpacked = _beside(root, ".part"), _beside(root, ".unpacking")
        begun = origin_url(part)
        reasons: list[str] = []
        for url in sorted(self._urls, key=lambda url: url != begun):
            try:
                transfer(url, part)
            except TransferError as error:
                reasons.append(f"{url}: {error}")
                continue
            if unpacked.exists():  # left by a process that was killed
                shutil.rmtree(unpacked)
            try:
                wrong = self._wrong(unpacked, unpack(part, unpacked, manifest), manifest)
            except ArchiveError as error:
                wrong = [str(error)]
            if not wrong:
                unpacked.rename(root)
                discard(part)
                return
            shutil.rmtree(unpacked, ignore_errors=True)
            discard(part)
            shown = wrong[:_FAULTS_SHOWN] + ([f"… {len(wrong)} in all"] if len(wrong) > _FAULTS_SHOWN else [])
            reasons.append(f"{url}: " + "\n    ".join(shown))
        tried = "\n  ".join(reasons)
        raise UserError(
            f"data set {root} does not exist and could not be downloaded\n  {tried}\n"
            f"Put the folder there by hand, or say where it is: --set data.root=…"
        )

    def _wrong(self, folder: Path, digests: Mapping[str, str], manifest: Mapping[str, str] | None) -> list[str]:
        """What is not as it should be in an unpacked set."""
        wrong: list[str] = []
        if manifest is not None:
            wrong += [f"lacks {name}" for name in manifest if name not in digests]
            wrong += [
                f"has another {name} than the manifest (SHA-256 {digest[:12]}…, not {manifest[name][:12]}…)"
                for name, digest in digests.items()
                if digest != manifest[name]
            ]
        for name, count in (self.counts or {}).items():
            found = len(find_images(folder / name))
            if found != count:
                wrong.append(f"has {found} images in {name}, not {count}")
        return wrong


def _beside(root: Path, ending: str) -> Path:
    return root.with_name(root.name + ending)


def _read_manifest(asked: str) -> dict[str, str]:
    """SHA-256 by relative name."""
    path = Path(asked)
    if not path.is_file():
        shipped = sorted(file.name for file in _MANIFESTS.iterdir())
        if asked not in shipped:
            raise DataError(
                "download",
                [
                    Fault(
                        "manifest",
                        f"there is no file {asked!r} in {Path.cwd()}, and none of that name comes with the package"
                        f"{did_you_mean(asked, shipped)} It has: {', '.join(shipped)}",
                    )
                ],
            )
        path = _MANIFESTS / asked
    digests: dict[str, str] = {}
    faults: list[Fault] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        entry = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line)
        if entry is None:
            faults.append(Fault(f"{asked}:{number}", f"must be '<sha256>  <relative name>', not {line[:80]!r}"))
        else:
            digests[entry[2]] = entry[1].lower()
    if not digests and not faults:
        faults.append(Fault(asked, "names no files"))
    if faults:
        raise DataError("download", faults[:_FAULTS_SHOWN])
    return digests
