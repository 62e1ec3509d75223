"""The pace of looks at devices and attempts, and the events that a device out of order makes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pkgs.jobqueue.attempts.processes import Host, ProcessIdentity, identify
from pkgs.jobqueue.devices.inventory import Inventory
from pkgs.jobqueue.devices.watch import DeviceState
from pkgs.jobqueue.manager.engine import Engine
from pkgs.jobqueue.manager.sampling import Sampling
from pkgs.jobqueue.vocabulary import RunKey
from tests.builders.engines import HandClock, engine_in, pretend_run

TABLE = "id,command,gpus\na,true,1\nb,true,0\n"


def lose(engine: Engine, *uuids: str) -> None:
    """Let the source show these cards as lost."""
    inventory = engine.desk.source.read()
    lost = [replace(one, fault="gone", lost=True) if one.uuid in uuids else one for one in inventory.readings]

    def read() -> Inventory:
        return replace(inventory, readings=tuple(lost), taken_s=engine.clock.monotonic_s())

    engine.desk.source.newest = read  # type: ignore[method-assign]


def device_events(engine: Engine) -> list[str]:
    return [event.text for event in engine.events if event.kind == "device"]


def test_a_lost_device_is_told_once_and_so_is_its_return(tmp_path: Path) -> None:
    clock = HandClock()
    with engine_in(tmp_path, TABLE, clock=clock) as engine:
        sampling = Sampling()
        lose(engine, "SIM-1")
        for _ in range(3):
            sampling.devices(engine)
            clock.advance(3)
        (told,) = device_events(engine)
        assert told.startswith("GPU 1 is lost and in quarantine")
        lose(engine)
        engine.desk.watch.record_success("SIM-1")
        sampling.devices(engine)
        assert device_events(engine)[1:] == ["GPU 1 is in order again"]


def test_devices_are_judged_also_while_nothing_waits(tmp_path: Path) -> None:
    clock = HandClock()
    with engine_in(tmp_path, TABLE, clock=clock) as engine:
        sampling = Sampling()
        pretend_run(engine, RunKey("a"), devices=("SIM-0",))
        clock.advance(3)
        sampling.devices(engine)
        assert [room.state for room in engine.desk.rooms] == [DeviceState.OURS, DeviceState.FREE]


def test_a_failing_nvml_is_said_once_however_long_it_lasts_and_so_is_its_return(tmp_path: Path) -> None:
    clock = HandClock()
    with engine_in(tmp_path, TABLE, clock=clock) as engine:
        sound = engine.desk.source.read()
        sampling, said = Sampling(), engine.desk.notices
        for waited_s in (5, 7, 9):
            problem = f"NVML has not answered for {waited_s} s: a call hangs."
            engine.desk.source.newest = lambda problem=problem: replace(sound, problem=problem)  # type: ignore[method-assign, misc]
            sampling.devices(engine)
            clock.advance(3)
        assert said == ["NVML has not answered for 5 s: a call hangs."]
        engine.desk.source.newest = lambda: sound  # type: ignore[method-assign]
        sampling.devices(engine)
        assert said[1:] == ["NVML answers again."]


def test_a_run_on_several_gpus_waits_for_whole_cards(tmp_path: Path) -> None:
    with engine_in(
        tmp_path, "id,command,gpus\nsmall,true,1\nlarge,true,2\nhuge,true,3\n", gpus="sim:4x24G"
    ) as engine:
        engine.book.set_slices(frozenset({"SIM-0", "SIM-1"}), whole_cards=2, now_unix_s=engine.clock.unix_s())
        avoided = {one.key.job: set(one.avoid) for one in engine.book.ready}
        assert avoided == {"small": set(), "large": {"SIM-0", "SIM-1"}}
        assert "2 of the GPUs are whole" in engine.book.problem_of(engine.book.entries["huge"])


def test_devices_are_looked_at_no_more_often_than_set(tmp_path: Path) -> None:
    clock = HandClock()
    with engine_in(tmp_path, TABLE, clock=clock, device_poll_s=2.0) as engine:
        looks: list[float] = []
        poll = engine.desk.poll
        engine.desk.poll = lambda **words: (looks.append(clock.monotonic), poll(**words))[1]  # type: ignore[method-assign, func-returns-value]
        sampling = Sampling()
        for _ in range(40):
            sampling.devices(engine)
            clock.advance(0.25)
        assert len(looks) == 5


def test_a_machine_without_gpus_is_not_asked_again(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE, gpus="none") as engine:
        engine.desk.poll = lambda **_: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        if engine.desk.inventory.kind == "none":
            Sampling().devices(engine)


def test_the_use_of_an_attempt_is_sampled_into_the_state(tmp_path: Path) -> None:
    clock = HandClock()
    with engine_in(tmp_path, TABLE, clock=clock, telemetry_s=10.0) as engine:
        live = pretend_run(engine, RunKey("b"))
        live.identity = identify(os.getpid(), host=Host())
        assert isinstance(live.identity, ProcessIdentity)
        sampling = Sampling()
        for _ in range(9):
            sampling.usage(engine)
            clock.advance(5)
        rows = engine.state.db.execute("SELECT attempt, rss_mib FROM telemetry").fetchall()
        assert len(rows) == 5
        assert all(attempt == live.attempt.id and rss > 5 for attempt, rss in rows)


def test_without_attempts_nothing_is_sampled(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        Sampling().usage(engine)
        assert engine.state.db.execute("SELECT count(*) FROM telemetry").fetchone() == (0,)
