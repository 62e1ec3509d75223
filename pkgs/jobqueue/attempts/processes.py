"""Which process is which: recognised by boot id, pid and start time, never by pid alone. Needs Linux: /proc.

Not here: what an attempt is (attempts.py). The boot id is passed in, so that tests can pretend a reboot.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

KILL_ROUNDS = 20  # each looks for what was forked during the last one; a fork bomb must not hold the manager


def read_boot_id() -> str:
    """Return the id that the kernel drew at this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@dataclass(frozen=True, slots=True)
class Host:
    """The machine as it runs now."""

    boot_id: str = field(default_factory=read_boot_id)


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """Names one process for ever: a pid comes back, the three together do not."""

    boot_id: str
    pid: int
    start_ticks: int
    """Clock ticks from boot to the process's start, field 22 of /proc/<pid>/stat."""


class Stat(NamedTuple):
    """What /proc/<pid>/stat says."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    start_ticks: int

    @property
    def dead(self) -> bool:
        """True for a zombie: it has ended, only nobody has asked for its end yet."""
        return self.state in "ZX"


def read_stat(pid: int) -> Stat | None:
    """Return the process's line in the process table, or None when there is no such pid."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = raw.rpartition(b")")[2].split()  # the name before it may hold blanks and brackets
    state, parent, group, session = fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3])
    return Stat(pid, state, parent, group, session, int(fields[19]))


def process_table() -> list[Stat]:
    """Return every living process of the machine, zombies left out."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())
    return [stat for pid in pids if (stat := read_stat(pid)) is not None and not stat.dead]


def identify(pid: int, *, host: Host | None = None) -> ProcessIdentity | None:
    """Return the identity of the living process `pid`, None when there is none or it is a zombie."""
    stat = read_stat(pid)
    if stat is None or stat.dead:
        return None
    return ProcessIdentity((host or Host()).boot_id, pid, stat.start_ticks)


def is_alive(identity: ProcessIdentity, *, host: Host | None = None) -> bool:
    """Return whether this very process lives: boot id, pid and start time agree and it is no zombie."""
    return identify(identity.pid, host=host) == identity


def open_pidfd(identity: ProcessIdentity, *, host: Host | None = None) -> int:
    """Return a descriptor that becomes readable when the process ends; the caller closes it.

    Raises:
        ProcessLookupError: If this very process does not live. The check comes after the opening, so
            that the descriptor can never be that of a stranger with the same pid.
    """
    descriptor = os.pidfd_open(identity.pid)
    if is_alive(identity, host=host):
        return descriptor
    os.close(descriptor)
    raise ProcessLookupError(f"Process {identity.pid} started at tick {identity.start_ticks} is gone.")


@contextmanager
def _pidfd(identity: ProcessIdentity, host: Host | None) -> Iterator[int]:
    descriptor = open_pidfd(identity, host=host)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def signal_process(identity: ProcessIdentity, number: signal.Signals, *, host: Host | None = None) -> bool:
    """Send a signal to this very process; False when it is gone. A stranger with its pid is never touched.

    Raises:
        PermissionError: If the process belongs to somebody else.
    """
    try:
        with _pidfd(identity, host) as descriptor:
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    return True


def descendants(pid: int, *, host: Host | None = None) -> list[ProcessIdentity]:
    """Return the living children of `pid`, their children and so on, without `pid` itself."""
    table = process_table()
    below = _below(table, [pid])
    return _identities((stat for stat in table if stat.pid in below), host)


def session_members(session: int, *, host: Host | None = None) -> list[ProcessIdentity]:
    """Return the living processes of a session, its leader included."""
    return _identities((stat for stat in process_table() if stat.session == session), host)


def processes_of_attempt(attempt: str, *, host: Host | None = None) -> list[ProcessIdentity]:
    """Return the living processes that carry `QUEUE_ATTEMPT=<attempt>` in their environment, and those below.

    Finds what a killed shim has left behind, though never the caller itself. Processes of other users
    cannot be read and are not found; neither is one that has emptied its environment, unless it descends
    from one that is found.
    """
    table = process_table()
    marked = {stat.pid for stat in table if carries_attempt(stat.pid, attempt)}
    family = (marked | _below(table, marked)) - {os.getpid()}
    return _identities((stat for stat in table if stat.pid in family), host)


def kill_all(find: Callable[[], list[ProcessIdentity]], *, host: Host | None = None) -> int:
    """Send SIGKILL to all that `find` returns, again until it returns nobody new; return how many it hit.

    Does not wait for their end: a process in a system call that does not return outlives any signal.
    """
    hit: set[ProcessIdentity] = set()
    for _ in range(KILL_ROUNDS):
        fresh = set(find()) - hit
        if not fresh:
            break
        hit |= {identity for identity in fresh if signal_process(identity, signal.SIGKILL, host=host)}
    return len(hit)


def carries_attempt(pid: int, attempt: str) -> bool:
    """Return whether the process was started with `QUEUE_ATTEMPT=<attempt>`."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"QUEUE_ATTEMPT={attempt}".encode("utf-8", "surrogateescape") in raw.split(b"\0")


def _below(table: list[Stat], pids: Iterable[int]) -> set[int]:
    """Return the pids of all that descend from `pids`, without these."""
    children: dict[int, list[int]] = {}
    for stat in table:
        children.setdefault(stat.parent, []).append(stat.pid)
    found: set[int] = set()
    pending = list(pids)
    while pending:
        below = set(children.get(pending.pop(), ())) - found
        found |= below
        pending += below
    return found


def _identities(stats: Iterable[Stat], host: Host | None) -> list[ProcessIdentity]:
    boot_id = (host or Host()).boot_id
    return [ProcessIdentity(boot_id, stat.pid, stat.start_ticks) for stat in stats]
