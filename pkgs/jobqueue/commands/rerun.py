"""`rerun ID...`: writes `rerun` into the column `status`, as an editor would."""

from __future__ import annotations

from pkgs.jobqueue.commands.options import JOBS, IdsArgument, JobsOption
from pkgs.jobqueue.commands.word import write_status

EXAMPLES = "Example: python QueueManager.py rerun ke/student_baseline"


def rerun(ids: IdsArgument, *, jobs: JobsOption = JOBS) -> int:
    """Run jobs again from the start; old run folders are kept as <folder>.<k>."""
    return write_status(jobs, ids, word="rerun")
