"""The step that reads what running attempts use, and the devices' state.

At their own pace, not at each turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pkgs.foundation.run_folder import RunFolder
from pkgs.jobqueue.devices.watch import DeviceState
from pkgs.jobqueue.manager.telemetry import families, read_usage

if TYPE_CHECKING:
    from pkgs.jobqueue.manager.engine import Engine


DAY_S: Final = 86_400.0
OUT_OF_ORDER: Final = (DeviceState.LOST, DeviceState.QUARANTINED)
"""Not `unknown`: when NVML fails as a whole, one sentence about it is enough."""


@dataclass(slots=True)
class Sampling:
    """Remembers when what is due."""

    next_devices_s: float = 0.0
    next_usage_s: float = 0.0
    next_leases_s: float = 0.0
    bad: frozenset[str] = frozenset()
    """Devices whose fault has been told."""

    def devices(self, engine: Engine) -> None:
        """Take in what the GPUs show, when it is time."""
        now_s = engine.clock.monotonic_s()
        soonest = engine.desk.watch.next_look_s()
        due_s = self.next_devices_s if soonest is None else min(self.next_devices_s, soonest)
        if now_s < due_s or engine.desk.inventory.kind == "none":
            return
        if now_s >= self.next_leases_s:
            self.next_leases_s = now_s + DAY_S
            engine.desk.keep_leases_recent()
        self.next_devices_s = now_s + engine.settings.device_poll_s
        engine.desk.poll(ours=engine.ours())
        engine.looked = False
        engine.look_at_devices()  # also when nothing waits: the screen shows it, and a loss must be noticed
        rooms = engine.desk.rooms
        slices = frozenset(room.uuid for room in rooms if room.parent is not None)
        if slices or engine.book.slices:
            now_unix_s = engine.clock.unix_s()
            engine.book.set_slices(slices, whole_cards=len(rooms) - len(slices), now_unix_s=now_unix_s)
        self._tell(engine)

    def _tell(self, engine: Engine) -> None:
        """Note each device that is out of order now, and each that is in order again."""
        bad = {room.uuid: room for room in engine.desk.rooms if room.state in OUT_OF_ORDER}
        events = [engine.say("device", room.why) for uuid, room in bad.items() if uuid not in self.bad]
        events += [
            engine.say("device", f"GPU {room.index} is in order again")
            for room in engine.desk.rooms
            if room.uuid in self.bad and room.uuid not in bad
        ]
        self.bad = frozenset(bad)
        if events:
            engine.commit(events=events)

    def usage(self, engine: Engine) -> None:
        """Read utilisation, memory, power and signs of life of every attempt, when it is time."""
        now_s = engine.clock.monotonic_s()
        if now_s < self.next_usage_s or not engine.live:
            return
        self.next_usage_s = now_s + min(engine.settings.telemetry_s, engine.settings.stall_s / 4)
        table = read_usage()
        roots = {
            live.attempt.id: live.identity.pid for live in engine.live.values() if live.identity is not None
        }
        found = families(table, roots.values())
        samples = []
        for live in engine.live.values():
            if live.attempt.id not in roots or live.ended:
                continue
            sample = live.meter.take(
                now_s,
                now_unix_s=engine.clock.unix_s(),
                family=found[roots[live.attempt.id]],
                table=table,
                devices=engine.desk.readings(live.attempt.devices),
            )
            progress = RunFolder(live.folder.path.parent.parent).progress
            live.meter.note_files(now_s, [live.folder.output, progress])
            samples.append(sample)
        with engine.state.transaction():
            engine.state.add_telemetry(samples)
