"""`why ID`: why a job waits or failed, and the way out."""

from __future__ import annotations

from typing import Annotated

import typer

from pkgs.foundation import exit_codes
from pkgs.jobqueue.commands.options import JOBS, ROOT, JobsOption, RootOption
from pkgs.jobqueue.screen.overview import read_overview

EXAMPLES = "Example: python QueueManager.py why ke/student_baseline"


def why(
    job: Annotated[str, typer.Argument(help="Id of a job.", metavar="ID")],
    *,
    jobs: JobsOption = JOBS,
    root: RootOption = ROOT,
) -> int:
    """Say in a sentence why a job does not run, or did not end well, and what to do."""
    overview = read_overview(jobs, root, ids=[job], with_runs=True)
    view = overview.jobs[0]
    print(f"{view.id} is {view.status}" + (f" ({view.progress})" if view.progress else ""))
    print(overview.reason(view))
    for run in view.runs:
        if run.sentence:
            print(f"  {run.line()}: {run.sentence}")
    for event in overview.events[-5:]:
        print(f"  {event}")
    return exit_codes.OK
