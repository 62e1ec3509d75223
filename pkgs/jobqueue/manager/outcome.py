"""What follows from the end of an attempt: the run's next state, and what its job learns. Pure.

Why it ended is found in causes.py; when a retry starts is decided by plan.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pkgs.jobqueue.attempts.causes import Diagnosis, follow_up
from pkgs.jobqueue.state.records import Attempt, Cancelled, Completed, Failed, JobRecord, Run, Waiting
from pkgs.jobqueue.vocabulary import Cause

DURATIONS_KEPT: Final = 50
"""Enough for a median; a job of 10,000 seeds must not rewrite 10,000 numbers at each end."""
FREE_RETRIES: Final = 20
"""For causes that are not the job's fault; more of them in one run than that are no chance."""
MEMORY_GROWTH: Final = 1.25
"""A run that ran out of GPU memory gets room for so much of its peak (design.md section 7)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides about another attempt."""

    retries: int
    pauses_s: Sequence[float]
    failures_to_hold: int
    members: int
    """How many runs the job has: a job is held only while something is left to hold."""
    card_mib: int = 0
    """Memory of the smallest device that the attempt had; 0: unknown, or a CPU run."""
    largest_mib: int = 0
    """Memory of the machine's largest device; 0: unknown."""


def after_success(
    run: Run, record: JobRecord, attempt: Attempt, *, duration_s: float
) -> tuple[Run, JobRecord]:
    """Return the completed run, and the job with what it learned of duration and memory."""
    durations = [*record.durations_s, duration_s][-DURATIONS_KEPT:]
    peaks = [peak for peak in (record.peak_gpu_mib, attempt.peak_gpu_mib) if peak is not None]
    learned = replace(record, durations_s=durations, peak_gpu_mib=max(peaks, default=None), failures_in_row=0)
    return replace(run, state=Completed()), learned


def after_failure(  # noqa: PLR0913 - what a failure touches
    run: Run, record: JobRecord, attempt: Attempt, diagnosis: Diagnosis, rules: Rules, *, now_unix_s: float
) -> tuple[Run, JobRecord]:
    """Return the run, waiting again, failed or cancelled, and the job with its count of failures."""
    cause = diagnosis.cause
    assert cause is not None, "a success has no cause"
    if cause is Cause.CANCELLED:
        return replace(run, state=Cancelled()), record
    follow = follow_up(cause)
    spent = run.free_tries >= FREE_RETRIES if follow.free else run.tries >= rules.retries
    if not follow.retry or spent:
        failures = record.failures_in_row + 1
        held = record.held_after_failures or (failures >= rules.failures_to_hold and rules.members > failures)
        state = Failed(cause, diagnosis.sentence)
        return replace(run, state=state), replace(record, failures_in_row=failures, held_after_failures=held)
    pause_s = rules.pauses_s[min(run.tries + run.free_tries, len(rules.pauses_s) - 1)]
    waiting = Waiting(now_unix_s + pause_s, cause, diagnosis.sentence)
    again = replace(
        run, state=waiting, tries=run.tries + (not follow.free), free_tries=run.free_tries + follow.free
    )
    if follow.other_device:
        again = replace(again, avoid=run.avoid | frozenset(attempt.devices))
    if follow.more_memory:
        again = _with_more_memory(again, attempt, rules)
    return again, record


def _with_more_memory(run: Run, attempt: Attempt, rules: Rules) -> Run:
    """Ask for 1.25 x the peak; alone where no card has that; on a larger card where even that failed."""
    if attempt.reserve_mib is None:
        larger = 0 < rules.card_mib < rules.largest_mib
        return replace(run, alone=True, needs_mib=rules.card_mib + 1 if larger else run.needs_mib)
    # The peak is read now and then, so the one that broke it may have been missed: it was above the share.
    needs_mib = int(max(attempt.peak_gpu_mib or 0, attempt.reserve_mib) * MEMORY_GROWTH) + 1
    if needs_mib > rules.largest_mib > 0:
        return replace(run, alone=True, needs_mib=attempt.reserve_mib)
    return replace(run, needs_mib=needs_mib)
