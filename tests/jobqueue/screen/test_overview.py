"""What `status`, `why` and the dashboard read from the table, the state and live.json."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pkgs.jobqueue.manager.root_lock import RootLock
from pkgs.jobqueue.manager.starts import snapshot_of
from pkgs.jobqueue.manager.write_back import WriteBack
from pkgs.jobqueue.schedule.plan import plan
from pkgs.jobqueue.screen.overview import NO_MANAGER, Overview, clock_time, read_overview
from pkgs.jobqueue.state.records import Completed, Failed
from pkgs.jobqueue.vocabulary import Cause, RunKey
from tests.builders.engines import engine_in, pretend_run, set_state

TABLE = (
    "id,status,command,seeds,gpus,progress,message,rev\n"
    "a,open,true,0..1,0,,,\n"
    "b,open,true,,1,,,\n"
    "c,open,true,,many,,,\n"
)


def overview(folder: Path, *ids: str) -> Overview:
    return read_overview(folder / "Jobs.csv", folder / "root", ids=ids, with_runs=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Pretend that a manager works on the root."""
    lock = RootLock(folder / "root" / "queue")
    lock.take()
    try:
        yield
    finally:
        lock.release()


def test_a_table_that_nobody_has_run_is_shown_as_open(tmp_path: Path) -> None:
    (tmp_path / "Jobs.csv").write_text(TABLE)
    seen = overview(tmp_path)
    assert [(job.id, job.status, len(job.runs)) for job in seen.jobs] == [
        ("a", "open", 2),
        ("b", "open", 1),
        ("c", "open", 0),
    ]
    assert seen.reason(seen.jobs[0]) == NO_MANAGER
    assert "'many' is not" in seen.reason(seen.jobs[2])
    assert seen.manager_pid is None


def test_runs_show_status_cause_devices_and_attempts(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        set_state(engine, RunKey("a", seed=0), Completed())
        set_state(engine, RunKey("a", seed=1), Failed(Cause.NAN, "The loss became NaN."))
        pretend_run(engine, RunKey("b"), devices=("SIM-1",))
        seen = overview(tmp_path)
    first, second = seen.jobs[0].runs
    assert (first.status, first.cause) == ("completed", None)
    assert (second.status, second.cause, second.sentence) == (
        "failed",
        "loss became NaN",
        "The loss became NaN.",
    )
    assert (seen.jobs[1].runs[0].status, seen.jobs[1].runs[0].devices) == ("running", ["SIM-1"])


def test_a_running_manager_adds_devices_reasons_and_ends(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine, held(tmp_path):
        pretend_run(engine, RunKey("a", seed=0), for_s=100)
        engine.plan = plan(snapshot_of(engine))
        WriteBack().live_file(engine)
        seen = overview(tmp_path)
        assert seen.manager_pid is not None
        assert [card["uuid"] for card in seen.devices] == ["SIM-0", "SIM-1"]
        assert dict(seen.device_lines())["CPU slots"] == "1 of 2 in use"
        assert seen.reason(seen.jobs[1]) == "starts in the next turn of the queue; nothing stands in its way"


def test_what_a_dead_manager_left_is_not_taken_for_the_present(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        WriteBack().live_file(engine)
        seen = overview(tmp_path)
    assert seen.devices == []
    assert seen.manager_pid is None


def test_while_the_file_does_not_parse_the_last_good_rows_are_shown(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine, held(tmp_path):
        (tmp_path / "Jobs.csv").write_text(TABLE + '"')
        engine.table_problem = "Jobs.csv, line 5: broken"
        WriteBack().live_file(engine)
        seen = overview(tmp_path)
    assert {job.id for job in seen.jobs} >= {"a", "b"}
    assert seen.problem == "Jobs.csv, line 5: broken"


def test_one_job_is_shown_with_its_last_events(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        engine.commit(events=[engine.say("failed", f"a ended {number}", job="a") for number in range(9)])
        seen = overview(tmp_path, "a")
    assert [job.id for job in seen.jobs] == ["a"]
    assert seen.events[-1].endswith("a ended 8")
    assert len(seen.events) == 5


def test_an_unknown_id_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "Jobs.csv").write_text("id,command\nke/student,true\n")
    with pytest.raises(ValueError, match=r"has no job 'ke/studnet'. Did you mean 'ke/student'\?"):
        overview(tmp_path, "ke/studnet")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"devices": []}'])
def test_nonsense_in_live_json_hides_nothing_else(tmp_path: Path, content: str) -> None:
    (tmp_path / "Jobs.csv").write_text(TABLE)
    (tmp_path / "root" / "queue").mkdir(parents=True)
    (tmp_path / "root" / "queue" / "live.json").write_text(content)
    with held(tmp_path):
        assert len(overview(tmp_path).jobs) == 3


def test_json_of_the_overview_is_plain(tmp_path: Path) -> None:
    (tmp_path / "Jobs.csv").write_text(TABLE)
    assert json.loads(json.dumps(overview(tmp_path).as_json()))["jobs"][0]["id"] == "a"


def test_a_time_of_another_day_names_the_day() -> None:
    assert len(clock_time(time.time())) == 5
    assert len(clock_time(time.time() + 3 * 86_400)) == 9
