"""The cell `message` and the reasons of `why`, state by state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pkgs.jobqueue.devices.inventory import Inventory
from pkgs.jobqueue.manager.engine import Engine
from pkgs.jobqueue.manager.messages import message_of, reasons_of_ready
from pkgs.jobqueue.manager.starts import snapshot_of
from pkgs.jobqueue.state.records import Cancelled, Completed, Failed, RunState, Waiting
from pkgs.jobqueue.vocabulary import Cause, RunKey, Wish
from tests.builders.engines import NOON_UNIX_S, engine_in, pretend_run, set_state

TABLE = (
    "id,command,seeds,after,gpus,gpu_mem\n"
    "p,true,,,0,\n"
    "a,true,0..1,p,0,\n"
    "g,true,0..3,,1,\n"
    "m,true,,,1,20G\n"
    "x,true,,nobody,0,\n"
)


def said(engine: Engine, job: str) -> str:
    return message_of(engine, engine.book.entries[job])


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (Waiting(), "waits for its turn; `why p` says for what"),
        (Waiting(NOON_UNIX_S + 30, Cause.KILLED), "pauses until "),
        (Failed(Cause.EXCEPTION, "ValueError: 3."), "ValueError: 3; no log could be written in "),
        (Failed(Cause.EXCEPTION, "ValueError: 3."), "; then `retry p`"),
        (Cancelled(), "cancelled; `rerun p` does it again"),
        (Completed(), ""),
    ],
)
def test_each_state_of_a_run_has_its_sentence(tmp_path: Path, state: RunState, words: str) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        set_state(engine, RunKey("p"), state)
        assert words in said(engine, "p")
        assert bool(words) == bool(said(engine, "p"))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (Waiting(), "waits for p, which waits itself; `why p`"),
        (Failed(Cause.NAN, "no"), "waits for p, which failed; `retry p`"),
        (Cancelled(), "waits for p, which was cancelled; `rerun p`"),
        (Completed(), "waits for its turn"),
    ],
)
def test_a_child_says_how_its_parent_stands(tmp_path: Path, state: RunState, words: str) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        set_state(engine, RunKey("p"), state)
        assert words in said(engine, "a")


def test_a_child_of_a_running_or_held_parent_says_so(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        pretend_run(engine, RunKey("p"))
        assert "waits for p, which runs" in said(engine, "a")
        engine.live.clear()
        set_state(engine, RunKey("p"), Waiting())
        record = engine.book.entries["p"].record
        engine.commit(jobs=[replace(record, wish=Wish.HOLD)])
        assert "which is on hold; `release p`" in said(engine, "a")


def test_a_refused_row_says_why(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        assert "column 'after': 'nobody' is not" in said(engine, "x")


def test_the_last_of_several_failures_is_told_with_its_seed(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        for seed in (0, 1):
            set_state(engine, RunKey("a", seed=seed), Failed(Cause.EXCEPTION, f"no {seed}."))
        assert said(engine, "a").startswith("2 runs failed. Last: seed 1: no 1; ")


def test_a_job_that_is_being_cancelled_says_how_many_runs_still_save(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        pretend_run(engine, RunKey("g", seed=0), devices=("SIM-0",))
        entry = engine.book.entries["g"]
        engine.commit(jobs=[replace(entry.record, wish=Wish.CANCEL)])
        assert said(engine, "g") == "stopping 1 run, each has time to save a checkpoint"
        engine.live.clear()
        set_state(engine, RunKey("g", seed=0), Cancelled())
        assert said(engine, "g") == "cancelled as you asked; `rerun g` does it again"


def test_a_note_stays_until_the_user_acts(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        entry = engine.book.entries["p"]
        engine.commit(jobs=[replace(entry.record, note="train.py changed")])
        set_state(engine, RunKey("p"), Completed())
        assert said(engine, "p") == "train.py changed"


def test_who_waits_for_a_device_hears_who_has_it(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        for seed in (0, 1):
            pretend_run(engine, RunKey("g", seed=seed), devices=(f"SIM-{seed}",))
        reasons = reasons_of_ready(engine, snapshot_of(engine), most=50)
        assert "GPU 0 held by g:0" in reasons["g"]
        assert "needs 20G of GPU memory" in reasons["m"]


def test_only_as_many_reasons_are_found_as_were_asked_for(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        assert len(reasons_of_ready(engine, snapshot_of(engine), most=1)) == 1


def test_when_nvml_fails_gpu_runs_hear_why_and_cpu_runs_are_not_concerned(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        said = (
            "NVML says 'gone' (code 9)",
            "Nothing new starts on GPUs; running runs go on",
            "Reboot",
            "Asked again in 5 s",
        )
        engine.desk.inventory = Inventory(problem=". ".join(said) + ".", kind="nvml")
        reasons = reasons_of_ready(engine, snapshot_of(engine), most=50)
        assert "NVML says 'gone' (code 9). Reboot; `doctor` says more" in reasons["g"]
        assert "NVML" not in reasons["p"]


def test_a_pause_of_the_whole_queue_is_everybody_s_reason(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        engine.paused = "the disk is full"
        reasons = reasons_of_ready(engine, snapshot_of(engine), most=50)
        assert set(reasons) == {"p", "g", "m"}
        assert all("the disk is full" in reason for reason in reasons.values())
