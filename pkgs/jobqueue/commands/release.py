"""`release ID...`: writes `open` into the column `status`, as an editor would."""

from __future__ import annotations

from pkgs.jobqueue.commands.options import JOBS, IdsArgument, JobsOption
from pkgs.jobqueue.commands.word import write_status

EXAMPLES = "Example: python QueueManager.py release ke/student_baseline"


def release(ids: IdsArgument, *, jobs: JobsOption = JOBS) -> int:
    """Let held jobs run."""
    return write_status(jobs, ids, word="open")
