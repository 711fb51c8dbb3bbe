"""Manifests: the SHA-256 of every file of a dataset."""

from __future__ import annotations

import re
from pathlib import Path

from translate_core import DataError, Fault, did_you_mean

SHIPPED = Path(__file__).parent / "manifests"
"""The manifests that come with the package."""
_FAULTS_SHOWN = 20


def read_manifest(name: str) -> dict[str, str]:
    """SHA-256 in hexadecimal by relative file name.

    Args:
        name: a text file with lines `<sha256>  <relative name>`, as `sha256sum` writes them, with comments after `#`;
            or the name of one in `SHIPPED`.

    Raises:
        DataError: there is no such file, or lines of it are not of that form.
    """
    path = _find(name)
    digests: dict[str, str] = {}
    faults: list[Fault] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        entry = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line)
        if entry is None:
            faults.append(Fault(f"{name}:{number}", f"must be '<sha256>  <relative name>', not {line[:80]!r}"))
        else:
            digests[entry[2]] = entry[1].lower()
    if not digests and not faults:
        faults.append(Fault(name, "lists no files"))
    if faults:
        raise DataError("download", faults[:_FAULTS_SHOWN])
    return digests


def _find(name: str) -> Path:
    if Path(name).is_file():
        return Path(name)
    shipped = sorted(file.name for file in SHIPPED.iterdir())
    if name in shipped:
        return SHIPPED / name
    message = (
        f"there is no file {name!r} in {Path.cwd()}, and the package has no manifest of that name"
        f"{did_you_mean(name, shipped)} It has: {', '.join(shipped)}"
    )
    raise DataError("download", [Fault("manifest", message)])
