"""Puts the parts of a manager together, for `run`, `plan` and `--dry-run`."""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pkgs.jobqueue.attempts.processes import Host
from pkgs.jobqueue.devices.inventory import DeviceSource
from pkgs.jobqueue.devices.leases import Leases, default_folder
from pkgs.jobqueue.devices.nvml import NvmlSource
from pkgs.jobqueue.devices.quarantine import Quarantine
from pkgs.jobqueue.devices.settling import Patience
from pkgs.jobqueue.devices.simulated import SimulatedSource
from pkgs.jobqueue.devices.visible import GpuChoice, SimulatedGpus, parse_gpus
from pkgs.jobqueue.devices.watch import DeviceWatch
from pkgs.jobqueue.manager import adopt, past
from pkgs.jobqueue.manager.clock import Clock, SystemClock
from pkgs.jobqueue.manager.code_digests import CodeDigests
from pkgs.jobqueue.manager.engine import Engine
from pkgs.jobqueue.manager.gpu_desk import GpuDesk, owner_of_root
from pkgs.jobqueue.manager.launch import Launcher, share_threads
from pkgs.jobqueue.manager.notify import Notifier
from pkgs.jobqueue.manager.settings import Settings
from pkgs.jobqueue.manager.table_news import take_in_table
from pkgs.jobqueue.state.row_memory import RowMemory
from pkgs.jobqueue.state.state import State, StateError, set_aside
from pkgs.jobqueue.table.jobs_file import JobsFile
from pkgs.jobqueue.table.table_file import TableFile

STATE_NAME: Final = "queue.sqlite"
WHOLE: Final = "whole"
"""Noted once the past is in the state: a manager may die between making the file and filling it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says about a manager."""

    jobs: Path
    root: Path
    gpus: str = "all"
    cpu_slots: int | None = None


def queue_folder(root: Path) -> Path:
    """Return the manager's own folder below a root."""
    return root / "queue"


def open_state(root: Path, *, clock: Clock) -> tuple[State, list[str], bool]:
    """Open the state; one that cannot be read is set aside, never overwritten.

    Returns:
        The state, sentences for the screen, and whether the past must be rebuilt from the run folders.
    """
    path = queue_folder(root) / STATE_NAME
    try:
        state = State.open(path)
        return state, [], state.get(WHOLE) is None
    except StateError as error:
        aside = set_aside(path, now_unix_s=clock.unix_s())
        sentence = (
            f"{error} It was set aside as {aside.name}; what has run is taken from the run folders, and what "
            "nobody can know is held."
        )
        return State.open(path), [sentence], True


def copy_of_state(root: Path) -> State:
    """Return the state in memory only, for a look into the future that leaves no trace."""
    path = queue_folder(root) / STATE_NAME
    memory = State.open_memory()
    if path.exists():
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as source:
            source.backup(memory.db)
        source.close()
    return memory


def build(options: Options, settings: Settings, state: State, *, clock: Clock | None = None) -> Engine:
    """Join the parts; nothing is started and nothing written but the root's own id.

    Raises:
        ValueError: If `--gpus` names what is not there, or Jobs.csv cannot be read at all.
    """
    clock = clock or SystemClock()
    root = options.root.resolve()
    desk = _desk(options, settings, state, clock=clock)
    gpus = 0 if desk.stand_in else len(desk.offer(until_unix_s={}, ours={}))
    cores = len(os.sched_getaffinity(0))
    slots = options.cpu_slots
    if slots is None:
        slots = max(1, cores // 2) if gpus else cores
    launcher = Launcher(
        root,
        cwd=Path.cwd(),
        digests=CodeDigests(Path.cwd()),
        threads=share_threads(cores=cores, cpu_slots=slots, gpus=gpus),
        grace_s=settings.grace_s,
    )
    if settings.device_ids == "index":
        launcher.device_indices = desk.indices()
    return Engine(
        root=root,
        settings=settings,
        clock=clock,
        host=Host(),
        state=state,
        open_table=lambda: JobsFile(TableFile(options.jobs), RowMemory(state)),
        desk=desk,
        launcher=launcher,
        notifier=Notifier(settings.notify, limit_s=settings.notify_limit_s),
        cpu_slots=slots,
    )


def begin(engine: Engine, *, rebuild: bool) -> None:
    """Do what comes before the first turn: load, adopt, read the table, rebuild what was lost.

    Raises:
        ValueError: If Jobs.csv cannot be read (there is no last good version to stay with), or the state
            cannot be written.
    """
    with _needs_room(engine.state):
        adopt.load(engine)
        take_in_table(engine)
        if engine.table_problem is not None and not engine.book.entries:
            raise ValueError(engine.table_problem)
        with engine.state.transaction():
            if rebuild:
                past.rebuild_from_folders(engine)
            engine.state.put(WHOLE, "yes")


@contextmanager
def _needs_room(state: State) -> Iterator[None]:
    """Refuse to start where nothing can be written down; once started, the loop waits for room."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise ValueError(
            f"{state.path} cannot be written ({error}). Make room, or give another --root; what runs goes on."
        ) from error


def _desk(options: Options, settings: Settings, state: State, *, clock: Clock) -> GpuDesk:
    choice = parse_gpus(options.gpus)
    root_id = state.get("root_id")
    if root_id is None:
        root_id = uuid.uuid4().hex
        with _needs_room(state), state.transaction():
            state.put("root_id", root_id)
    folder = Path(settings.lease_folder) if settings.lease_folder else default_folder()
    simulated = isinstance(choice, SimulatedGpus)
    desk = GpuDesk(
        _source(choice, clock.monotonic_s),
        choice=choice,
        leases=Leases(folder, prefix=f"{root_id}-" if simulated else ""),
        owner=owner_of_root(root_id),
        watch=_watch(settings, state, now_s=clock.monotonic_s()),
    )
    desk.poll(wait=True)
    desk.look(clock.monotonic_s(), {})
    return desk


def _watch(settings: Settings, state: State, *, now_s: float) -> DeviceWatch:
    """Return a watch that remembers which cards an earlier manager did not trust."""
    quarantine = Quarantine(failures_in_a_row=settings.failures_to_hold)
    quarantine.restore(json.loads(state.get("quarantine") or "{}"), now_s)
    return DeviceWatch(Patience(clean_looks=settings.device_samples), quarantine=quarantine)


def _source(choice: GpuChoice, clock: Callable[[], float]) -> DeviceSource:
    if isinstance(choice, SimulatedGpus):
        return SimulatedSource(choice.sizes_mib, clock=clock)
    return NvmlSource()


def preview(engine: Engine) -> None:
    """Fill the book from state and table without adopting or writing anything: for a look at the future."""
    adopt.load(engine)
    take_in_table(engine)
    if engine.table_problem is not None:
        raise ValueError(engine.table_problem)
