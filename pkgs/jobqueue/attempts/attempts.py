"""One attempt as the manager sees it: prepared, started, found again after a restart, stopped.

The other side is shim.py, which outlives the manager; the two meet in `attempts/<k>/`.
Not here: why an attempt failed (causes.py), when one starts (plan.py), what the queue remembers (state.py).
"""

from __future__ import annotations

import errno
import json
import logging
import os
import select
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pkgs.foundation.files import write_json
from pkgs.jobqueue.attempts.adoption import (
    Alive,
    Ended,
    ExitRecord,
    Found,
    Gone,
    NeverStarted,
    Rebooted,
    Unclear,
    find,
    read_exit,
)
from pkgs.jobqueue.attempts.output import NOTE
from pkgs.jobqueue.attempts.processes import (
    Host,
    ProcessIdentity,
    descendants,
    is_alive,
    kill_all,
    open_pidfd,
    processes_of_attempt,
    read_stat,
    session_members,
    signal_process,
)
from pkgs.jobqueue.attempts.spawning import pidfd_of_child, program, spawn, take_lock

if TYPE_CHECKING:
    from pkgs.foundation.run_folder import AttemptFolder

__all__ = (  # what the manager needs, from one place; adoption.py holds the other half
    "Alive", "Ended", "ExitRecord", "Found", "Gone", "LaunchSpec", "NeverStarted", "Rebooted", "StartError",
    "Unclear", "Watched", "child_environment", "find", "kill_rest", "kill_survivors", "masked", "note",
    "prepare", "read_exit", "release", "start", "stop", "survivors", "watch",
)  # fmt: skip

log = logging.getLogger(__name__)

SECRET_WORDS: Final = ("KEY", "TOKEN", "SECRET", "PASS", "CREDENTIAL")
# Devices are handed out by us alone, and a manager started inside a job must not pass on that job's name.
NOT_INHERITED: Final = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "QUEUE_")
ENDING_S: Final = 0.2  # from the release of the lock to the end of the shim; takes a millisecond


class StartError(ValueError):
    """The attempt could not be started; the message is a sentence for people, also in output.log."""


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """All that is needed to start one attempt."""

    attempt: str
    """Unique for ever, not only within its run."""
    folder: AttemptFolder
    run_dir: Path
    command: str
    cwd: Path
    environment: Mapping[str, str]
    """Additions and replacements; the rest is the manager's own without device and queue variables."""
    lease_fds: tuple[int, ...] = ()
    """Open descriptors that hold the devices' locks. The shim gets them, the command does not."""
    grace_s: float = 60.0
    """From SIGTERM to SIGKILL for what the command leaves behind."""
    launch_record: Mapping[str, object] = field(default_factory=dict)
    """What else launch.json shall hold; `devices` is also said in output.log."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A shim that has just been started."""

    identity: ProcessIdentity
    pidfd: int
    """Readable once nothing of the attempt is left; then call `release`."""


def prepare(spec: LaunchSpec, *, host: Host | None = None) -> None:
    """Make the attempt's folder with launch.json and the first lines of output.log.

    Raises:
        StartError: If that cannot be written, or the folder belongs to an attempt that was started.
    """
    folder = spec.folder
    environment = spec.launch_record.get("environment", spec.environment)
    record = {
        "attempt": spec.attempt,
        "command": spec.command,
        "cwd": str(spec.cwd),
        "run_dir": str(spec.run_dir),
        "boot_id": (host or Host()).boot_id,
        "written_unix_s": time.time(),
        **spec.launch_record,
        "environment": masked(environment if isinstance(environment, Mapping) else {}),
    }
    try:
        if folder.exit.exists() or folder.shim.exists():
            raise FileExistsError(errno.EEXIST, "its number belongs to an earlier attempt", str(folder.path))
        folder.path.mkdir(parents=True, exist_ok=True)
        # Not synced: the queue's own state is, and after a power cut this attempt counts as lost either way.
        write_json(folder.launch, record, durable=False)
    except (OSError, ValueError) as error:
        raise _start_error(spec, error) from error
    note(folder, "\n".join(_first_lines(spec)))
    program()  # compiled at the first attempt, here rather than between the lock and the spawn


def masked(environment: Mapping[str, object]) -> dict[str, object]:
    """Return `environment` with `***` for every value whose name sounds like a secret."""
    return {
        name: "***" if any(word in name.upper() for word in SECRET_WORDS) else value
        for name, value in environment.items()
    }


def note(folder: AttemptFolder, text: str) -> None:
    """Append the manager's own words to output.log, each line marked as such."""
    lines = "".join(f"{NOTE}{line}\n" for line in text.splitlines())
    try:
        with folder.output.open("ab") as file:
            file.write(lines.encode("utf-8", "backslashreplace"))
    except OSError as error:
        log.warning("output.log cannot be written path=%s error=%s note=%s", folder.output, error, text)


def start(spec: LaunchSpec, *, host: Host | None = None) -> Watched:
    """Spawn the shim of a prepared attempt; takes a few milliseconds and waits for nothing.

    After success the lease descriptors are closed here: the shim holds them. After a StartError they are
    still open and the caller's.

    Raises:
        StartError: If the lock is held, a descriptor is closed, there is no interpreter, no memory and so on.
    """
    try:
        with ExitStack() as ours:
            lock = take_lock(spec.folder.launch)
            ours.callback(os.close, lock)
            output = ours.enter_context(spec.folder.output.open("ab", buffering=0))
            pid = spawn(
                _arguments(spec, host or Host()),
                environment=child_environment(spec),
                output=output.fileno(),
                keep=(lock, *spec.lease_fds),
            )
        pidfd = pidfd_of_child(pid)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the command or the environment
        raise _start_error(spec, error) from error
    for descriptor in spec.lease_fds:
        os.close(descriptor)
    stat = read_stat(pid)
    assert stat is not None, "our own child keeps its pid until we collect it"
    return Watched(ProcessIdentity((host or Host()).boot_id, pid, stat.start_ticks), pidfd)


def watch(identity: ProcessIdentity, *, host: Host | None = None) -> int:
    """Return a pidfd of a shim found alive, for a selector; ProcessLookupError if it is gone."""
    return open_pidfd(identity, host=host)


def release(pidfd: int) -> None:
    """Collect a shim that has ended, and close its pidfd. One that is just ending gets a moment for it."""
    ending = select.poll()
    ending.register(pidfd, select.POLLIN)
    ending.poll(ENDING_S * 1000)
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        log.debug("shim was started by an earlier manager, init collects it pidfd=%d", pidfd)
    finally:
        os.close(pidfd)


def stop(identity: ProcessIdentity, *, host: Host | None = None) -> bool:
    """Ask the command to end: SIGTERM to its process group, by way of the shim. False if the shim is gone.

    The shim passes it on because it alone knows whether the group's number still means the command.
    """
    return signal_process(identity, signal.SIGTERM, host=host)


def kill_rest(identity: ProcessIdentity, *, host: Host | None = None) -> int:
    """SIGKILL to all that is left of the attempt except its shim, which then reports the true end.

    Returns how many processes were hit. Call it again while the shim lives: it does not wait.
    """

    def rest() -> list[ProcessIdentity]:
        if not is_alive(identity, host=host):
            return []
        everyone = descendants(identity.pid, host=host) + session_members(identity.pid, host=host)
        return [process for process in everyone if process != identity]

    return kill_all(rest, host=host)


def survivors(attempt: str, *, host: Host | None = None) -> list[ProcessIdentity]:
    """Return what is left of an attempt whose shim is `Gone`; its device is free when this is empty."""
    return processes_of_attempt(attempt, host=host)


def kill_survivors(attempt: str, *, host: Host | None = None) -> int:
    """SIGKILL to all survivors; returns how many were hit and does not wait for their end."""
    return kill_all(lambda: survivors(attempt, host=host), host=host)


def child_environment(spec: LaunchSpec) -> dict[str, str]:
    """Return the whole environment of the attempt."""
    base = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return {**base, **spec.environment, "QUEUE_ATTEMPT": spec.attempt}


def _first_lines(spec: LaunchSpec) -> list[str]:
    devices = spec.launch_record.get("devices")
    names = ", ".join(str(device) for device in devices) if isinstance(devices, list | tuple) else ""
    return [
        f"{datetime.now(UTC).astimezone().isoformat(timespec='seconds')}  attempt {spec.attempt}",
        f"command: {spec.command}",
        f"working directory: {spec.cwd}",
        f"run folder: {spec.run_dir}",
        f"devices: {names or 'none, CPU only'}",
    ]


def _arguments(spec: LaunchSpec, host: Host) -> list[str]:
    """Return the shim's arguments."""
    folder, cwd = str(spec.folder.path.absolute()), str(spec.cwd.absolute())
    return [folder, json.dumps(spec.attempt), host.boot_id, str(spec.grace_s), cwd, spec.command]


def _start_error(spec: LaunchSpec, error: OSError | ValueError) -> StartError:
    reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    place = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    sentence = f"Attempt {spec.attempt} could not be started: {reason}{place}."
    if spec.folder.path.is_dir():
        note(spec.folder, sentence)
    return StartError(sentence)
