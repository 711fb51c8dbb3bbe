"""The option `download` of datasets: fetches a set that is missing."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import PositiveInt

from translate_core import UserError, find_images

from .archive import ArchiveError, unpack
from .manifest import read_manifest
from .once import make_once
from .transfer import TransferError, discard, origin_url, transfer

_FAULTS_SHOWN = 20


@dataclass(frozen=True)
class Download:
    """A zip or .tar.gz file on the network that holds the set, and how to verify it.

    The content is verified, not the connection: with a manifest only the files that it lists are unpacked, and each
    must have its SHA-256. So plain http and any mirror can be used.

    Args:
        url: http or https address of the file; of several, the next one is tried when one fails.
        manifest: text file with lines `<sha256>  <relative name>`, or the name of one that comes with the package.
        counts: number of images by folder, to verify a set without a manifest.

    Raises:
        UserError: an address is not http or https, or there is none.
    """

    url: str | list[str]
    manifest: str | None = None
    counts: dict[str, PositiveInt] | None = None

    def __post_init__(self) -> None:
        wrong = [repr(url) for url in self._urls if re.match(r"https?://[^/\s]", url) is None]
        if wrong:
            raise UserError(f"url must be an address with http:// or https://, not {', '.join(wrong)}")
        if not self._urls:
            raise UserError("url must have at least one address")

    @property
    def _urls(self) -> list[str]:
        return [self.url] if isinstance(self.url, str) else self.url

    def fetch(self, root: Path) -> None:
        """Downloads, unpacks and verifies the set, then renames it to `root`; does nothing if `root` exists.

        An interrupted download is resumed, in this call or a later one. Of several processes that call this at once,
        one does the work and the others wait. After any interruption `root` is either missing or whole.

        Raises:
            UserError: no address could be reached or had the right content, or the disk is full or not writable.
            DataError: the manifest does not exist, or is not a manifest.
        """
        digests = None if self.manifest is None else read_manifest(self.manifest)
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            make_once(root, lambda: self._make(root, digests))
        except OSError as error:
            raise UserError(f"dataset {root} could not be stored beside {root}: {error}") from None

    def _make(self, root: Path, manifest: Mapping[str, str] | None) -> None:
        part, unpacked = root.with_name(root.name + ".part"), root.with_name(root.name + ".unpacking")
        begun = origin_url(part)
        reasons: list[str] = []
        for url in sorted(self._urls, key=lambda url: url != begun):
            try:
                transfer(url, part)
            except TransferError as error:
                reasons.append(f"{url}: {error}")
                continue
            wrong = self._unpack(part, unpacked, manifest)
            if not wrong:
                if hasattr(os, "sync"):
                    os.sync()  # or a power cut might leave the folder with empty images, which would not be noticed
                unpacked.rename(root)
                discard(part)
                return
            shutil.rmtree(unpacked, ignore_errors=True)
            discard(part)
            shown = wrong[:_FAULTS_SHOWN] + ([f"… {len(wrong)} in all"] if len(wrong) > _FAULTS_SHOWN else [])
            reasons.append(f"{url}: " + "\n    ".join(shown))
        tried = "\n  ".join(reasons)
        raise UserError(
            f"dataset {root} does not exist and could not be downloaded\n  {tried}\n"
            f"Put the folder there by hand, or set where it is: --set data.root=…"
        )

    def _unpack(self, archive: Path, target: Path, manifest: Mapping[str, str] | None) -> list[str]:
        """Unpacks the archive; returns everything that is wrong with the result."""
        if target.exists():  # left by a process that was killed
            shutil.rmtree(target)
        try:
            digests = unpack(archive, target, manifest)
        except ArchiveError as error:
            return [str(error)]
        wrong: list[str] = []
        if manifest is not None:
            wrong += [f"lacks {name}" for name in manifest if name not in digests]
            wrong += [
                f"has a {name} that differs from the manifest's (SHA-256 {digest[:12]}…, not {manifest[name][:12]}…)"
                for name, digest in digests.items()
                if digest != manifest[name]
            ]
        for name, count in (self.counts or {}).items():
            found = len(find_images(target / name))
            if found != count:
                wrong.append(f"has {found} images in {name}, not {count}")
        return wrong
