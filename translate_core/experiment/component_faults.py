"""Exceptions of plugins in a run, as their authors and users read them."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from translate_core.components.blame import ComponentError, component_error
from translate_core.errors import Interrupted, UserError
from translate_core.recipe.resolved import ResolvedRecipe
from translate_core.runtime.installation import DISTRIBUTION
from translate_core.storage.run_folder import RunFolder
from translate_core.training.loader import DatasetError

LOG = "errors.log"
"""The file in a run folder that keeps the tracebacks of plugins."""

_LARGE = 2**20
"""Bytes of the file from which the next traceback begins a new one; the one before is kept as `errors.log.1`."""


@contextmanager
def component_faults(recipe: ResolvedRecipe, folder: Path) -> Iterator[None]:
    """Turns an exception of a plugin into a ComponentError that states what was saved and where the traceback is."""
    try:
        yield
    except (UserError, Interrupted):
        raise
    except BaseException as error:
        fault = _of_dataset(error, recipe) or component_error(error, recipe.plugins.registry)
        if fault is None:
            raise
        run = RunFolder(folder)
        lines = [str(fault), _saved(run)] if run.exists() else [str(fault)]
        log = _logged(error, run)
        if log is not None:
            lines.append(f"The traceback is in {log}")
        raise ComponentError("\n".join(lines)) from error


def _of_dataset(error: BaseException, recipe: ResolvedRecipe) -> ComponentError | None:
    registration = recipe.data.registration
    if isinstance(error, DatasetError) and registration.owner.name != DISTRIBUTION:
        return ComponentError(f"dataset '{registration.name}' of plugin {registration.owner} failed: {error.text}")
    return None


def _saved(run: RunFolder) -> str:
    newest = next(iter(run.checkpoints.paths()), None)
    return "Nothing was saved before" if newest is None else f"The newest checkpoint is {newest}"


def _logged(error: BaseException, run: RunFolder) -> Path | None:
    """The file to which the traceback was added; None without a run folder, or with one that cannot be written to."""
    if not run.exists():
        return None
    path = run.path / LOG
    with suppress(OSError):
        if path.exists() and path.stat().st_size > _LARGE:
            path.replace(path.with_name(LOG + ".1"))
        with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')}\n{''.join(traceback.format_exception(error))}\n")
        return path
    return None
