"""Whether the code that a run folder names may be executed.

A run folder names code: copies of `.py` plugins, and modules. A stranger can write anything into a folder, so nothing
in it proves that its code is harmless. Therefore training signs the code of a run with a key that only this user has.
Code without this signature is executed only with `--trust`.
"""

from __future__ import annotations

import contextlib
import hmac
import importlib.machinery
import json
import os
import secrets
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from translate_core.errors import UserError
from translate_core.runtime.files import real_path, sha256_of

_KEY = "signing-key"
_KEY_BYTES = 32


def signature_of(entries: Sequence[str], files: Mapping[str, str]) -> str | None:
    """The signature of a run's code; None for a run without plugins of its own, or where no key can be kept.

    entries: the recipe's `plugins`. files: SHA-256 of the `.py` files among them.
    """
    key = _key(create=True) if entries else None
    return None if key is None else _sign(key, entries, files)


def check_code(folder: Path, recipe: Mapping[str, Any], record: Mapping[str, Any], trust: bool) -> None:
    """Raises UserError unless the plugins that the run in `folder` lists may be imported.

    They may if every copied file is the one that the run was trained with, and either `trust` is given or the code has
    the signature of this user.
    """
    listed = recipe.get("plugins")
    entries = [entry for entry in listed if isinstance(entry, str)] if isinstance(listed, list) else []
    if not entries:
        return
    recorded = {Path(entry).name: (entry, file["sha256"]) for entry, file in record["files"].items()}
    originals: list[str] = []
    files: dict[str, str] = {}
    for entry in entries:
        if not entry.endswith(".py"):
            originals.append(entry)
            continue
        original, sha256 = _recorded_file(folder / entry, recorded)
        originals.append(original)
        files[original] = sha256
    key = _key(create=False)
    own = key is not None and record.get("signature") == _sign(key, originals, files)
    if not (own or trust):
        code = ", ".join(_where(folder, entry) for entry in entries)
        raise UserError(
            f"loading this run would execute code that it names: {code}. It is not known to be yours: the run was "
            f"trained by another user or on another machine, or its code has changed.\n"
            f"Read the code; if you trust it, add --trust (in Python: trust=True)"
        )


def _recorded_file(copy: Path, recorded: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """The recipe's name of a copied file, and its SHA-256. Raises UserError if the copy differs from the original."""
    if not copy.is_file():
        raise UserError(f"the run is incomplete: the plugin file {copy} is missing")
    original, sha256 = recorded.get(copy.name, ("", ""))
    if sha256_of(copy) != sha256:
        raise UserError(
            f"{copy} is not the plugin file that the run was trained with: run.json records another SHA-256"
        )
    return original, sha256


def _where(folder: Path, entry: str) -> str:
    return str(folder / entry) if entry.endswith(".py") else f"module {entry}"


def _sign(key: bytes, entries: Sequence[str], files: Mapping[str, str]) -> str:
    code = [[entry, files[entry] if entry in files else _module_sha256(entry)] for entry in entries]
    return hmac.new(key, json.dumps(code).encode(), "sha256").hexdigest()


def _module_sha256(name: str) -> str:
    """SHA-256 of the files of a module and of the packages that contain it; `installed` and `absent` for such modules.

    Found without importing anything, not even the packages.
    """
    path = None
    digests = []
    parts = name.split(".")
    for depth in range(len(parts)):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[: depth + 1]), path)
        if spec is None:
            return "absent"
        file = Path(spec.origin or "")
        if file.is_file():
            digests.append("installed" if _is_installed(file) else sha256_of(file))
        path = spec.submodule_search_locations or []
    return " ".join(digests)


def _is_installed(file: Path) -> bool:
    folders = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")}
    return any(real_path(file).is_relative_to(real_path(Path(folder))) for folder in folders)


def _key(*, create: bool) -> bytes | None:
    """This user's key; None where there is none, or where it can be neither read nor written."""
    path = platformdirs.user_state_path("translate-core") / _KEY
    try:
        if create and not path.exists():
            _create_key(path)
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return key if len(key) == _KEY_BYTES else None


def _create_key(path: Path) -> None:
    """Writes a new key under another name and links it, so that of several processes the first one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)  # readable by this user only
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(_KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())  # an empty key after a power cut would stay in the way of another
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)
