"""Which devices are not trusted, and how they earn trust again. Pure: the clock is passed in.

A device enters after failures of several different jobs in a row, or at once when it was lost. After a pause
it gets one probation run: success frees it, failure doubles the pause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, final

FAILURES_IN_A_ROW: Final = 3
FIRST_PAUSE_S: Final = 1800.0
LONGEST_PAUSE_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Distrust:
    """One device in quarantine."""

    why: str
    pause_s: float
    until_s: float
    """From then on, on the clock of the calls, one probation run may start."""


@final
class Quarantine:
    """Failures in a row and distrusted devices, by UUID."""

    def __init__(self, *, failures_in_a_row: int = FAILURES_IN_A_ROW, pause_s: float = FIRST_PAUSE_S) -> None:
        """Start with trust in all devices."""
        self._limit = failures_in_a_row
        self._first_pause_s = pause_s
        self._failed: dict[str, list[str]] = {}
        self._distrusted: dict[str, Distrust] = {}

    def failure(self, uuid: str, job: str, *, now_s: float) -> None:
        """Note that a run of `job` failed on the device for a reason that may be the device's."""
        if uuid in self._distrusted:
            self.distrust(uuid, self._distrusted[uuid].why, now_s=now_s)
            return
        jobs = self._failed.setdefault(uuid, [])
        if job not in jobs:  # the same job again speaks against the job, not against the device
            jobs.append(job)
        if len(jobs) >= self._limit:
            self.distrust(
                uuid, f"runs of {len(jobs)} jobs failed on it in a row ({', '.join(jobs)})", now_s=now_s
            )

    def success(self, uuid: str) -> None:
        """Note that a run ended well on the device: it is trusted."""
        self._failed.pop(uuid, None)
        self._distrusted.pop(uuid, None)

    def distrust(self, uuid: str, why: str, *, now_s: float) -> None:
        """Put the device into quarantine; once its pause there is over, for twice as long."""
        before = self._distrusted.get(uuid)
        if before is None:
            self._distrusted[uuid] = Distrust(why, self._first_pause_s, now_s + self._first_pause_s)
        elif now_s >= before.until_s:
            pause_s = min(LONGEST_PAUSE_S, 2 * before.pause_s)
            self._distrusted[uuid] = Distrust(why, pause_s, now_s + pause_s)
        self._failed.pop(uuid, None)

    def release(self, uuid: str, now_s: float) -> None:
        """Allow the probation run at once, because somebody says that the device was mended."""
        if uuid in self._distrusted:
            self._distrusted[uuid] = replace(self._distrusted[uuid], until_s=now_s)

    def of(self, uuid: str) -> Distrust | None:
        """Return why the device is in quarantine, or None when it is trusted."""
        return self._distrusted.get(uuid)

    def to_state(self, now_s: float) -> dict[str, object]:
        """Return plain values for JSON; of pauses what is left of them, as the next clock may differ."""
        return {
            "failed": {uuid: list(jobs) for uuid, jobs in self._failed.items()},
            "distrusted": {
                uuid: {"why": it.why, "pause_s": it.pause_s, "left_s": max(0.0, it.until_s - now_s)}
                for uuid, it in self._distrusted.items()
            },
        }

    def restore(self, state: Mapping[str, object], now_s: float) -> None:
        """Take over what `to_state` returned.

        Raises:
            ValueError: If `state` is not of that form.
        """
        failed, distrusted = state.get("failed", {}), state.get("distrusted", {})
        if not isinstance(failed, dict) or not isinstance(distrusted, dict):
            raise ValueError(  # noqa: TRY004 - bad stored data, one kind of error for the caller
                f"The stored quarantine of devices is not two tables: {state!r}."
            )
        try:
            self._failed = {str(uuid): [str(job) for job in jobs] for uuid, jobs in failed.items()}
            self._distrusted = {
                str(uuid): Distrust(str(it["why"]), float(it["pause_s"]), now_s + float(it["left_s"]))
                for uuid, it in distrusted.items()
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"The stored quarantine of devices is not readable: {error!r} in {state!r}."
            ) from error
