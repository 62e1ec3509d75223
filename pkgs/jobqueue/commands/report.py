"""`report STUDY`: tables, figures and verdict.

The work is done by pkgs.reports, which the queue must not import.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer

from pkgs.jobqueue.commands.options import ROOT, RootOption

EXAMPLES = "Example: python QueueManager.py report ke"


def report(
    study: Annotated[str, typer.Argument(help="The part of the ids before the last `/`.")],
    *,
    root: RootOption = ROOT,
    out: Annotated[
        str, typer.Option(help="Where to write; default: <root>/<study>/report.", metavar="DIR")
    ] = "",
) -> int:
    """Write tables, figures and the verdict of a study, finished or not."""
    command = [sys.executable, "-m", "pkgs.reports", study, "--root", str(root)]
    code = subprocess.run([*command, *(["--out", out] if out else [])], check=False).returncode
    return 128 - code if code < 0 else code  # as a shell tells of a signal: what was killed is tried again
