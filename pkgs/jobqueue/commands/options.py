"""Options that all commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JobsOption = Annotated[Path, typer.Option("--jobs", help="The table of jobs.", metavar="FILE")]
RootOption = Annotated[Path, typer.Option("--root", help="Where the run folders lie.", metavar="DIR")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
IdsArgument = Annotated[list[str], typer.Argument(help="Ids of jobs.", metavar="ID...")]

JOBS = Path("Jobs.csv")
ROOT = Path("logs_and_checkpoints")
