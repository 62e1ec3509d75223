"""`cancel ID...`: writes `cancel` into the column `status`, as an editor would."""

from __future__ import annotations

from pkgs.jobqueue.commands.options import JOBS, IdsArgument, JobsOption
from pkgs.jobqueue.commands.word import write_status

EXAMPLES = "Example: python QueueManager.py cancel ke/student_baseline"


def cancel(ids: IdsArgument, *, jobs: JobsOption = JOBS) -> int:
    """Stop jobs; each run has time to save a checkpoint."""
    return write_status(jobs, ids, word="cancel")
