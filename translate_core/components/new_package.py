"""`translate-plugins new`: a package with a generator and a loss, ready to install."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from translate_core.contracts.hook import CONTRACT
from translate_core.errors import UserError
from translate_core.runtime.installation import version

_SUFFIX = ".template"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
"""Names of distributions (PEP 508)."""


def create_package(name: str, into: Path) -> Path:
    """Writes a package into a folder of its name in `into` and returns that folder. On an error nothing is left.

    name: a name that pip accepts; `-`, `_` and `.` are the same, and upper case is lower case.
    Raises UserError for an invalid name, the name of an installed package, and a folder that exists.
    """
    distribution, package = _names(name)
    folder = into / distribution
    if os.path.lexists(folder):
        raise UserError(f"{folder} exists already: choose another name, or another folder with --into")
    major, minor = (int(part) for part in version().split(".")[:2])
    values = {
        "distribution": distribution,
        "package": package,
        "contract": str(CONTRACT),
        "requirement": f">={major}.{minor},<{major}.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}",
    }
    texts = {
        path.replace("PACKAGE", package): Template(text).substitute(values) for path, text in _templates(_root(), "")
    }
    # Under another name until every file is written.
    part = into / f".{distribution}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        for path, text in texts.items():
            target = part / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def next_commands(folder: Path) -> list[str]:
    """The commands that install, test, check and run the new package."""
    return [
        f"cd {shlex.quote(str(folder))}",
        'pip install -e ".[dev]"',
        "pytest",
        f"translate-plugins check {folder.name}",
        "translate-run recipes/quickstart.yaml",
    ]


def _names(name: str) -> tuple[str, str]:
    """The names of the distribution and of the package. Raises UserError for a name that cannot be used."""
    distribution = re.sub(r"[-_.]+", "-", name).lower()
    package = distribution.replace("-", "_")
    if _NAME.fullmatch(name) is None or not package.isidentifier():
        raise UserError(
            f"'{name}' is not a valid package name: it must begin with a letter and contain only letters, digits and "
            f"'-', such as my-translate"
        )
    if keyword.iskeyword(package) or package in sys.stdlib_module_names:
        raise UserError(f"'{package}' is a keyword or a standard module of Python: choose another name")
    taken = _installed_as(distribution, package)
    if taken:
        raise UserError(f"'{name}' is taken by {taken}, which is installed here: choose another name")
    return distribution, package


def _installed_as(distribution: str, package: str) -> str:
    try:
        return f"the package {distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        # A folder of that name without an __init__.py is a namespace, not a package.
        return f"the module {package}" if spec is not None and spec.origin is not None else ""


def _root() -> Traversable:
    return files("translate_core.components") / "templates" / "plugin"


def _templates(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    """Path in the package -> text, for every template."""
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _templates(item, f"{prefix}{item.name}/")
        elif item.name.endswith(_SUFFIX):
            name = item.name.removesuffix(_SUFFIX)
            yield f"{prefix}{'.gitignore' if name == 'gitignore' else name}", item.read_text(encoding="utf-8")
