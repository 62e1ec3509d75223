"""Source and watch together: real processes claim memory on pretended cards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pkgs.jobqueue.devices.nvml import NvmlSource
from pkgs.jobqueue.devices.usage import OurRun
from pkgs.jobqueue.devices.watch import DeviceRoom, DeviceState, DeviceWatch
from tests.builders.fake_nvml import GPU_IS_LOST, FakeNvml, OnCard, World, eight_cards


class Machine:
    """Eight cards under a watch, with a pretended clock and a sleeping process."""

    def __init__(self, fake: FakeNvml, device_folder: Path) -> None:
        self.fake = fake
        self.now_s = 0.0
        self.source = NvmlSource(device_folder=device_folder, clock=lambda: self.now_s)
        self.watch = DeviceWatch()
        self.process = subprocess.Popen(["sleep", "600"])

    def claim(self, number: int, mib: int) -> None:
        world = World(eight_cards(), (OnCard(f"GPU-000{number}", self.process.pid, mib, claim=True),))
        self.fake.show(world)

    def end_the_process(self) -> None:
        self.process.kill()
        self.process.wait()

    def look(self, **runs: OurRun) -> tuple[DeviceRoom, ...]:
        self.now_s += 2
        our = {name.replace("_", "-"): [run] for name, run in runs.items()}
        return self.watch.look(self.now_s, self.source.read(), our=our)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    fake = FakeNvml(tmp_path)
    fake.load(monkeypatch)
    fake.show(World(eight_cards()))
    whole = Machine(fake, tmp_path)
    yield whole
    whole.source.close()
    whole.end_the_process()


def busy(rooms: tuple[DeviceRoom, ...]) -> dict[str, DeviceState]:
    return {room.index: room.state for room in rooms if room.state is not DeviceState.FREE}


def test_a_stranger_takes_one_card_of_eight_and_gives_it_back(machine: Machine) -> None:
    assert busy(machine.look()) == {}
    machine.claim(4, 3000)
    assert busy(machine.look()) == {"4": DeviceState.FOREIGN}
    machine.end_the_process()
    assert [busy(machine.look()) for _ in range(3)] == [{"4": DeviceState.SETTLING}] * 2 + [{}]


def test_our_process_is_known_by_its_pid_and_the_rest_of_its_card_is_shared(machine: Machine) -> None:
    machine.claim(4, 3000)
    run = OurRun("ke/student:0", frozenset({machine.process.pid}), reserved_mib=2000)

    room = machine.look(GPU_0004=run)[4]

    assert (room.state, room.free_mib) == (DeviceState.SHARED, 24_576 - 400 - 3000 - 10)


def test_a_card_lost_while_in_use_stops_no_other(machine: Machine) -> None:
    machine.claim(4, 3000)
    run = OurRun("ke/student:0", frozenset({machine.process.pid}))
    machine.look(GPU_0004=run)
    machine.fake.show(replace(machine.fake.world, faults=(("*", "GPU-0004", GPU_IS_LOST),)))

    rooms = machine.look(GPU_0004=run)

    assert busy(rooms) == {"4": DeviceState.LOST}
    assert "ke/student:0 is there and goes on" in rooms[4].why


def test_a_card_that_vanishes_leaves_the_others_under_their_own_uuid(machine: Machine) -> None:
    machine.look()
    machine.fake.show(World(eight_cards()[:1] + eight_cards()[2:]))

    rooms = machine.look()

    assert busy(rooms) == {"1": DeviceState.LOST}
    assert [(room.index, room.uuid) for room in rooms] == [(str(n), f"GPU-000{n}") for n in range(8)]
