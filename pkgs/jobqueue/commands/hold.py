"""`hold ID...`: writes `hold` into the column `status`, as an editor would."""

from __future__ import annotations

from pkgs.jobqueue.commands.options import JOBS, IdsArgument, JobsOption
from pkgs.jobqueue.commands.word import write_status

EXAMPLES = "Example: python QueueManager.py hold ke/student_baseline"


def hold(ids: IdsArgument, *, jobs: JobsOption = JOBS) -> int:
    """Leave jobs alone: what runs may end, nothing new starts."""
    return write_status(jobs, ids, word="hold")
