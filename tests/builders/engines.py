"""An engine without a loop: a real table, pretended cards, a clock that tests set. Starts nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pkgs.jobqueue.devices.usage import OurRun
from pkgs.jobqueue.manager.assemble import Options, begin, build
from pkgs.jobqueue.manager.engine import Engine
from pkgs.jobqueue.manager.live import Live
from pkgs.jobqueue.manager.settings import Settings
from pkgs.jobqueue.manager.telemetry import Meter
from pkgs.jobqueue.state.records import Active, Attempt, AttemptState, Run, RunState
from pkgs.jobqueue.state.state import State
from pkgs.jobqueue.vocabulary import RunKey

NOON_UNIX_S = 1_795_262_400.0


@dataclass
class HandClock:
    """Both times move only when a test says so."""

    unix: float = NOON_UNIX_S
    monotonic: float = 1000.0

    def unix_s(self) -> float:
        return self.unix

    def monotonic_s(self) -> float:
        return self.monotonic

    def since_boot_s(self) -> float:
        return self.monotonic

    def advance(self, seconds: float) -> None:
        self.unix += seconds
        self.monotonic += seconds


@contextmanager
def engine_in(
    folder: Path, table: str, *, gpus: str = "sim:2x24G", clock: HandClock | None = None, **settings: object
) -> Iterator[Engine]:
    """Give an engine that has read `table`; its attempts, if any, are pretended by `pretend_run`."""
    jobs = folder / "Jobs.csv"
    jobs.write_text(table)
    wanted = {"lease_folder": str(folder / "leases"), "free_disk_floor_mib": 0, **settings}
    state = State.open(folder / "root" / "queue" / "queue.sqlite")
    options = Options(jobs, folder / "root", gpus, cpu_slots=2)
    engine = build(options, Settings.model_validate(wanted), state, clock=clock or HandClock())
    try:
        begin(engine, rebuild=False)
        yield engine
    finally:
        engine.desk.source.close()
        state.close()


def set_state(engine: Engine, key: RunKey, state: RunState) -> None:
    """Put a run into a state, as the end of an attempt would."""
    run = engine.book.entries[key.job].run(key)
    engine.commit(runs=[replace(run, state=state)])


def pretend_run(
    engine: Engine,
    key: RunKey,
    *,
    devices: tuple[str, ...] = (),
    reserve_mib: int | None = None,
    for_s: float = 0.0,
) -> Live:
    """Let a run be active for the engine without any process; it has been running for `for_s` seconds."""
    folder = engine.launcher.folder(key)
    attempt = Attempt(
        id=f"pretended-{key}",
        key=key,
        number=1,
        devices=devices,
        cpu_slots=0 if devices else 1,
        reserve_mib=reserve_mib,
        written_unix_s=engine.clock.unix_s() - for_s,
        state=AttemptState.STARTING,
    )
    folder.attempt(1).path.mkdir(parents=True, exist_ok=True)
    now_s = engine.clock.monotonic_s()
    live = Live(attempt, folder.attempt(1), Meter(attempt.id, last_sign_s=now_s), since_s=now_s - for_s)
    engine.looked = False
    engine.commit(runs=[Run(key, Active(attempt.id))], attempts=[attempt])
    engine.live[attempt.id] = live
    our = {uuid: [OurRun(str(key), reserved_mib=reserve_mib)] for uuid in devices}
    engine.desk.look(now_s, our)
    return live
