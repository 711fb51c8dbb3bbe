"""What `translate-run --dry-run` prints."""

from __future__ import annotations

from rich.table import Table

from translate_core.experiment.run import Run
from translate_core.runtime import yaml12
from translate_core.runtime.console import stdout


def print_dry_run(run: Run) -> None:
    """Prints the resolved recipe, the networks, and the length of a run."""
    recipe, shapes = run.recipe, run.assembly.shapes
    stdout.print(yaml12.dump(dict(recipe.record)), markup=False, end="")
    table = Table(title=f"{recipe.name} on {run.device}")
    for column in ("network", "component", "trained by", "parameters"):
        table.add_column(column, justify="right" if column == "parameters" else "left")
    for name, network in shapes.networks.items():
        table.add_row(name, network.block.registration.name, network.role.side, f"{shapes.parameters[name]:,}")
    stdout.print(table)
    left_out = [name for name in recipe.networks if name not in shapes.networks]
    stdout.print(
        f"{run.length} steps, {run.epoch} in an epoch; networks left out because no loss needs them: "
        f"{', '.join(left_out) or 'none'}"
    )
