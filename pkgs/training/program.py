"""One training from its command line to its exit code: processes, device, who may write, what is told.

What is trained stands in `work`; every way out of it has its exit code here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from pkgs.foundation import exit_codes
from pkgs.training.arguments import Arguments
from pkgs.training.config import TrainingConfig
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.run_lock import sole_trainer
from pkgs.training.stop import Stopped, StopRequest

if TYPE_CHECKING:
    from pkgs.training.ranks import Ranks

Work = Callable[[Heartbeat, "Ranks"], None]
"""Train from wherever the run is to its end, then judge it."""


def run(module: str, arguments: Arguments, config: TrainingConfig, *, stop: StopRequest, work: Work) -> int:
    """Train in this process, or in as many as `parallel: ddp` asks for; return the exit code.

    Args:
        module: What `python -m` runs.
        arguments: Its command line.
        config: Which devices and processes.
        stop: Asked for by a signal.
        work: Raises ValueError for what cannot be used, OSError for what cannot be written.
    """
    from pkgs.training import launch  # noqa: PLC0415 - torch
    from pkgs.training.ranks import join  # noqa: PLC0415
    from pkgs.training.replicas import pick_device  # noqa: PLC0415

    try:
        device = pick_device(arguments.device)
        processes = launch.processes_to_start(config, device=device)
        if processes and arguments.replay_nan is None:
            return launch.run_through_torchrun(module, arguments.words, processes=processes, stop=stop)
        ranks = join(config, device=device)
    except ValueError as error:
        return refuse([str(error)])
    code = _run_here(arguments, ranks=ranks, work=work)
    ranks.leave(wait=code in {exit_codes.STOPPED, exit_codes.NAN})
    return launch.note_exit_code(code)


def _run_here(arguments: Arguments, *, ranks: Ranks, work: Work) -> int:
    from pkgs.training.nan import NotFiniteError  # noqa: PLC0415 - torch

    arguments.folder.path.mkdir(parents=True, exist_ok=True)
    title = f"{arguments.config.stem} seed {arguments.seed}"
    replayed = arguments.replay_nan is not None  # leaves the run as it is
    heart = Heartbeat(arguments.folder, title=title, quiet=replayed or not ranks.first)
    try:
        with sole_trainer(arguments.folder.path) if ranks.first and not replayed else nullcontext():
            work(heart, ranks)
    except Stopped:
        heart.say(f"{heart.title}: stopped at step {heart.step}; the same command goes on from there.")
        return exit_codes.STOPPED
    except NotFiniteError as error:
        return _fail(str(error), exit_codes.NAN, ranks=ranks)
    except ValueError as error:
        return _fail(str(error), exit_codes.USAGE, ranks=ranks)
    except OSError as error:
        what = f"{error.filename or arguments.folder.path}: {error.strerror or error}"
        rest = "The last checkpoint stays valid; mend this and give the same command to go on from there."
        return _fail(f"{what}. {rest}", exit_codes.FAILED, ranks=ranks)
    return exit_codes.OK


def refuse(faults: Sequence[str]) -> int:
    """Tell all problems at once."""
    sys.stderr.write("\n".join(faults) + "\n")
    return exit_codes.USAGE


def say(sentence: str) -> int:
    """Tell something on a line of its own."""
    sys.stdout.write(sentence + "\n")
    return exit_codes.OK


def _fail(sentence: str, code: int, *, ranks: Ranks) -> int:
    if ranks.first:
        sys.stderr.write(sentence + "\n")
    return code
