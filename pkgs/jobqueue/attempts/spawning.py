"""Spawning the shim: its lock, its signals and descriptors, its byte code. What it is given: attempts.py."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import py_compile
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

log = logging.getLogger(__name__)

LOCK_WAIT_S: Final = 0.2  # a `status` that asks for the lock holds it for microseconds


def take_lock(launch: Path) -> int:
    """Return a descriptor that holds the attempt's lock until its last copy, the shim's, is closed."""
    deadline_s = time.monotonic() + LOCK_WAIT_S
    descriptor = os.open(
        launch, os.O_RDWR | os.O_CLOEXEC
    )  # network file systems want to write what they lock
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK or time.monotonic() > deadline_s:
                os.close(descriptor)
                raise
            time.sleep(0.002)
        else:
            return descriptor


def spawn(
    arguments: Sequence[str], *, environment: Mapping[str, str], output: int, keep: tuple[int, ...]
) -> int:
    """Start the shim as leader of a session of its own and return its pid.

    Args:
        arguments: As shim.py takes them.
        environment: The whole of it, for the command, too.
        output: Descriptor of output.log.
        keep: Descriptors that the shim inherits; it does not pass them on.
    """
    with _sigterm_blocked():
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", program(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
            pass_fds=keep,
        )
    process.returncode = 0  # it runs: this only keeps Popen from warning about it and from collecting it
    return process.pid


def pidfd_of_child(pid: int) -> int:
    """Open the pidfd of the shim just started; a shim that could not be watched is ended at once."""
    try:
        return os.pidfd_open(pid)
    except OSError:  # no descriptor left
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


@contextmanager
def _sigterm_blocked() -> Iterator[None]:
    """Let the shim inherit a blocked SIGTERM: a `stop` in its first milliseconds waits for its handler."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def program() -> str:
    """Return the shim compiled to byte code, which saves 2 ms of each start; its source where that fails."""
    compiled = _compiled()
    if not compiled.exists():  # somebody cleans up `__pycache__` while we run
        _compiled.cache_clear()
        compiled = _compiled()
    return str(compiled)


@cache
def _compiled() -> Path:
    source = Path(__file__).with_name("shim.py")
    try:
        return Path(py_compile.compile(str(source), doraise=True) or source)
    except (OSError, py_compile.PyCompileError) as error:
        log.warning("shim is not compiled, each start takes 2 ms longer path=%s error=%s", source, error)
        return source
