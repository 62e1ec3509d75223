"""`status [ID...]`: jobs, runs, devices and ETA; with and without a running manager, always in a blink."""

from __future__ import annotations

import gc
import json as json_text
import shutil
from collections import Counter
from typing import Annotated

import typer

from pkgs.foundation import exit_codes
from pkgs.jobqueue.commands.options import JOBS, ROOT, JobsOption, JsonOption, RootOption
from pkgs.jobqueue.screen.overview import JobView, Overview, read_overview

EXAMPLES = (
    "Examples: python QueueManager.py status | python QueueManager.py status ke/student_baseline --json"
)
ROWS = 40
"""Of a long table only the rows that matter now are shown, unless ids are given."""
FIRST = ("running", "failed", "hold", "cancel")


def status(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of jobs; default: all.", metavar="[ID...]")
    ] = None,
    *,
    json: JsonOption = False,
    jobs: JobsOption = JOBS,
    root: RootOption = ROOT,
) -> int:
    """Show jobs, runs, devices and when it will be done."""
    gc.disable()  # of what is read nothing is garbage: looking for it would take a seventh of the time
    try:
        overview = read_overview(jobs, root, ids=ids or [], with_runs=json or bool(ids))
    finally:
        gc.enable()
    if json:
        print(json_text.dumps(overview.as_json()))
    else:
        print("\n".join(_lines(overview, all_rows=bool(ids))))
    return exit_codes.OK


def _lines(overview: Overview, *, all_rows: bool) -> list[str]:
    width = shutil.get_terminal_size((100, 24)).columns
    counts = Counter(job.status for job in overview.jobs)
    words = ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "no rows"
    manager = f"manager runs, process {overview.manager_pid}" if overview.manager_pid else "no manager runs"
    lines = [f"{words}; {manager}" + (f"; {overview.eta}" if overview.eta else "")]
    lines += [sentence for sentence in (overview.paused, overview.problem) if sentence]
    lines += [f"{name}: {words}" for name, words in overview.device_lines()]
    shown = overview.jobs if all_rows else _worth_showing(overview.jobs)
    name_width = min(40, max((len(job.id) for job in shown), default=0))
    for job in shown:
        line = f"{job.id:<{name_width}}  {job.status:<9}  {job.progress:>9}  {job.message}"
        lines.append(line if all_rows or len(line) <= width else line[: width - 1] + "…")
        if all_rows:
            lines += [f"  {run.line()}" for run in job.runs]
    if len(shown) < len(overview.jobs):
        lines.append(
            f"... and {len(overview.jobs) - len(shown)} more rows: `status ID` shows one, `--json` all"
        )
    return lines


def _worth_showing(jobs: list[JobView]) -> list[JobView]:
    if len(jobs) <= ROWS:
        return jobs
    urgent = [job for job in jobs if job.status in FIRST][:ROWS]
    rest = [job for job in jobs if job.status == "open"][: ROWS - len(urgent)]
    return urgent + rest
