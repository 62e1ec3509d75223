"""`run`: the queue itself, with a live board in a terminal and one line per event elsewhere."""

from __future__ import annotations

import gc
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pkgs.foundation import exit_codes
from pkgs.jobqueue.commands.options import JOBS, ROOT, JobsOption, RootOption

if TYPE_CHECKING:
    from pkgs.jobqueue.manager.assemble import Options

EXAMPLES = (
    "Examples: python QueueManager.py | python QueueManager.py run --gpus 0,2 --until-idle | "
    "python QueueManager.py run --gpus sim:8x24G --dry-run"
)


LAST_NEWS_S = 1.0
"""Who presses Ctrl-C does not wait longer for a notification."""


def run(  # noqa: PLR0913 - one per option of the command
    *,
    gpus: Annotated[str, typer.Option(help="all, none, 0,2 or UUIDs, sim:8x24G for pretended GPUs.")] = "all",
    cpu_slots: Annotated[
        int | None, typer.Option(help="CPU runs at once; default: one per core.", min=1)
    ] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when nothing is open; 1 if a run failed.")
    ] = False,
    backend: Annotated[str, typer.Option(help="Where runs are started: local.")] = "local",
    poll: Annotated[float, typer.Option(help="Seconds between two looks at Jobs.csv.", min=0.01)] = 0.25,
    plain: Annotated[bool, typer.Option("--plain", help="One line per event, also in a terminal.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would start when; start nothing.")
    ] = False,
    jobs: JobsOption = JOBS,
    root: RootOption = ROOT,
) -> int:
    """Run the jobs of Jobs.csv on free devices, and go on until stopped.

    Ctrl-C ends the manager, never the jobs: the next start takes them back.
    """
    from pkgs.jobqueue.commands.plan import show_plan  # noqa: PLC0415
    from pkgs.jobqueue.manager.assemble import Options, queue_folder  # noqa: PLC0415 - `--help` must not load it all
    from pkgs.jobqueue.manager.root_lock import RootLock  # noqa: PLC0415

    if backend != "local":
        raise ValueError(f"--backend {backend!r}: known is 'local'.")
    options = Options(jobs, root, gpus, cpu_slots)
    if dry_run:
        return show_plan(options, json=False)
    if not jobs.exists():
        raise ValueError(
            f"{jobs} does not exist. Write it (a header row with `command`, then one row per job), or let "
            "`python QueueManager.py add COMMAND` begin one."
        )
    _log_to(queue_folder(root))
    lock = RootLock(queue_folder(root))
    lock.take()
    try:
        return _manage(options, poll_s=poll, until_idle=until_idle, plain=plain)
    finally:
        lock.release()


def _manage(options: Options, *, poll_s: float, until_idle: bool, plain: bool) -> int:
    """Put the manager together, let it work, and return the exit code."""
    from pkgs.jobqueue.manager.assemble import begin, build, open_state  # noqa: PLC0415
    from pkgs.jobqueue.manager.clock import SystemClock  # noqa: PLC0415
    from pkgs.jobqueue.manager.manager import Manager  # noqa: PLC0415
    from pkgs.jobqueue.manager.settings import load_settings  # noqa: PLC0415
    from pkgs.jobqueue.screen.screen import choose_screen  # noqa: PLC0415

    settings = load_settings()
    try:
        state, notices, rebuild = open_state(options.root, clock=SystemClock())
    except sqlite3.OperationalError as error:
        raise ValueError(
            f"The state in {options.root / 'queue'} cannot be opened ({error}). Is there room, and may you "
            "write there? `doctor` tells; or give another --root."
        ) from error
    engine = build(options, settings, state)
    engine.desk.notices[:0] = notices
    manager = Manager(engine, poll_s=poll_s)
    with choose_screen(engine, plain=plain) as screen:
        with _collected_later():
            begin(engine, rebuild=rebuild)
        idle = manager.run(until_idle=until_idle, after_turn=screen.show)
        manager.finish()
        engine.notifier.finish(within_s=settings.notify_limit_s if idle else LAST_NEWS_S)
        nameless = _rows_without_a_name(options.jobs) if idle else []
        engine.desk.notices += nameless
        screen.show(engine, last=True)
    if not idle:
        return exit_codes.INTERRUPTED
    return exit_codes.FAILED if nameless or engine.book.anything_failed() else exit_codes.OK


@contextmanager
def _collected_later() -> Iterator[None]:
    """Fill the memory without looking for garbage: of 100,000 rows nothing is, and a look takes long."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _rows_without_a_name(jobs: Path) -> list[str]:
    """Return why rows were refused whose id names no job: the book knows nothing of them."""
    from pkgs.jobqueue.table.rows_on_disk import read_rows  # noqa: PLC0415
    from pkgs.jobqueue.table.table_file import TableFileError  # noqa: PLC0415

    try:
        rows = read_rows(jobs)
    except TableFileError as error:
        return [str(error)]
    return [str(row.errors[0]) for row in rows if row.errors and not row.id]


def _log_to(folder: Path) -> None:
    """Send the manager's own log to a file: the screen belongs to the board."""
    folder.mkdir(parents=True, exist_ok=True)
    form = "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.raiseExceptions = False  # a full disk must not scribble over the board
    logging.basicConfig(filename=folder / "manager.log", level=logging.INFO, format=form)
