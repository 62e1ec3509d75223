"""Judges, look by look, which devices may take another run, and why the others may not. No clock, no I/O.

Free means: no foreign process and enough memory and no lease, over several looks after any disturbance. What
is not known counts as busy; utilisation can make a device busy, never free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import final

from pkgs.jobqueue.devices import words
from pkgs.jobqueue.devices.inventory import DeviceProcess, DeviceReading, Inventory
from pkgs.jobqueue.devices.quarantine import Quarantine
from pkgs.jobqueue.devices.settling import Past, Patience
from pkgs.jobqueue.devices.usage import OurRun, Usage, divide


class DeviceState(StrEnum):
    """How a device stands to this queue."""

    FREE = "free"
    OURS = "ours"
    SHARED = "shared"
    FOREIGN = "foreign"
    SETTLING = "settling"
    QUARANTINED = "quarantined"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DeviceRoom:
    """What may still go onto a device."""

    uuid: str
    index: str
    state: DeviceState
    why: str
    """One sentence or two: who holds it, how much, until when, what to do."""
    free_mib: int = 0
    """For runs that share; 0 when none may come."""
    alone_ok: bool = False
    """Whether a run may have the device to itself now."""
    probation: bool = False
    """True: the next run decides about a device in quarantine; place one run at most."""
    total_mib: int | None = None
    name: str = ""
    parent: str | None = None
    """For a MIG slice its card. A process can use one slice only: never give a run two."""


@dataclass(frozen=True, slots=True)
class _Look:
    """All that is known about one device at one look."""

    reading: DeviceReading
    runs: Sequence[OurRun]
    usage: Usage | None
    problem: str | None
    """Why nothing new may start on any GPU."""
    holder: str
    """Who else holds the lease; empty: nobody."""
    elsewhere: Mapping[int, str]
    """Runs of ours by pid, wherever they belong."""
    at_s: float


@final
class DeviceWatch:
    """Keeps the past of each device; fed with inventories, answers with rooms."""

    def __init__(self, patience: Patience | None = None, *, quarantine: Quarantine | None = None) -> None:
        """Know nothing yet."""
        self._patience = patience or Patience()
        self._quarantine = quarantine or Quarantine()
        self._past: dict[str, Past] = {}
        self._lists_work = False

    def look(
        self,
        now_s: float,
        inventory: Inventory,
        *,
        our: Mapping[str, Sequence[OurRun]],
        held: Mapping[str, str] | None = None,
    ) -> tuple[DeviceRoom, ...]:
        """Return the room on every device, in the order of the inventory.

        Args:
            now_s: Monotonic seconds, the clock of the inventory's source.
            inventory: What the source saw last.
            our: By UUID, the runs of this queue that hold the device, from the moment they are placed until
                nothing of them is left.
            held: By UUID, who else holds the device's lease, in words.
        """
        at_s = now_s if inventory.taken_s is None else inventory.taken_s
        elsewhere = {pid: run.name for runs in our.values() for run in runs for pid in run.pids}
        shown = {process.pid for reading in inventory.readings for process in reading.processes or ()}
        self._lists_work = self._lists_work or not shown.isdisjoint(elsewhere)
        readings = [*inventory.readings, *_unseen(inventory, our)]
        rooms = []
        for reading in readings:
            runs = tuple(our.get(reading.uuid, ()))
            usage = divide(
                reading, runs, tolerated_mib=self._patience.tolerated_mib, lists_work=self._lists_work
            )
            holder = "" if runs else (held or {}).get(reading.uuid, "")
            look = _Look(reading, runs, usage, inventory.problem, holder, elsewhere, at_s)
            self._remember(look, now_s, simulated=inventory.kind == "simulated")
            rooms.append(self._judge(look, now_s))
        return tuple(rooms)

    def next_look_s(self) -> float | None:
        """Return when a further look would bring a settling device nearer to being free; None: none is."""
        times = [past.last_s + past.gap_s for past in self._past.values() if past.looks_needed]
        return min(times, default=None)

    def record_failure(self, uuid: str, job: str, *, now_s: float) -> None:
        """Note a failure that may be the device's; three of different jobs in a row: quarantine."""
        self._quarantine.failure(uuid, job, now_s=now_s)

    def record_success(self, uuid: str) -> None:
        """Note a run that ended well: the device is trusted."""
        self._quarantine.success(uuid)

    def quarantine(self, uuid: str, why: str, *, now_s: float) -> None:
        """Distrust a device at once, say after a CUDA error; `why` goes on after "because"."""
        self._quarantine.distrust(uuid, why, now_s=now_s)

    def release(self, uuid: str, *, now_s: float) -> None:
        """Let a quarantined device have its probation run now."""
        self._quarantine.release(uuid, now_s)

    def to_state(self, now_s: float) -> dict[str, object]:
        """Return what must survive a restart of the manager, as plain values for JSON."""
        return self._quarantine.to_state(now_s)

    @classmethod
    def from_state(
        cls, state: Mapping[str, object], *, now_s: float, patience: Patience | None = None
    ) -> DeviceWatch:
        """Return a watch that remembers what `to_state` returned.

        Raises:
            ValueError: If `state` is not of that form.
        """
        watch = cls(patience)
        watch._quarantine.restore(state, now_s)
        return watch

    def _remember(self, look: _Look, now_s: float, *, simulated: bool) -> None:
        """Take the look into the device's past: a disturbance, or one clean look more."""
        past = self._past.setdefault(look.reading.uuid, Past())
        if look.reading.lost and not past.lost:
            self._quarantine.distrust(look.reading.uuid, "it was lost", now_s=now_s)
        past.lost = look.reading.lost
        gone = [run for run in past.runs if run.name not in {now.name for now in look.runs}]
        if gone:
            past.ended, past.ended_s = gone[-1].name, now_s
            past.ended_pids = frozenset().union(*(run.pids for run in gone))
        past.runs = tuple(look.runs)
        glowing = now_s - past.ended_s < self._patience.afterglow_s
        if simulated:
            return
        if self._disturbed(look):
            known = glowing and all(process.pid in past.ended_pids for process in _strangers(look))
            gap_s = self._patience.own_gap_s if known else self._patience.foreign_gap_s
            past.disturb(self._patience, gap_s=gap_s, at_s=look.at_s)
        elif gone and not look.runs:
            past.disturb(self._patience, gap_s=self._patience.own_gap_s, at_s=look.at_s)
        else:
            past.count(look.at_s)

    def _disturbed(self, look: _Look) -> bool:
        """Tell whether anything but our own runs is on the device, or could be."""
        reading, usage = look.reading, look.usage
        if look.problem or reading.fault or look.holder:
            return True
        if usage is None or usage.strangers or usage.nobody_mib:
            return True
        return not look.runs and (reading.processes is None or self._computes(reading))

    def _computes(self, reading: DeviceReading) -> bool:
        return reading.util_percent is not None and reading.util_percent >= self._patience.busy_percent

    def _judge(self, look: _Look, now_s: float) -> DeviceRoom:  # noqa: PLR0911 - reasons, in order
        """Return the room; the most telling reason first."""
        reading = look.reading
        if reading.lost:
            return _room(look, DeviceState.LOST, words.lost(reading, look.runs))
        if look.problem:
            state = DeviceState.OURS if look.runs else DeviceState.UNKNOWN
            return _room(look, state, words.problem(reading, look.problem, look.runs))
        if reading.fault:
            return _room(look, DeviceState.UNKNOWN, words.fault(reading, look.runs))
        distrust = self._quarantine.of(reading.uuid)
        if distrust and (look.runs or now_s < distrust.until_s):
            left_s = distrust.until_s - now_s
            said = words.quarantined(reading, distrust.why, left_s=left_s, runs=look.runs)
            return _room(look, DeviceState.QUARANTINED, said)
        taken = self._taken(look, now_s)
        if taken:
            return taken
        if look.runs:
            return _beside_ours(look)
        free_mib = look.usage.free_mib if look.usage else 0
        if distrust:
            said = words.probation(reading, distrust.why)
            return _room(
                look, DeviceState.QUARANTINED, said, free_mib=free_mib, alone_ok=True, probation=True
            )
        return _room(look, DeviceState.FREE, words.free(reading, free_mib), free_mib=free_mib, alone_ok=True)

    def _taken(self, look: _Look, now_s: float) -> DeviceRoom | None:  # noqa: PLR0911 - likewise
        """Return why nothing may come although the device is in order; None when something may."""
        reading, usage, past = look.reading, look.usage, self._past[look.reading.uuid]
        glowing = now_s - past.ended_s < self._patience.afterglow_s
        if look.holder:
            return _room(look, DeviceState.FOREIGN, words.held(reading, look.holder))
        if usage is None or (reading.processes is None and not look.runs):
            state = DeviceState.OURS if look.runs else DeviceState.UNKNOWN
            return _room(look, state, words.unknown(reading, look.runs))
        if usage.strangers:
            left = glowing and all(process.pid in past.ended_pids for process in usage.strangers)
            names = dict.fromkeys(past.ended_pids, past.ended) if glowing else {}
            said = words.strangers(reading, usage, {**names, **look.elsewhere}, runs=look.runs)
            return _room(look, DeviceState.SETTLING if left else DeviceState.FOREIGN, said)
        if usage.nobody_mib:
            ended, state = (past.ended, DeviceState.SETTLING) if glowing else ("", DeviceState.FOREIGN)
            said = words.nobody(reading, usage.nobody_mib, ended=ended, ended_s=now_s - past.ended_s)
            return _room(look, state, said)
        if not look.runs and self._computes(reading):
            return _room(look, DeviceState.FOREIGN, words.computing(reading))
        if past.looks_needed:
            return _room(look, DeviceState.SETTLING, words.settling(reading, past.left_s()))
        return None


def _beside_ours(look: _Look) -> DeviceRoom:
    """Return the room on a device where only runs of ours are."""
    alone = any(run.reserved_mib is None for run in look.runs)
    free_mib = look.usage.free_mib if look.usage and not alone else 0
    if free_mib:
        said = words.shared(look.reading, free_mib, look.runs)
        return _room(look, DeviceState.SHARED, said, free_mib=free_mib)
    return _room(look, DeviceState.OURS, words.ours(look.reading, look.runs, alone=alone))


def _room(  # noqa: PLR0913 - the fields of a room
    look: _Look,
    state: DeviceState,
    why: str,
    *,
    free_mib: int = 0,
    alone_ok: bool = False,
    probation: bool = False,
) -> DeviceRoom:
    reading = look.reading
    return DeviceRoom(
        uuid=reading.uuid,
        index=reading.index,
        state=state,
        why=why,
        free_mib=free_mib,
        alone_ok=alone_ok,
        probation=probation,
        total_mib=reading.total_mib,
        name=reading.name,
        parent=reading.parent,
    )


def _strangers(look: _Look) -> tuple[DeviceProcess, ...]:
    return look.usage.strangers if look.usage else ()


def _unseen(inventory: Inventory, our: Mapping[str, Sequence[OurRun]]) -> list[DeviceReading]:
    """Stand in for devices that hold runs of ours but are in no inventory: NVML has failed ever since."""
    seen = {reading.uuid for reading in inventory.readings}
    missing = "It is not among the devices that were found."
    return [
        DeviceReading(uuid, "?", fault=None if inventory.problem else missing)
        for uuid, runs in our.items()
        if runs and uuid not in seen
    ]
