"""The manager's view of all jobs: what is ready, what a row shows, what is left to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pkgs.jobqueue.manager.book import (
    Entry,
    expected_duration_s,
    memory_needed,
    progress_of,
    reopened,
    status_of,
)
from pkgs.jobqueue.manager.engine import Engine
from pkgs.jobqueue.state.records import (
    Active,
    Cancelled,
    Completed,
    Failed,
    JobRecord,
    Run,
    RunState,
    Waiting,
)
from pkgs.jobqueue.vocabulary import Alone, Cause, GpuMemory, Job, JobStatus, Learned, RunKey, Share, Wish
from tests.builders.engines import HandClock, engine_in, set_state

TABLE = "id,command,seeds,after,priority\na,true,0..1,,\nb,true,0..1,a,\nc,true,,b:all,\n"
BAD = Failed(Cause.EXCEPTION, "no")


def ready(engine: Engine) -> list[str]:
    return [str(candidate.key) for candidate in engine.book.ready]


def test_children_become_ready_seed_by_seed_as_their_parents_complete(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        assert ready(engine) == ["a:0", "a:1"]
        set_state(engine, RunKey("a", seed=0), Completed())
        assert ready(engine) == ["b:0", "a:1"], "the first matched set goes on before the second seed"
        for key in (RunKey("a", seed=1), RunKey("b", seed=0), RunKey("b", seed=1)):
            set_state(engine, key, Completed())
        assert ready(engine) == ["c"]


def test_a_run_in_its_pause_is_not_ready_before_its_time(tmp_path: Path) -> None:
    clock = HandClock()
    with engine_in(tmp_path, TABLE, clock=clock) as engine:
        set_state(engine, RunKey("a", seed=0), Waiting(clock.unix + 30, Cause.KILLED))
        assert ready(engine) == ["a:1"]
        assert engine.book.next_pause_unix_s == clock.unix + 30
        clock.advance(31)
        engine.book.end_pauses(now_unix_s=clock.unix)
        assert "a:0" in ready(engine)


def test_a_clock_set_back_holds_nobody_for_days(tmp_path: Path) -> None:
    clock = HandClock()
    with engine_in(tmp_path, TABLE, clock=clock) as engine:
        set_state(engine, RunKey("a", seed=0), Waiting(clock.unix + 10 * 86_400, Cause.KILLED))
        assert "a:0" in ready(engine)


@pytest.mark.parametrize(
    "change",
    [{"wish": Wish.HOLD}, {"wish": Wish.CANCEL}, {"wish": Wish.COMPLETED}, {"held_after_failures": True}],
)
def test_only_what_the_user_wants_is_ready(tmp_path: Path, change: dict[str, object]) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        record = replace(engine.book.entries["a"].record, **change)  # type: ignore[arg-type]
        engine.commit(jobs=[record])
        engine.book.refresh("a", now_unix_s=engine.clock.unix_s())
        assert not any(name.startswith("a") for name in ready(engine))


def test_a_job_counted_as_completed_lets_its_children_go(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        engine.commit(jobs=[replace(engine.book.entries["a"].record, wish=Wish.COMPLETED)])
        assert engine.book.is_done(RunKey("a", seed=0))
        assert engine.book.missing_parents(RunKey("b", seed=0)) == []


@pytest.mark.parametrize(
    ("states", "wish", "status", "progress"),
    [
        ([], Wish.OPEN, JobStatus.OPEN, "0 of 2"),
        ([Active("x")], Wish.OPEN, JobStatus.RUNNING, "0 of 2"),
        ([Completed(), Completed()], Wish.OPEN, JobStatus.COMPLETED, "2 of 2"),
        ([Completed(), BAD], Wish.OPEN, JobStatus.FAILED, "2 of 2"),
        ([Waiting(), BAD], Wish.OPEN, JobStatus.OPEN, "1 of 2"),
        ([Completed(), Cancelled()], Wish.OPEN, JobStatus.CANCELLED, "2 of 2"),
        ([Active("x")], Wish.CANCEL, JobStatus.CANCEL, "0 of 2"),
        ([Cancelled(), Cancelled()], Wish.CANCEL, JobStatus.CANCELLED, "2 of 2"),
        ([Active("x")], Wish.HOLD, JobStatus.HOLD, "0 of 2"),
        ([], Wish.COMPLETED, JobStatus.COMPLETED, "0 of 2"),
    ],
)
def test_status_and_progress_of_a_row(
    states: list[RunState], wish: Wish, status: JobStatus, progress: str
) -> None:
    job = Job("j", "true", seeds=(0, 1))
    runs = {key: Run(key, state) for key, state in zip(job.runs(), states, strict=False)}
    entry = Entry("j", JobRecord("j", wish=wish), job, runs=runs)
    assert (status_of(entry), progress_of(entry)) == (status, progress)


@pytest.mark.parametrize(
    ("asked", "learned_mib", "run", "needed"),
    [
        (Alone(), None, Run(RunKey("j")), None),
        (Share(4096), None, Run(RunKey("j")), 4096),
        (Share(4096), None, Run(RunKey("j"), needs_mib=5121), 5121),
        (Share(4096), None, Run(RunKey("j"), needs_mib=5121, alone=True), None),
        (Learned(), None, Run(RunKey("j")), None),
        (Learned(), 8000, Run(RunKey("j"), needs_mib=20_000), 20_000),
    ],
)
def test_the_memory_that_a_run_asks_for(
    asked: GpuMemory, learned_mib: int | None, run: Run, needed: int | None
) -> None:
    entry = Entry("j", JobRecord("j", peak_gpu_mib=learned_mib), Job("j", "true", gpu_mem=asked))
    assert memory_needed(entry, run) == needed


def test_a_learned_share_is_a_little_more_than_the_peak() -> None:
    entry = Entry("j", JobRecord("j", peak_gpu_mib=8000), Job("j", "true", gpu_mem=Learned()))
    assert 8000 < (memory_needed(entry, Run(RunKey("j"))) or 0) < 10_000


def test_a_run_that_filled_a_card_alone_asks_for_a_larger_one(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        engine.commit(runs=[Run(RunKey("a", seed=0), alone=True, needs_mib=16_001)])
        needed = {str(one.key): one.least_mib for one in engine.book.ready}
        assert needed == {"a:0": 16_001, "a:1": 0}


def test_the_expected_duration_is_the_median() -> None:
    assert expected_duration_s(JobRecord("j")) is None
    assert expected_duration_s(JobRecord("j", durations_s=[9.0, 1.0, 2.0])) == 2.0
    assert expected_duration_s(JobRecord("j", durations_s=[4.0, 1.0, 2.0, 9.0])) == 3.0


def test_reopened_forgets_what_went_wrong_and_keeps_what_is_done() -> None:
    key = RunKey("j")
    assert reopened(Run(key, BAD, tries=2, avoid=frozenset({"x"}))) == Run(key)
    assert reopened(Run(key, Waiting(9e9, Cause.KILLED), tries=1)) == Run(key)
    assert reopened(Run(key, Completed())) == Run(key, Completed())


def test_idle_means_that_nothing_will_go_on_by_itself(tmp_path: Path) -> None:
    with engine_in(tmp_path, "id,command\na,true\n") as engine:
        assert not engine.book.is_idle()
        set_state(engine, RunKey("a"), Waiting(engine.clock.unix_s() + 30, Cause.KILLED))
        assert not engine.book.is_idle(), "it pauses"
        set_state(engine, RunKey("a"), BAD)
        assert engine.book.is_idle()


@pytest.mark.parametrize(
    ("state", "failed"), [(Completed(), False), (BAD, True), (Cancelled(), False), (Waiting(), True)]
)
def test_whether_anything_failed(tmp_path: Path, state: RunState, *, failed: bool) -> None:
    with engine_in(tmp_path, "id,command\na,true\n") as engine:
        set_state(engine, RunKey("a"), state)
        assert engine.book.anything_failed() == failed


def test_counts_follow_every_change(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        assert engine.book.status_counts() == {"open": 3}
        set_state(engine, RunKey("c"), BAD)
        assert engine.book.status_counts() == {"open": 2, "failed": 1}


ENDED = "id,command,seeds,after\na,true,0..1,\nb,true,0..1,a\nc,true,,a:ended b:ended\n"


def test_a_row_that_waits_for_ends_starts_although_a_seed_failed_and_what_follows_it_never_comes(
    tmp_path: Path,
) -> None:
    with engine_in(tmp_path, ENDED) as engine:
        for key in (RunKey("a", seed=0), RunKey("b", seed=0)):
            set_state(engine, key, Completed())
        assert "c" not in ready(engine)
        set_state(engine, RunKey("a", seed=1), BAD)
        assert ready(engine) == ["c"], "b:1 waits for a:1, which failed"


def test_a_row_that_waits_for_completed_runs_is_still_held_back_by_a_failed_one(tmp_path: Path) -> None:
    with engine_in(tmp_path, ENDED.replace(":ended", ":all")) as engine:
        for key in (RunKey("a", seed=0), RunKey("b", seed=0)):
            set_state(engine, key, Completed())
        set_state(engine, RunKey("a", seed=1), BAD)
        assert ready(engine) == []


def test_a_cancelled_job_counts_as_ended(tmp_path: Path) -> None:
    with engine_in(tmp_path, ENDED) as engine:
        for job in ("a", "b"):
            for seed in (0, 1):
                set_state(engine, RunKey(job, seed=seed), Cancelled() if job == "b" else Completed())
        assert ready(engine) == ["c"]


def test_a_row_that_has_seen_all_ends_is_outdated_by_a_later_one(tmp_path: Path) -> None:
    with engine_in(tmp_path, ENDED) as engine:
        for job in ("a", "b"):
            for seed in (0, 1):
                set_state(engine, RunKey(job, seed=seed), Completed())
        set_state(engine, RunKey("c"), Completed())
        (again,) = engine.book.outdated(RunKey("b", seed=1))
        assert (again.key, again.state) == (RunKey("c"), Waiting())
        assert engine.book.outdated(RunKey("c")) == []


def test_completed_runs_that_wait_for_completed_ones_are_never_outdated(tmp_path: Path) -> None:
    with engine_in(tmp_path, ENDED.replace(":ended", ":all")) as engine:
        set_state(engine, RunKey("c"), Completed())
        assert engine.book.outdated(RunKey("a", seed=0)) == []
