"""What follows from the end of an attempt: pure functions, cause by cause."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pkgs.jobqueue.attempts.causes import Diagnosis
from pkgs.jobqueue.manager.outcome import FREE_RETRIES, Rules, after_failure, after_success
from pkgs.jobqueue.state.records import Attempt, Cancelled, Completed, Failed, JobRecord, Run, Waiting
from pkgs.jobqueue.vocabulary import Cause, RunKey

KEY = RunKey("job", seed=1)
RULES = Rules(
    retries=1,
    pauses_s=(30.0, 120.0, 600.0),
    failures_to_hold=3,
    members=9,
    card_mib=16_000,
    largest_mib=24_000,
)
NOW = 1000.0


def attempt(*, reserve_mib: int | None = None, peak_mib: int | None = None) -> Attempt:
    return Attempt("a", KEY, 1, ("GPU-0",), 0, reserve_mib, NOW, peak_gpu_mib=peak_mib)


def fail(
    cause: Cause, run: Run | None = None, record: JobRecord | None = None, **facts: int | None
) -> tuple[Run, JobRecord]:
    return after_failure(
        run or Run(KEY),
        record or JobRecord("job"),
        attempt(**facts),
        Diagnosis(cause, "so it was."),
        RULES,
        now_unix_s=NOW,
    )


def test_a_success_completes_the_run_and_teaches_duration_and_memory() -> None:
    record = JobRecord("job", failures_in_row=2, durations_s=[5.0], peak_gpu_mib=900)
    run, learned = after_success(Run(KEY, tries=1), record, attempt(peak_mib=700), duration_s=7.0)
    assert run.state == Completed()
    assert (learned.durations_s, learned.peak_gpu_mib, learned.failures_in_row) == ([5.0, 7.0], 900, 0)


def test_only_the_last_fifty_durations_are_kept() -> None:
    record = JobRecord("job", durations_s=[1.0] * 50)
    _, learned = after_success(Run(KEY), record, attempt(), duration_s=2.0)
    assert learned.durations_s == [1.0] * 49 + [2.0]


@pytest.mark.parametrize("cause", [Cause.NAN, Cause.BAD_INPUT, Cause.EXCEPTION])
def test_what_would_fail_again_is_not_tried_again(cause: Cause) -> None:
    run, record = fail(cause)
    assert run.state == Failed(cause, "so it was.")
    assert record.failures_in_row == 1


@pytest.mark.parametrize("cause", [Cause.KILLED, Cause.HOST_OUT_OF_MEMORY, Cause.TIMEOUT, Cause.STALLED])
def test_what_may_pass_is_tried_again_after_a_pause_while_retries_are_left(cause: Cause) -> None:
    again, _ = fail(cause)
    assert again.state == Waiting(NOW + 30, cause, "so it was.")
    spent, _ = fail(cause, run=again)
    assert isinstance(spent.state, Failed)


@pytest.mark.parametrize("cause", [Cause.REBOOTED, Cause.LOST, Cause.DISK_FULL])
def test_what_is_nobody_s_fault_costs_no_retry_but_not_for_ever(cause: Cause) -> None:
    run = Run(KEY, tries=1)
    again, _ = fail(cause, run=run)
    assert isinstance(again.state, Waiting)
    assert again.tries == 1
    worn, _ = fail(cause, run=replace(run, free_tries=FREE_RETRIES))
    assert isinstance(worn.state, Failed)


def test_pauses_grow_and_then_stay() -> None:
    moments = [fail(Cause.LOST, run=Run(KEY, free_tries=tries))[0].state for tries in range(5)]
    assert [state.not_before_unix_s - NOW for state in moments if isinstance(state, Waiting)] == [
        30,
        120,
        600,
        600,
        600,
    ]


def test_a_cancelled_run_counts_as_no_failure() -> None:
    run, record = fail(Cause.CANCELLED)
    assert run.state == Cancelled()
    assert record == JobRecord("job")


def test_the_third_failure_in_a_row_holds_the_job_while_there_is_something_to_hold() -> None:
    record = JobRecord("job", failures_in_row=2)
    assert fail(Cause.EXCEPTION, record=record)[1].held_after_failures
    last = after_failure(
        Run(KEY), record, attempt(), Diagnosis(Cause.EXCEPTION, ""), replace(RULES, members=3), now_unix_s=NOW
    )
    assert not last[1].held_after_failures


def test_a_gpu_fault_avoids_the_card() -> None:
    run, _ = fail(Cause.GPU_LOST, run=Run(KEY, avoid=frozenset({"GPU-7"})))
    assert run.avoid == {"GPU-0", "GPU-7"}


def test_out_of_memory_asks_for_a_quarter_more_than_the_larger_of_share_and_peak() -> None:
    assert fail(Cause.GPU_OUT_OF_MEMORY, reserve_mib=4000, peak_mib=6000)[0].needs_mib == 7501
    assert fail(Cause.GPU_OUT_OF_MEMORY, reserve_mib=4000, peak_mib=100)[0].needs_mib == 5001
    assert fail(Cause.GPU_OUT_OF_MEMORY, reserve_mib=4000)[0].needs_mib == 5001


def test_out_of_memory_runs_alone_where_no_card_has_a_quarter_more() -> None:
    run, _ = fail(Cause.GPU_OUT_OF_MEMORY, reserve_mib=20_000)
    assert (run.alone, run.needs_mib) == (True, 20_000)


def test_out_of_memory_alone_goes_to_a_larger_card_if_there_is_one() -> None:
    run, _ = fail(Cause.GPU_OUT_OF_MEMORY)
    assert (run.alone, run.needs_mib) == (True, 16_001)
    same = replace(RULES, largest_mib=16_000)
    alike, _ = after_failure(
        Run(KEY), JobRecord("job"), attempt(), Diagnosis(Cause.GPU_OUT_OF_MEMORY, ""), same, now_unix_s=NOW
    )
    assert (alike.alone, alike.needs_mib) == (True, None)
