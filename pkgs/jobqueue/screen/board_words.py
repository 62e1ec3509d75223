"""What the board says of a running job and of a device, in as few columns as there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pkgs.foundation.run_folder import RunFolder
from pkgs.jobqueue.devices.inventory import gib
from pkgs.jobqueue.devices.watch import DeviceState
from pkgs.jobqueue.manager.telemetry import progress_told
from pkgs.jobqueue.screen.overview import clock_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pkgs.foundation.progress import Progress
    from pkgs.jobqueue.devices.watch import DeviceRoom
    from pkgs.jobqueue.manager.engine import Engine
    from pkgs.jobqueue.manager.live import Live

BAR: Final = 10
"""Columns of a progress bar; shown only for a run that has the line for itself."""
SEVERAL: Final = 20
"""Columns that one of several runs of a job needs: `13:noisy 42% 08:58`."""
IN_ORDER: Final = (DeviceState.FREE, DeviceState.OURS, DeviceState.SHARED, DeviceState.SETTLING)


def running_words(engine: Engine, lives: Sequence[Live], width: int) -> str:
    """Return how far the running runs of a job are: one in full, several shortly, the rest counted."""
    if len(lives) == 1:
        return _alone(engine, lives[0], width)
    fit = max(1, (width - 4) // SEVERAL) if len(lives) * SEVERAL > width else len(lives)
    said = [_shortly(engine, live) for live in lives[:fit]]
    more = f" +{len(lives) - fit}" if fit < len(lives) else ""
    return ", ".join(said) + more


def _alone(engine: Engine, live: Live, width: int) -> str:
    told, end = _facts(engine, live)
    words = [] if live.attempt.key.seed is None else [f"seed {live.attempt.key.seed}"]
    if live.attempt.key.condition is not None:
        words.append(live.attempt.key.condition)
    until = f"until {clock_time(end)}" if end is not None else ""
    if told is None:
        return " ".join(word for word in (*words, _elapsed(engine, live), until) if word)
    percent = 100 * told.step // told.steps
    plain = " ".join(word for word in (*words, f"{percent}%", until) if word)
    rest = width - len(plain) - BAR - 1
    if rest < 0:
        return plain if len(plain) <= width else _shortly(engine, live)
    full = BAR * told.step // told.steps
    bar = f"{'█' * full}{'░' * (BAR - full)}"
    metrics = "  ".join(f"{name} {value:.3g}" for name, value in told.metrics.items())
    shown = f"  {metrics}" if metrics and len(metrics) + 2 <= rest else ""
    return " ".join(word for word in (*words, bar, f"{percent}%", until) if word) + shown


def _shortly(engine: Engine, live: Live) -> str:
    told, end = _facts(engine, live)
    key = live.attempt.key
    name = ":".join(str(part) for part in (key.seed, key.condition) if part is not None)
    far = _elapsed(engine, live) if told is None else f"{100 * told.step // told.steps}%"
    return " ".join(word for word in (name, far, clock_time(end) if end is not None else "") if word)


def _facts(engine: Engine, live: Live) -> tuple[Progress | None, float | None]:
    """Return what a run says of itself, and when it will end: by itself, or by the runs before it."""
    told = progress_told(RunFolder(live.folder.path.parent.parent), now_unix_s=engine.clock.unix_s())
    own = None if told is None else told.eta_unix_s
    return told, engine.expected_end_unix_s(live) if own is None else own


def _elapsed(engine: Engine, live: Live) -> str:
    minutes, seconds = divmod(int(live.elapsed_s(engine.clock.monotonic_s())), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def device_words(engine: Engine, room: DeviceRoom) -> str:
    """Return a device with what it does and who is on it, or why nobody is."""
    names = [str(live.attempt.key) for live in engine.live.values() if room.uuid in live.attempt.devices]
    reading = next(iter(engine.desk.readings([room.uuid])), None)
    use = ""
    if names and reading is not None and reading.util_percent is not None:
        memory = "" if reading.used_mib is None else f" {gib(reading.used_mib).removesuffix(' GiB')}G"
        use = f"{reading.util_percent:>3}%{memory} "
    why = room.state.value if room.state in IN_ORDER else room.why.removeprefix(f"GPU {room.index} ")
    return f"GPU {room.index}  {use}{', '.join(names) or why}"


def devices_in_a_line(engine: Engine) -> str:
    """Return all devices in one line, where there is no room for more."""
    rooms = engine.desk.rooms
    busy = len({uuid for live in engine.live.values() for uuid in live.attempt.devices})
    bad = [room.index for room in rooms if room.state not in IN_ORDER]
    apart = f", GPU {', '.join(bad)} not for us: `status` says why" if bad else ""
    return f"GPUs   {busy} of {len(rooms)} with runs{apart}"


def slot_words(engine: Engine) -> str:
    """Return the CPU slots and who is on them."""
    on_slots = (live for live in engine.live.values() if live.attempt.cpu_slots and not live.ended)
    names = [str(live.attempt.key) for live in on_slots]
    used = engine.cpu_slots - engine.cpu_slots_free()
    return f"CPU    {used} of {engine.cpu_slots} slots{': ' if names else ''}{', '.join(names)}"


def middle_cut(name: str, width: int) -> str:
    """Return an id cut in its middle: what tells ids apart stands at both ends."""
    if len(name) <= width:
        return name
    tail = (width - 1) // 2
    return f"{name[: width - 1 - tail]}…{name[len(name) - tail :]}"
