"""The command `translate-plugins`: what is installed, and what an author of components needs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from translate_core.components.new_package import create, next_commands
from translate_core.components.page import check_kind, print_component, print_list
from translate_core.components.plugins import load_plugins
from translate_core.components.registry import KINDS, Registry
from translate_core.conformance.kit import Kit
from translate_core.conformance.report import report
from translate_core.conformance.target import registered_by, settings_of
from translate_core.recipe.json_schema import recipe_schema
from translate_core.runtime.console import OK, guarded, tell
from translate_core.runtime.files import write_text


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="translate-plugins", description="See the components that there are, and write and check your own."
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="every component, with the plugin that it comes from")
    listing.add_argument("kind", nargs="?", metavar="KIND", help=f"one of {', '.join(KINDS)}")
    _takes_plugins(listing)
    listing.set_defaults(body=_list)

    show = commands.add_parser("show", help="a component's docstring and options, with types, defaults and ranges")
    show.add_argument("kind", metavar="KIND", help="what it is, such as generator")
    show.add_argument("name", metavar="NAME", help="what it is called, as `list` has it")
    _takes_plugins(show)
    show.set_defaults(body=_show)

    schema = commands.add_parser("schema", help="a JSON Schema of recipes: with it an editor completes and checks them")
    schema.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: printed)")
    _takes_plugins(schema)
    schema.set_defaults(body=_schema)

    new = commands.add_parser("new", help="make an installable package with a generator and a loss to begin with")
    new.add_argument("name", metavar="NAME", help="what the package is called, such as my-translate")
    new.add_argument(
        "--into", type=Path, default=Path(), metavar="DIR", help="where to make its folder (default: here)"
    )
    new.set_defaults(body=_new)

    check = commands.add_parser("check", help="try every component of a plugin on what the engine relies on")
    check.add_argument("plugin", metavar="PACKAGE|MODULE|FILE.py", help="an installed package, a module, or a file")
    check.add_argument(
        "--set", action="append", default=[], metavar="KIND.NAME.OPTION=VALUE", dest="settings",
        help="an option that a component needs, or that makes it smaller to try. May be given several times",
    )  # fmt: skip
    check.set_defaults(body=_check)
    return made


def _takes_plugins(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--plugin", action="append", default=[], metavar="MODULE|FILE.py", dest="plugins",
        help="a plugin that is not installed, as a recipe's `plugins:` would name it. May be given several times",
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0 done, 2 the user's fault, 130 interrupted, 1 a defect."""
    options = parser().parse_args(arguments)
    return guarded("translate-plugins", lambda: int(options.body(options)))


def _registry(options: argparse.Namespace) -> Registry:
    return load_plugins(options.plugins, Path()).registry


def _list(options: argparse.Namespace) -> int:
    if options.kind is not None:
        check_kind(options.kind)
    print_list(_registry(options), tuple(KINDS) if options.kind is None else (options.kind,))
    return OK


def _show(options: argparse.Namespace) -> int:
    check_kind(options.kind)
    registry = _registry(options)
    print_component(registry.get(options.kind, options.name), registry)
    return OK


def _schema(options: argparse.Namespace) -> int:
    text = json.dumps(recipe_schema(_registry(options)), indent=2, ensure_ascii=False)
    if options.out is None:
        print(text)
        return OK
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(options.out, text + "\n")
    tell(f"wrote {options.out}. An editor with the YAML language server uses it for a recipe that begins with the line")
    tell(f"  # yaml-language-server: $schema={options.out}")
    tell("where the path is seen from the recipe, or absolute. Write it again after installing or changing plugins")
    return OK


def _new(options: argparse.Namespace) -> int:
    folder = create(options.name, options.into)
    tell(f"made {folder}: a package with a generator, a loss, a test and a recipe. Next:")
    for command in next_commands(folder):
        tell(f"  {command}")
    return OK


def _check(options: argparse.Namespace) -> int:
    registry, registrations = registered_by(options.plugin)
    return report(Kit(registry, settings_of(options.settings, registry)), registrations)


if __name__ == "__main__":
    sys.exit(main())
