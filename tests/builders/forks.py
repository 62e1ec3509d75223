"""Child processes for tests: forked, killed where a test says, never left behind."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITES = ("pwrite", "fsync", "posix_fallocate")


def fork(work: Callable[[], object]) -> int:
    """Run `work` in a forked child and return its pid; the child ends with 0, or with 1 and its traceback."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing of a child may run the rest of the tests
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(code)


def end_of(pid: int) -> int:
    """Wait for the child and return its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_at_write(number: int) -> None:
    """Kill this process in the middle of its system call `number` that writes, syncs, reserves or renames."""
    counted = [0]

    def wrapped(original: Callable[..., Any], *, torn: bool) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as the wrapped one
            counted[0] += 1
            if counted[0] == number:
                if torn:
                    descriptor, data, at = arguments
                    original(descriptor, memoryview(data)[: len(data) // 2], at)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **named)

        return call

    for name in WRITES:
        setattr(os, name, wrapped(getattr(os, name), torn=name == "pwrite"))
    Path.rename = wrapped(Path.rename, torn=False)  # type: ignore[method-assign]
