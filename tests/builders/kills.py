"""Running something in a process of its own that kills itself, with SIGKILL, in the middle of a training."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from pkgs.training.loop import Loop

VERBS = ("train_step", "log", "validate", "save", "save_if_due")
FILE_ACTS = ((os, "fsync"), (os, "write"), (Path, "replace"), (Path, "symlink_to"), (Path, "mkdir"))


def killed_at(event: int, run: Callable[[], object]) -> bool:
    """Call `run` in a child that kills itself before its `event`-th act; say whether it came to that."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
        return os.WIFSIGNALED(status)
    try:
        _count_acts(event)
        run()
    except BaseException:  # noqa: BLE001 - the child must never come back into pytest
        os._exit(1)
    os._exit(0)


def _count_acts(event: int) -> None:
    left = event

    def deadly(real: Callable[..., object]) -> Callable[..., object]:
        def act(*words: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*words, **named)

        return act

    for verb in VERBS:
        setattr(Loop, verb, deadly(getattr(Loop, verb)))
    for owner, name in FILE_ACTS:
        setattr(owner, name, deadly(getattr(owner, name)))
