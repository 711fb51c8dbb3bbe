"""The command `translate-plugins`: lists and describes components, writes a new package, checks a plugin."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from translate_core.commands.arguments import command_parser, completed_by, installed_plugins, kinds, parsed
from translate_core.components.kinds import KIND_NAMES, check_kind
from translate_core.errors import UserError
from translate_core.runtime.console import OK, USER_FAULT, guarded, inform, print_rows, stdout, text_width
from translate_core.runtime.files import write_text

if TYPE_CHECKING:
    from translate_core.components.registry import Registry
    from translate_core.conformance.report import Report


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = command_parser("translate-plugins", "List and describe components; start and check a plugin of your own.")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="every component with its plugin and what it is")
    kind = listing.add_argument("kind", nargs="?", metavar="KIND", help=f"one of {', '.join(KIND_NAMES)}")
    completed_by(kind, kinds)
    _takes_plugins(listing)
    listing.set_defaults(body=_list)

    show = commands.add_parser("show", help="the docstring and the options of a component: types, ranges, defaults")
    completed_by(show.add_argument("kind", metavar="KIND", help="its kind, such as generator"), kinds)
    show.add_argument("name", metavar="NAME", help="its name, as `list` prints it")
    _takes_plugins(show)
    show.set_defaults(body=_show)

    schema = commands.add_parser(
        "schema", help="a JSON Schema of recipes, by which an editor completes and checks them"
    )
    schema.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: printed)")
    _takes_plugins(schema)
    schema.set_defaults(body=_schema)

    new = commands.add_parser("new", help="write an installable package with a generator and a loss to start from")
    new.add_argument("name", metavar="NAME", help="name of the package, such as my-translate")
    new.add_argument(
        "--into", type=Path, default=Path(), metavar="DIR", help="where its folder is created (default: here)"
    )
    new.set_defaults(body=_new)

    check = commands.add_parser(
        "check", help="test everything that the engine relies on, for each component of a plugin"
    )
    plugin = check.add_argument(
        "plugin",
        nargs="?",
        metavar="PACKAGE|MODULE|FILE.py",
        help="an installed package, a module, or a file; with --recipe it may be left out",
    )
    completed_by(plugin, installed_plugins)
    check.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KIND.NAME.OPTION=VALUE",
        dest="settings",
        help="an option that a component requires, or that makes it smaller for the check; repeatable",
    )
    check.add_argument(
        "--recipe",
        metavar="RECIPE.yaml",
        help="check the networks and losses of a recipe, those of the plugin if one is named: with the options of the "
        "recipe, on its data, called as in its shape check",
    )
    check.set_defaults(body=_check)
    return made


def _takes_plugins(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE|FILE.py",
        dest="plugins",
        help="a plugin that is not installed, as in a recipe's `plugins:`; repeatable",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0 done, 2 the user's fault, 130 interrupted, 1 a defect."""
    options = parsed(parser(), arguments)
    return guarded("translate-plugins", lambda: int(options.body(options)))


def _registry(options: argparse.Namespace) -> Registry:
    from translate_core.components.plugins import load_plugins

    return load_plugins(options.plugins, Path()).registry


def _list(options: argparse.Namespace) -> int:
    if options.kind is not None:
        check_kind(options.kind)

    from translate_core.components.page import component_rows

    kinds = KIND_NAMES if options.kind is None else (options.kind,)
    rows = component_rows(_registry(options), kinds)
    if rows:
        print_rows(("kind", "name", "plugin", ""), rows)
    else:
        inform(f"no plugin registers any {options.kind}")
    return OK


def _show(options: argparse.Namespace) -> int:
    check_kind(options.kind)

    from translate_core.components.page import component_lines

    registry = _registry(options)
    for line in component_lines(registry.get(options.kind, options.name), registry, text_width(100)):
        stdout.print(line, markup=False)
    return OK


def _schema(options: argparse.Namespace) -> int:
    from translate_core.recipe.json_schema import recipe_schema

    text = json.dumps(recipe_schema(_registry(options)), indent=2, ensure_ascii=False)
    if options.out is None:
        stdout.print(text, markup=False)
        return OK
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(options.out, text + "\n")
    inform(f"wrote {options.out}. An editor with the YAML language server uses it for recipes that begin with the line")
    inform(f"  # yaml-language-server: $schema={options.out}")
    inform(
        "The path is relative to the recipe, or absolute. Write the schema again after installing or changing plugins"
    )
    return OK


def _new(options: argparse.Namespace) -> int:
    from translate_core.components.new_package import create_package, next_commands

    folder = create_package(options.name, options.into)
    inform(f"created {folder}: a package with a generator, a loss, a test and a recipe. Next:")
    for command in next_commands(folder):
        inform(f"  {command}")
    return OK


def _check(options: argparse.Namespace) -> int:
    from translate_core.conformance.kit import Kit
    from translate_core.conformance.report import Checked, Report
    from translate_core.conformance.target import registered_by, settings_of

    if options.recipe is not None:
        return _check_in_recipe(options)
    if options.plugin is None:
        raise UserError("check needs a plugin, or --recipe with a recipe")
    registry, registrations = registered_by(options.plugin)
    kit = Kit(registry, settings_of(options.settings, registry))
    return _reported(
        Report(str(registrations[0].owner), kit, [Checked(item) for item in registrations], text_width(110))
    )


def _check_in_recipe(options: argparse.Namespace) -> int:
    from translate_core.conformance.recipe import of_recipe
    from translate_core.conformance.report import Report
    from translate_core.conformance.target import is_of

    if options.settings:
        raise UserError("--set belongs to a check without a recipe: write the option into the recipe")
    name, kit, checked = of_recipe(options.recipe)
    if options.plugin is not None:
        checked = [item for item in checked if is_of(options.plugin, item.registration)]
        if not checked:
            raise UserError(f"recipe {name} has no network and no loss of plugin {options.plugin}")
    return _reported(Report(f"recipe {name}", kit, checked, text_width(110)))


def _reported(report: Report) -> int:
    for line in report.lines():
        stdout.print(line, markup=False)
    return OK if report.passed else USER_FAULT


if __name__ == "__main__":
    sys.exit(main())
