"""`retry ID...`: runs the failed and cancelled members of jobs again; what is completed stays."""

from __future__ import annotations

from pkgs.foundation import exit_codes
from pkgs.jobqueue.commands.options import ROOT, IdsArgument, RootOption
from pkgs.jobqueue.manager.assemble import STATE_NAME, queue_folder
from pkgs.jobqueue.nearest import Nearest
from pkgs.jobqueue.state.state import State

EXAMPLES = "Example: python QueueManager.py retry ke/student_baseline"


def retry(ids: IdsArgument, *, root: RootOption = ROOT) -> int:
    """Run the failed members of jobs again; completed runs stay, seeds are kept."""
    path = queue_folder(root) / STATE_NAME
    if not path.exists():
        raise ValueError(f"{root} holds no queue yet: nothing has failed there. Is --root right?")
    state = State.open(path)
    known = state.jobs()
    for job in ids:
        if job not in known:
            near = Nearest(known).to(job)
            hint = f" Did you mean {near!r}?" if near else ""
            raise ValueError(f"No job {job!r} in {root}.{hint}")
    for job in ids:
        state.add_order("retry", job)
    state.close()
    print(f"{', '.join(ids)}: failed runs will be tried again")
    return exit_codes.OK
