"""`add COMMAND`: appends a row to Jobs.csv, safely beside a running manager and other editors."""

from __future__ import annotations

from typing import Annotated

import typer

from pkgs.foundation import exit_codes
from pkgs.jobqueue.commands.options import JOBS, ROOT, JobsOption, RootOption
from pkgs.jobqueue.table.edits import add_row
from pkgs.jobqueue.table.table_file import TableFile

EXAMPLES = "Example: python QueueManager.py add 'python train.py --seed {seed}' --id toy/a --seeds 0..4"


def add(  # noqa: PLR0913 - one per option of the command
    command: Annotated[
        str, typer.Argument(help="Any bash command; {seed} {condition} {run_dir} {gpus} are filled in.")
    ],
    *,
    id: Annotated[str, typer.Option(help="Unique name; empty: made from the command.")] = "",
    seeds: Annotated[str, typer.Option(help="0..4, or 3 4 13; empty: one run.")] = "",
    conditions: Annotated[str, typer.Option(help="Names separated by spaces.")] = "",
    after: Annotated[
        str,
        typer.Option(
            help="Ids to wait for; id:all: for all of its runs; id:ended: until all have ended, well or not."
        ),
    ] = "",
    gpus: Annotated[str, typer.Option(help="GPUs per run; 0: CPU only.")] = "",
    gpu_mem: Annotated[str, typer.Option(help="14G shares a GPU; auto learns; empty: the GPU alone.")] = "",
    priority: Annotated[str, typer.Option(help="Whole number, higher first.")] = "",
    retries: Annotated[str, typer.Option(help="For causes that may pass.")] = "",
    timeout: Annotated[str, typer.Option(help="90m, 12h, 3d.")] = "",
    hold: Annotated[bool, typer.Option("--hold", help="Add it held.")] = False,
    jobs: JobsOption = JOBS,
    root: RootOption = ROOT,
) -> int:
    """Add a job; it starts at once if a device is free and nothing stands in its way."""
    cells = {
        "id": id, "status": "hold" if hold else "open", "command": command, "seeds": seeds,
        "conditions": conditions, "after": after, "gpus": gpus, "gpu_mem": gpu_mem, "priority": priority,
        "retries": retries, "timeout": timeout,
    }  # fmt: skip
    print(add_row(TableFile(jobs), cells, taken=lambda name: (root / name).exists()))
    return exit_codes.OK
