"""The command `translate-run`, also `python -m translate_core.run` for torchrun."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from translate_core.commands.arguments import command_parser, completed_by, parsed, recipes_and_files
from translate_core.recipe.file import is_ablation, read_recipe, subject_of
from translate_core.recipe.overrides import parse_overrides
from translate_core.recipe.shipped import find_recipe
from translate_core.runtime.console import INTERRUPTED, OK, guarded
from translate_core.runtime.device import CHOICES
from translate_core.runtime.memory import check_room_for_torch


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = command_parser(
        "translate-run",
        "Train what a recipe describes. Run the same command again to continue a stopped run.",
    )
    recipe = made.add_argument(
        "recipe",
        type=Path,
        metavar="RECIPE",
        help="a YAML file, or the name of a recipe that comes with the package (see translate-recipes list); "
        "a recipe, or an ablation of one",
    )
    completed_by(recipe, recipes_and_files)
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a key, dotted, with a YAML value; a mapping replaces the block. May be given several times",
    )
    made.add_argument(
        "--out", type=Path, metavar="DIR", help="the run folder (default: runs/, named after recipe and overrides)"
    )
    made.add_argument(
        "--dry-run",
        action="store_true",
        help="validate, build, print the resolved recipe and the networks; train nothing",
    )
    made.add_argument("--fresh", action="store_true", help="start again: an existing run folder is moved aside")
    made.add_argument("--device", choices=CHOICES, default="auto", help="where to compute (default: %(default)s)")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0 done, 2 the user's fault, 130 interrupted, 1 a defect."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parsed(parser(), given)
    try:
        return guarded("translate-run", lambda: _run(options, given))
    finally:
        _leave()


def _run(options: argparse.Namespace, given: Sequence[str]) -> int:
    # A fault of the YAML or of --set is reported before torch is imported.
    recipe = find_recipe(options.recipe)
    data = read_recipe(recipe)
    overrides = parse_overrides(options.overrides)
    varies = is_ablation(data)
    if not varies:
        data = overrides.apply(data, subject_of(recipe))

    check_room_for_torch()
    from translate_core.ablation.session import run_ablation
    from translate_core.commands.dry_run import print_dry_run
    from translate_core.experiment.run import open_run
    from translate_core.experiment.session import command_line, train
    from translate_core.recipe.resolver import resolve
    from translate_core.runtime.signals import StopSignal
    from translate_core.storage.run_folder import default_folder

    command = command_line("translate-run", given, lambda argument: argument == "--fresh")
    if varies:
        return run_ablation(
            recipe, data, overrides, out=options.out, device_name=options.device, dry_run=options.dry_run,
            fresh=options.fresh, command=command,
        )  # fmt: skip
    resolved = resolve(recipe, data)
    if options.dry_run:
        with open_run(resolved, device=options.device) as run:
            print_dry_run(run)
        return OK
    folder = options.out or default_folder(recipe, overrides.flat(), resolved.operation)
    with StopSignal() as stop:
        outcome = train(resolved, folder, options.device, fresh=options.fresh, command=command, stop=stop)
    return OK if outcome.finished else INTERRUPTED


def _leave() -> None:
    """Leaves the process group of torchrun, if this process has joined one."""
    ranks = sys.modules.get("translate_core.runtime.ranks")
    if ranks is not None:
        ranks.leave()


def end(status: int) -> None:
    """Ends this process; under torchrun without the shutdown of the interpreter.

    By then everything is closed. A thread of the process group that still waits for the interpreter's lock would
    sometimes abort the process during the shutdown, and torchrun would report the whole run as failed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    end(main())
