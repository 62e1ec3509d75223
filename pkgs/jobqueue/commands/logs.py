"""`logs ID[:seed[:condition]] [-f]`: the output of a run's newest attempt, as a terminal would show it."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Annotated

import typer

from pkgs.foundation import exit_codes
from pkgs.foundation.run_folder import RunFolder
from pkgs.jobqueue.attempts.output import follow, readable, tail
from pkgs.jobqueue.commands.options import ROOT, RootOption
from pkgs.jobqueue.nearest import Nearest
from pkgs.jobqueue.state.state import State

EXAMPLES = "Example: python QueueManager.py logs ke/student_baseline:3 -f"


def logs(
    run: Annotated[str, typer.Argument(help="ID, ID:seed or ID:seed:condition.")],
    *,
    follow_on: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the attempt ends.")] = False,
    lines: Annotated[int, typer.Option("-n", help="How many of the last lines.", min=1)] = 200,
    attempt: Annotated[int, typer.Option(help="Number of the attempt; default: the newest.", min=0)] = 0,
    root: RootOption = ROOT,
) -> int:
    """Show what a run has printed, progress bars collapsed."""
    folder = _folder(root, run)
    number = attempt or folder.newest_attempt()
    place = folder.attempt(number)
    if not number or not place.output.exists():
        raise ValueError(_nothing(folder, run, root=root))
    if follow_on:
        reader = _Reader(place.exit, last=lines)
        for line in follow(place.output, ended=reader.ended):
            reader.take(line)
        reader.let_go()
    else:
        print("\n".join(readable(tail(place.output))[-lines:]))
    return exit_codes.OK


class _Reader:
    """Holds back all but the last lines until the end of the file is reached for the first time."""

    def __init__(self, end: Path, *, last: int) -> None:
        self._end = end
        self._held: deque[str] | None = deque(maxlen=last)
        self._idle = False

    def ended(self) -> bool:
        """Tell whether the attempt has ended; asked before each look at the file."""
        if self._idle:
            self.let_go()
        self._idle = True
        return self._end.exists()

    def take(self, line: str) -> None:
        self._idle = False
        if self._held is None:
            print(line, flush=True)
        else:
            self._held.append(line)

    def let_go(self) -> None:
        for line in self._held or ():
            print(line, flush=True)
        self._held = None


def _nothing(folder: RunFolder, run: str, *, root: Path) -> str:
    """Return why there is no output: an id that nobody knows, or a run that has not started."""
    job = run.partition(":")[0]
    state = State.read(root / "queue" / "queue.sqlite")
    if state is not None:
        known = state.jobs()
        state.close()
        if job not in known:
            near = Nearest(known).to(job)
            hint = f" Did you mean {near!r}?" if near else ""
            return f"No job {job!r} in {root}.{hint}"
    return f"{run} has not printed anything yet: {folder.path} holds no attempt. `why {job}` says why."


def _folder(root: RootOption, run: str) -> RunFolder:
    job, _, rest = run.partition(":")
    seed, _, condition = rest.partition(":")
    if seed and not seed.isdecimal():
        raise ValueError(
            f"{run!r}: {seed!r} is not a seed, a whole number. Write ID, ID:seed or ID:seed:condition."
        )
    folder = RunFolder.of(root, job, condition=condition or None, seed=int(seed) if seed else None)
    if folder.attempts.exists() or rest:
        return folder
    # No seed given: the run that has printed last is what the user wants to see.
    found = [path.parent.parent for path in folder.path.glob("**/attempts/*/output.log")]
    if not found:
        return folder
    newest = max(found, key=lambda path: max(log.stat().st_mtime for log in path.glob("*/output.log")))
    print(f"[{newest.parent.relative_to(root)}]")
    return RunFolder(newest.parent)
