"""What the files of a run hold: one model a file, by which everything that is read from disk is validated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from translate_core.contracts.observer import Result
from translate_core.errors import UserError, reason_of
from translate_core.runtime.files import read_file

FORMAT = 1
"""Of run.json and of checkpoints."""


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class EarlyEnd(_Model):
    """The end of a run before its length, at the request of an observer. Recorded under the key `ended`.

    step: the number of steps done. length: that of the run at the time, in steps. by: the name of the observer in the
    recipe. reason: as the observer gave it.
    """

    step: NonNegativeInt
    length: NonNegativeInt
    by: str
    reason: str

    def __str__(self) -> str:
        return f"ended after step {self.step} of {self.length} by observer '{self.by}': {self.reason}"


class _DataModel(_Model):
    fingerprint: str
    channels: dict[str, PositiveInt]
    size: list[PositiveInt] | None


class _PluginFileModel(_Model):
    path: str
    sha256: str


class _TrainingModel(_Model):
    length: str


class _RecipeModel(_Model):
    training: _TrainingModel


class RecordModel(_Model):
    """run.json, and the record in a checkpoint."""

    format: Literal[1]
    name: str
    created: str
    recipe: _RecipeModel
    results: dict[str, Any]
    plugins: dict[str, str]
    files: dict[str, _PluginFileModel]
    signature: str | None
    torch: str
    data: _DataModel
    applied: list[str]
    ranks: PositiveInt
    ended: EarlyEnd | None = None


class ResultsModel(_Model):
    """results.json."""

    step: NonNegativeInt
    results: list[Result]
    ended: EarlyEnd | None = None


class CheckpointModel(_Model):
    """A checkpoint, as torch reads it."""

    format: Literal[1]
    step: NonNegativeInt
    record: RecordModel
    parts: dict[str, dict[str, Any]]
    rank_parts: list[dict[str, dict[str, Any]]]


def read_json(path: Path, model: type[BaseModel]) -> dict[str, Any]:
    """The content of a JSON file. Raises FileNotFoundError; UserError for anything but what the model describes."""
    try:
        text = read_file(path).decode("utf-8")
        data: object = json.loads(text)
    except FileNotFoundError:
        raise
    except UserError as error:
        raise UserError(f"{path} {error}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {reason_of(error)}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    return _checked(data, path, lambda: model.model_validate_json(text))


def check(data: object, model: type[BaseModel], path: Path) -> dict[str, Any]:
    """The data, if they are what the model describes. Raises UserError with the keys that are wrong."""
    return _checked(data, path, lambda: model.model_validate(data))


def _checked(data: object, path: Path, validate: Callable[[], object]) -> dict[str, Any]:
    try:
        validate()
    except (ValidationError, RecursionError) as error:
        raise UserError(f"{path} is not a file of a run of this version: {_explained(error)}") from None
    assert isinstance(data, dict)
    return data


def _explained(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    found = [
        f"{'.'.join(map(str, item['loc'])) or 'the whole'}: {item['msg'][0].lower()}{item['msg'][1:]}"
        for item in error.errors(include_url=False, include_input=False)
    ]
    return "; ".join(found[:3]) + ("; …" if len(found) > 3 else "")
