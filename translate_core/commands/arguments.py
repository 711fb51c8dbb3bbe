"""What the parsers of all commands share: `--version`, and what a shell completes."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from translate_core.components.kinds import KIND_NAMES
from translate_core.recipe.shipped import shipped_recipes
from translate_core.runtime.installation import DISTRIBUTION, version

Completer = Callable[..., Iterable[str]]


class _Version(argparse.Action):
    """Prints the versions of this package and of torch; neither is imported for it."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *parsed: Any) -> None:
        print(f"{parser.prog} {version()} ({DISTRIBUTION}), torch {version('torch')}")
        parser.exit()


def command_parser(program: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that every command has."""
    made = argparse.ArgumentParser(prog=program, description=description)
    made.add_argument("--version", action=_Version)
    return made


def parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The parsed arguments. When a shell completes a command, prints the completions and exits instead."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    for argument in sys.argv[1:] if arguments is None else arguments:
        try:
            str(argument).encode()
        except UnicodeEncodeError:
            parser.error(f"{os.fsencode(argument)!r} is not UTF-8 text: rename the file or the folder")
    options, rest = parser.parse_known_args(arguments)
    if rest:
        keys = [word for word in rest if "=" in word and not word.startswith("-")]
        each = " ".join(f"--set {shlex.quote(key)}" for key in keys)
        hint = f". Each KEY=VALUE needs a --set of its own: {each}" if keys and hasattr(options, "overrides") else ""
        parser.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
    return options


def completed_by(argument: argparse.Action, completer: Completer) -> None:
    """Sets the function that completes an argument: its prefix, by keyword, -> all words that may stand there."""
    argument.completer = completer  # type: ignore[attr-defined]  # the attribute that argcomplete reads


def recipe_names(**_: Any) -> Iterable[str]:
    """The names of shipped recipes."""
    return shipped_recipes()


def recipes_and_files(prefix: str, **_: Any) -> Iterable[str]:
    """The names of shipped recipes, and YAML files."""
    from argcomplete.completers import FilesCompleter

    return [*shipped_recipes(), *FilesCompleter(("yaml", "yml"))(prefix=prefix)]


def folders(prefix: str, **_: Any) -> Iterable[str]:
    """Folders, such as those of runs."""
    from argcomplete.completers import DirectoriesCompleter

    found: Iterable[str] = DirectoriesCompleter()(prefix=prefix)
    return found


def kinds(**_: Any) -> Iterable[str]:
    """The kinds of components."""
    return KIND_NAMES


def installed_plugins(**_: Any) -> Iterable[str]:
    """The distributions that offer plugins; none is imported."""
    import importlib.metadata

    points = importlib.metadata.entry_points(group="translate_core")  # `hook.GROUP`, whose module imports torch
    return {point.dist.name for point in points if point.dist is not None}
