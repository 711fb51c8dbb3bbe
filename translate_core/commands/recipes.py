"""The command `translate-recipes`: the recipes that come with the package, listed and copied."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from translate_core.commands.arguments import command_parser, completed_by, parsed, recipe_names
from translate_core.recipe.shipped import copy_recipe, shipped_recipes, summary_of
from translate_core.runtime.console import OK, guarded, inform, print_rows


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = command_parser(
        "translate-recipes",
        "List the recipes that come with the package, and copy one to change it. "
        "`translate-run NAME` runs one as it is.",
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="the name of each recipe, and what it is for")
    listing.set_defaults(body=_list)

    copy = commands.add_parser("copy", help="copy a recipe to a file of your own; no file is overwritten")
    name = copy.add_argument("name", metavar="NAME", help="the name of the recipe, as `list` prints it")
    completed_by(name, recipe_names)
    copy.add_argument(
        "destination",
        nargs="?",
        type=Path,
        default=Path(),
        metavar="DEST",
        help="the new file, or an existing folder (default: the current folder). The recipe that an ablation varies "
        "is copied beside it",
    )
    copy.set_defaults(body=_copy)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0 done, 2 the user's fault, 130 interrupted, 1 a defect."""
    options = parsed(parser(), arguments)
    return guarded("translate-recipes", lambda: int(options.body(options)))


def _list(options: argparse.Namespace) -> int:
    print_rows(("name", ""), [(name, summary_of(path)) for name, path in shipped_recipes().items()])
    return OK


def _copy(options: argparse.Namespace) -> int:
    copied = copy_recipe(options.name, options.destination)
    for path in copied.written:
        inform(f"wrote {path}")
    for path in copied.kept:
        inform(f"{path} is unchanged; it is the recipe that the ablation varies")
    return OK


if __name__ == "__main__":
    sys.exit(main())
