"""Being asked to stop: SIGTERM sets a flag, the loop looks at it where it is safe to leave."""

from __future__ import annotations

import signal
from types import FrameType
from typing import final


class Stopped(Exception):  # noqa: N818 - a request that was met, no error
    """The run was asked to stop and has saved what it needs to go on."""


@final
class StopRequest:
    """A flag that SIGTERM sets."""

    def __init__(self) -> None:
        self.asked = False

    def listen(self) -> None:
        """Take over SIGTERM; early, so that a stop while libraries load is a stop as well."""
        signal.signal(signal.SIGTERM, self._note)

    def check(self) -> None:
        """Leave here if a stop was asked for.

        Raises:
            Stopped: Then.
        """
        if self.asked:
            raise Stopped

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True
