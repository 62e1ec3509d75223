"""Tells somebody about a job.

A command of the user's, with a time limit and two more tries, never in the way.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Final

log = logging.getLogger(__name__)

MOST_WAITING: Final = 1000
"""With a hook that hangs, later news is worth more than old news."""
FINISH_PAUSE_S: Final = 0.02
TRIES: Final = 3
AT_ONCE: Final = 4
"""More than so many at the same time wait: a queue of 10,000 rows must not become 10,000 processes."""


@dataclass(slots=True)
class _Message:
    words: dict[str, str]
    tries: int = 0
    process: subprocess.Popen[bytes] | None = None
    deadline_s: float = 0.0


class Notifier:
    """Runs the hook for each message; `tend` is called once a turn and never waits."""

    def __init__(self, command: str, *, limit_s: float) -> None:
        self.command = command
        self.limit_s = limit_s
        self._messages: list[_Message] = []

    def send(self, *, job: str, status: str, message: str) -> None:
        """Queue one message; does nothing without a hook."""
        if self.command:
            words = {"QUEUE_JOB": job, "QUEUE_STATUS": status, "QUEUE_MESSAGE": message}
            self._messages.append(_Message(words))
            if len(self._messages) > MOST_WAITING:
                dropped = self._messages.pop(AT_ONCE)
                log.warning("notification dropped, the hook is too slow words=%s", dropped.words)

    def tend(self, now_s: float) -> None:
        """Start, end and forget what is due. `now_s` is a monotonic clock."""
        for message in self._messages[:AT_ONCE]:
            if message.process is None:
                self._start(message, now_s)
            elif message.process.poll() is not None or now_s > message.deadline_s:
                self._end(message, message.process)
        self._messages = [message for message in self._messages if message.tries < TRIES]

    def finish(self, *, within_s: float) -> None:
        """Give what was sent last its chance before the manager ends."""
        end_s = time.monotonic() + within_s
        while self._messages and time.monotonic() < end_s:
            self.tend(time.monotonic())
            time.sleep(FINISH_PAUSE_S)

    def _start(self, message: _Message, now_s: float) -> None:
        message.deadline_s = now_s + self.limit_s
        try:
            message.process = subprocess.Popen(
                ["/bin/bash", "-c", self.command],
                env={**os.environ, **message.words},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            message.tries += 1
            log.warning("notification could not start error=%s", error)

    def _end(self, message: _Message, process: subprocess.Popen[bytes]) -> None:
        message.process = None
        if process.returncode == 0:
            message.tries = TRIES
            return
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        message.tries += 1
        log.warning("notification failed try=%d code=%s", message.tries, process.returncode)
