"""One training from its command line to its exit code: settings, processes, who may write, what is told.

What is trained stands in a `Plan`; every way out of it has its exit code here. torch loads with the run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pkgs.foundation import exit_codes
from pkgs.foundation.config import Section, load_config
from pkgs.foundation.run_folder import RunFolder
from pkgs.training.arguments import Arguments, parse
from pkgs.training.config import TrainingConfig
from pkgs.training.heartbeat import Heartbeat
from pkgs.training.run_lock import sole_trainer
from pkgs.training.run_state import damaged_checkpoints, differences, is_finished
from pkgs.training.starting_point import StartingPoint, changed_inputs, faults_of
from pkgs.training.stop import Stopped, StopRequest
from pkgs.training.trackers.config import TrackerConfig

if TYPE_CHECKING:
    from pkgs.training.assembly import Joined, Start
    from pkgs.training.ranks import Ranks

C = TypeVar("C", bound=Section)

Work = Callable[[Heartbeat, "Ranks"], None]
"""Train from wherever the run is to its end, then judge it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a method's package says of one run; made from its settings without torch."""

    config: Section
    """All settings; what the run folder keeps."""
    training: TrainingConfig
    """Those of the loop."""
    trackers: TrackerConfig
    problems: Callable[[], list[str]]
    """For `--check`: what is wrong with the data, one sentence each."""
    origin: Callable[[], Mapping[str, object]]
    """What provenance.json says of the data."""
    join: Callable[[Start], Joined]
    """Put data, networks, method and loop together. Raises ValueError for what cannot be used."""
    faults: Callable[[], list[str]] = list
    """What is wrong with the settings taken together, one sentence each; before every start."""
    starting_points: Callable[[], Mapping[str, StartingPoint]] | None = None
    """The checkpoints that the run begins with, by their name in provenance.json, which tells them where this
    is given. Raises ValueError if there is none where one is needed."""


def main(
    argv: Sequence[str], settings: type[C], *, module: str, purpose: str, plan: Callable[[Arguments, C], Plan]
) -> int:
    """Do what the command line of a method says and return the exit code.

    Args:
        argv: The words behind the program's name.
        settings: Of the method.
        module: What `python -m` runs.
        purpose: What it does, in one sentence for `--help`.
        plan: Says what the run is.

    Raises:
        SystemExit: With code 2, after a usage line, if the command line cannot be read.
    """
    stop = StopRequest()
    stop.listen()  # before torch loads, which takes seconds
    arguments = parse(argv, os.environ, module=module, purpose=purpose)
    try:
        config = load_config(
            settings, arguments.config, overrides=arguments.overrides, variables=arguments.variables
        )
    except ValueError as error:
        return refuse([str(error)])
    planned = plan(arguments, config)
    faults = differences(arguments.folder, planned.config) + _faults_of_inputs(planned, arguments.folder)
    if arguments.check:
        faults += planned.problems() + damaged_checkpoints(arguments.folder)
    if faults:
        return refuse(faults)
    if arguments.check:
        return say(f"{arguments.config}: config and data are fine.")
    if is_finished(arguments.folder) and arguments.replay_nan is None:
        return say(f"{arguments.folder.path}: finished already, nothing to do.")

    def work(heart: Heartbeat, ranks: Ranks) -> None:
        from pkgs.training.assembly import Start, carry_out  # noqa: PLC0415 - torch

        carry_out(Start(planned, arguments, module=module, heart=heart, stop=stop, ranks=ranks))

    return _run(module, arguments, planned.training, stop=stop, work=work)


def _faults_of_inputs(plan: Plan, folder: RunFolder) -> list[str]:
    """Return what is wrong with settings and checkpoints that the run begins with; nothing once it ended."""
    if is_finished(folder):
        return []
    faults = plan.faults()
    if faults or plan.starting_points is None:
        return faults
    try:
        points = plan.starting_points()
    except ValueError as error:
        return [str(error)]
    return faults_of(points) or changed_inputs(folder, points)


def _run(module: str, arguments: Arguments, config: TrainingConfig, *, stop: StopRequest, work: Work) -> int:
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
