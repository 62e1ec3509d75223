"""Why an attempt ended, and what follows from it: pure functions over what is known of its end.

Each rule of `RULES` looks at one kind of evidence and answers or passes on. What the log says is read by
last_words.py. Not here: pauses, counts of retries and the run's next state (outcome.py).
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from pkgs.foundation import exit_codes
from pkgs.jobqueue.attempts.last_words import Finding, last_finding, last_line
from pkgs.jobqueue.vocabulary import Cause

NEARLY_ALL: Final = 0.9  # of the machine's memory: who dies by SIGKILL with so much was not killed at random
DISK_IS_FULL_BYTES: Final = 16 << 20  # below it even a log line may fail, so that the log is silent on why

STOP_SENTENCES: Final = {
    "cancel": (Cause.CANCELLED, "Cancelled."),
    "timeout": (Cause.TIMEOUT, "Stopped: it ran longer than its timeout."),
    "stalled": (
        Cause.STALLED,
        "Stopped: no output, no heartbeat and an idle device for the whole stall time.",
    ),
}
# What a fault of machine or card looks like in the log counts more than the exit code beside it.
OUTER: Final = frozenset({Cause.GPU_OUT_OF_MEMORY, Cause.HOST_OUT_OF_MEMORY, Cause.GPU_LOST, Cause.DISK_FULL})
FROM_OUTSIDE: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
CRASHES: Final = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL,
                  signal.SIGTRAP, signal.SIGSYS)  # fmt: skip
CODES: Final = {  # of bash and of our own programs
    exit_codes.USAGE: "wrong usage or a bad config",
    126: "the command cannot be executed",
    127: "there is no such command",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of an attempt's end."""

    code: int | None
    signal: int | None
    log: str = ""
    """The readable tail of output.log."""
    stop_reason: Literal["cancel", "timeout", "stalled"] | None = None
    stop_unix_s: float | None = None
    """When our SIGTERM was sent; a stop after the end changes nothing."""
    end_unix_s: float | None = None
    oom_kills: int = 0
    """By how much the control group's count of processes killed for want of memory has grown."""
    peak_rss_bytes: int | None = None
    total_ram_bytes: int | None = None
    used_gpu: bool = False
    free_disk_bytes: int | None = None
    """In the run folder, when the end was noticed."""
    rebooted: bool = False
    lost: bool = False
    """Nobody knows the end: the shim was killed."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What an attempt ended from."""

    cause: Cause | None
    """None: it succeeded."""
    sentence: str
    """For people, with the words of the log where it has some."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What is done after a cause (design.md section 7)."""

    retry: bool
    free: bool = False
    """Another attempt is not the job's fault and does not use up `retries`."""
    other_device: bool = False
    """Not on this card again, which goes to quarantine."""
    more_memory: bool = False
    """With room for 1.25 x its peak, alone if need be."""
    until_room: bool = False
    """Nothing new starts, this run neither, until the disk has room; otherwise the growing pauses hold."""


FOLLOW_UPS: Final = {
    Cause.GPU_OUT_OF_MEMORY: FollowUp(retry=True, more_memory=True),
    Cause.HOST_OUT_OF_MEMORY: FollowUp(retry=True),
    Cause.KILLED: FollowUp(retry=True),
    Cause.REBOOTED: FollowUp(retry=True, free=True),
    Cause.LOST: FollowUp(retry=True, free=True),
    Cause.GPU_LOST: FollowUp(retry=True, other_device=True),
    Cause.DISK_FULL: FollowUp(retry=True, free=True, until_room=True),
    Cause.TIMEOUT: FollowUp(retry=True),
    Cause.STALLED: FollowUp(retry=True),
    Cause.NAN: FollowUp(retry=False),
    Cause.BAD_INPUT: FollowUp(retry=False),
    Cause.EXCEPTION: FollowUp(retry=False),
    Cause.CANCELLED: FollowUp(retry=False),
}


def follow_up(cause: Cause) -> FollowUp:
    """Return what is done after `cause`."""
    return FOLLOW_UPS[cause]


def diagnose(evidence: Evidence) -> Diagnosis:
    """Return why the attempt ended; the first rule that has an answer decides."""
    finding = last_finding(evidence.log, used_gpu=evidence.used_gpu)
    for rule in RULES:
        diagnosis = rule(evidence, finding)
        if diagnosis is not None:
            return diagnosis
    words = last_line(evidence.log)
    said = f"; its last words: {words}" if words else "; it said nothing"
    return Diagnosis(Cause.EXCEPTION, f"Ended with exit code {evidence.code}{said}.")


def _stopped_by_us(evidence: Evidence, _: Finding | None) -> Diagnosis | None:
    """Take a stop for a stop even if it exits 0, unless it had ended before the signal."""
    if evidence.stop_reason is None:
        return None
    sent, ended = evidence.stop_unix_s, evidence.end_unix_s
    too_late = sent is not None and ended is not None and ended < sent
    struck = _death(evidence) in (signal.SIGTERM, signal.SIGKILL)  # whatever a clock that was set back says
    return None if too_late and not struck else Diagnosis(*STOP_SENTENCES[evidence.stop_reason])


def _without_end(evidence: Evidence, _: Finding | None) -> Diagnosis | None:
    if evidence.rebooted:
        return Diagnosis(Cause.REBOOTED, "The machine was rebooted while it ran.")
    if evidence.lost or (evidence.code is None and evidence.signal is None):
        return Diagnosis(Cause.LOST, "The process that watched over it was killed, so its end is not known.")
    return None


def _known_code(evidence: Evidence, _: Finding | None) -> Diagnosis | None:
    if evidence.code == exit_codes.OK:
        return Diagnosis(None, "Completed.")
    if evidence.code == exit_codes.NAN:
        return Diagnosis(Cause.NAN, "The loss became NaN; batch and state are kept beside the log.")
    return None


def _killed(evidence: Evidence, finding: Finding | None) -> Diagnosis | None:
    """Blame the kernel for SIGKILL when memory was short, somebody else otherwise."""
    if _death(evidence) != signal.SIGKILL:
        return None
    peak, total = evidence.peak_rss_bytes or 0, evidence.total_ram_bytes
    short = evidence.oom_kills > 0 or (total is not None and peak >= NEARLY_ALL * total)
    if short or (finding is not None and finding.cause is Cause.HOST_OUT_OF_MEMORY):
        of = f" of {total / 2**30:.1f}" if total else ""
        return Diagnosis(
            Cause.HOST_OUT_OF_MEMORY,
            f"Killed for want of main memory; its largest process held {peak / 2**30:.1f}{of} GiB.",
        )
    return Diagnosis(Cause.KILLED, "Killed from outside by SIGKILL, which the queue did not send.")


def _fault_in_log(evidence: Evidence, finding: Finding | None) -> Diagnosis | None:
    if finding is None or finding.cause not in OUTER:
        return None
    free = evidence.free_disk_bytes
    elsewhere = finding.cause is Cause.DISK_FULL and free is not None and free > DISK_IS_FULL_BYTES
    hint = " The run folder's disk has room: look at /dev/shm, /tmp and quotas." if elsewhere else ""
    return Diagnosis(finding.cause, f"{_capital(finding.cause)}: {finding.quote}.{hint}")


def _signalled(evidence: Evidence, finding: Finding | None) -> Diagnosis | None:
    death = _death(evidence)
    if death is None:
        return None
    if death in FROM_OUTSIDE:
        return Diagnosis(Cause.KILLED, f"Ended from outside by {death.name}, which the queue did not send.")
    said = f" Last error in the log: {finding.quote}." if finding is not None else ""
    return Diagnosis(Cause.EXCEPTION, f"Crashed with {death.name}.{said}")


def _meaningful_code(evidence: Evidence, finding: Finding | None) -> Diagnosis | None:
    if evidence.code not in CODES:
        return None
    words = finding.quote if finding is not None else last_line(evidence.log, notes=True)
    said = f": {words}" if words else ""
    return Diagnosis(Cause.BAD_INPUT, f"Exit code {evidence.code}, {CODES[evidence.code]}{said}.")


def _error_in_log(_: Evidence, finding: Finding | None) -> Diagnosis | None:
    return Diagnosis(finding.cause, f"{_capital(finding.cause)}: {finding.quote}.") if finding else None


def _silent_for_want_of_room(evidence: Evidence, _: Finding | None) -> Diagnosis | None:
    free = evidence.free_disk_bytes
    if free is None or free > DISK_IS_FULL_BYTES:
        return None
    return Diagnosis(Cause.DISK_FULL, f"Ended with exit code {evidence.code} while the disk was full.")


RULES: Final[tuple[Callable[[Evidence, Finding | None], Diagnosis | None], ...]] = (
    _stopped_by_us,
    _without_end,
    _known_code,
    _killed,
    _fault_in_log,
    _signalled,
    _meaningful_code,
    _error_in_log,
    _silent_for_want_of_room,
)


def _death(evidence: Evidence) -> signal.Signals | None:
    """Return the signal that it died of, also where a shell reports it as exit code 128 + n."""
    number = evidence.signal
    if number is None and evidence.code is not None:
        number = evidence.code - 128
        if number not in (signal.SIGKILL, *FROM_OUTSIDE[:2], *CRASHES):
            return None  # 129 is the usage error of git, 255 that of ssh
    try:
        return None if number is None else signal.Signals(number)
    except ValueError:
        return signal.SIGRTMIN


def _capital(cause: Cause) -> str:
    return cause.value[0].upper() + cause.value[1:]
