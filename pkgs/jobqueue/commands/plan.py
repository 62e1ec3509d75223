"""`plan`: what would start when, simulated with the durations seen so far. Writes nothing, starts nothing."""

from __future__ import annotations

import json as json_text
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pkgs.foundation import exit_codes
from pkgs.jobqueue.commands.options import JOBS, ROOT, JobsOption, JsonOption, RootOption

if TYPE_CHECKING:
    from pkgs.jobqueue.manager.assemble import Options

EXAMPLES = "Example: python QueueManager.py plan --gpus sim:8x80G"
LINES = 200
"""Of a long plan the beginning is what matters; `--json` prints all."""


def plan(
    *,
    gpus: Annotated[str, typer.Option(help="all, none, 0,2 or UUIDs, sim:8x24G for pretended GPUs.")] = "all",
    cpu_slots: Annotated[int | None, typer.Option(help="CPU runs at once.", min=1)] = None,
    json: JsonOption = False,
    jobs: JobsOption = JOBS,
    root: RootOption = ROOT,
) -> int:
    """Show which run would start when and on what, if every run takes as long as those before it."""
    from pkgs.jobqueue.manager.assemble import Options  # noqa: PLC0415 - `status` must not load it

    return show_plan(Options(jobs, root, gpus, cpu_slots), json=json)


def show_plan(options: Options, *, json: bool) -> int:
    """Simulate the queue as it stands, on a copy of its state."""
    from pkgs.jobqueue.manager.assemble import build, copy_of_state, preview  # noqa: PLC0415
    from pkgs.jobqueue.manager.forecast import timeline_of  # noqa: PLC0415
    from pkgs.jobqueue.manager.settings import load_settings  # noqa: PLC0415

    engine = build(options, load_settings(), copy_of_state(options.root))
    preview(engine)
    timeline = timeline_of(engine)
    refused = {
        entry.id: engine.book.problem_of(entry)
        for entry in engine.book.entries.values()
        if engine.book.problem_of(entry)
    }
    starts: list[dict[str, Any]] = [
        {
            "run": str(entry.key),
            "job": entry.key.job,
            "seed": entry.key.seed,
            "condition": entry.key.condition,
            "start_unix_s": entry.start_unix_s,
            "end_unix_s": entry.end_unix_s,
            "devices": [engine.desk.label(uuid) for uuid in entry.devices],
        }
        for entry in timeline.entries
    ]
    if json:
        known = timeline.assumed_s is not None
        facts = {
            "starts": starts,
            "end_unix_s": timeline.end_unix_s,
            "durations_known": known,
            "never": [str(key) for key in timeline.never],
            "refused": refused,
        }
        print(json_text.dumps(facts))
        return exit_codes.FAILED if refused else exit_codes.OK
    if timeline.assumed_s is None and starts:
        print(
            "No run has ended yet, so the times mean nothing; the order does. Each run is taken for an hour."
        )
    for number, start in enumerate(starts[:LINES]):
        where = ", ".join(start["devices"]) or "a CPU slot"
        print(
            f"{number + 1:>5}  {_time(start['start_unix_s'])} - {_time(start['end_unix_s'])}"
            f"  {start['run']}  {where}"
        )
    if len(starts) > LINES:
        print(f"... and {len(starts) - LINES} more runs: `plan --json` prints all")
    for key in timeline.never[:LINES]:
        print(f"never  {key}: `why {key.job}` says what stands in its way")
    for job, problem in refused.items():
        print(f"refused {job}: {problem}")
    print(f"{len(starts)} runs, done about {_time(timeline.end_unix_s)}" if starts else "nothing to start")
    return exit_codes.FAILED if refused else exit_codes.OK


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s).astimezone().strftime("%a %H:%M:%S")
