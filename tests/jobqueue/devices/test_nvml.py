"""NvmlSource against the pretended library, through the real nvidia-ml-py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pkgs.jobqueue.devices.inventory import DeviceReading, Inventory
from pkgs.jobqueue.devices.nvml import NvmlSource
from tests.builders.fake_nvml import (
    DRIVER_NOT_LOADED,
    FUNCTION_NOT_FOUND,
    GPU_IS_LOST,
    NO_PERMISSION,
    NOT_SUPPORTED,
    RESET_REQUIRED,
    TIMEOUT,
    UNKNOWN,
    VERSION_MISMATCH,
    Card,
    FakeNvml,
    OnCard,
    World,
    eight_cards,
)

ASKED_OF_A_CARD = (
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetName",
    "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
    "nvmlDeviceGetMPSComputeRunningProcesses_v3",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetMigMode",
)


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    nvml = FakeNvml(tmp_path)
    nvml.load(monkeypatch)
    nvml.show(World(eight_cards()))
    return nvml


@pytest.fixture
def source(fake: FakeNvml, clock: Clock, tmp_path: Path) -> Iterator[NvmlSource]:
    nvml = NvmlSource(device_folder=tmp_path, deadline_s=5.0, clock=clock)
    yield nvml
    nvml.close()


def by_uuid(inventory: Inventory) -> dict[str, DeviceReading]:
    return {reading.uuid: reading for reading in inventory.readings}


def test_eight_cards_are_read_with_all_their_values(source: NvmlSource) -> None:
    inventory = source.read()

    assert (inventory.kind, inventory.problem, len(inventory.readings)) == ("nvml", None, 8)
    assert inventory.readings[3] == DeviceReading(
        uuid="GPU-0003",
        index="3",
        name="NVIDIA Pretended",
        total_mib=24_576,
        used_mib=10,
        reserved_mib=400,
        util_percent=0,
        temperature_c=35,
        power_w=60.0,
        energy_j=5000.0,
        processes=(),
    )


def test_foreign_processes_come_and_go_and_are_named(fake: FakeNvml, source: NvmlSource) -> None:
    child = subprocess.Popen(["sleep", "600"])
    try:
        fake.show(World(eight_cards(), (OnCard("GPU-0002", child.pid, 4000, claim=True),)))
        busy = by_uuid(source.read())["GPU-0002"]
    finally:
        child.kill()
        child.wait()
    rested = by_uuid(source.read())["GPU-0002"]

    assert busy.used_mib == 4010
    assert busy.processes is not None
    assert [(it.pid, it.mib) for it in busy.processes] == [(child.pid, 4000)]
    assert busy.processes[0].words.startswith("sleep of ")
    assert (rested.used_mib, rested.processes) == (10, ())


def test_a_process_in_several_lists_counts_once_and_an_unseen_one_is_said_to_be_so(
    fake: FakeNvml, source: NvmlSource
) -> None:
    gone = 2**22 + 5  # above the largest pid of Linux
    on_card = tuple(
        OnCard("GPU-0001", gone, mib, kind) for mib, kind in ((None, "compute"), (70, "graphics"))
    )
    fake.show(World(eight_cards(), (*on_card, OnCard("GPU-0001", gone + 1, None, "mps"))))

    processes = by_uuid(source.read())["GPU-0001"].processes

    assert processes is not None
    assert [(it.pid, it.mib) for it in processes] == [(gone, 70), (gone + 1, None)]
    assert "another container" in processes[0].words


@pytest.mark.parametrize("function", ASKED_OF_A_CARD)
@pytest.mark.parametrize("code", [GPU_IS_LOST, RESET_REQUIRED])
def test_a_card_lost_at_any_call_hides_no_other(
    fake: FakeNvml, source: NvmlSource, function: str, code: int
) -> None:
    source.read()
    fake.show(replace(fake.world, faults=((function, "GPU-0005", code),)))

    inventory = source.read()

    assert inventory.problem is None
    assert [reading.uuid for reading in inventory.readings if reading.lost] == ["GPU-0005"]
    assert [reading.uuid for reading in inventory.readings if reading.fault] == ["GPU-0005"]
    lost = by_uuid(inventory)["GPU-0005"]
    assert (lost.index, lost.total_mib) == ("5", 24_576)
    assert f"code {code}" in str(lost.fault)


def test_a_card_lost_before_the_first_look_is_shown_all_the_same(fake: FakeNvml, source: NvmlSource) -> None:
    fake.show(World(eight_cards(), faults=(("nvmlDeviceGetHandleByIndex_v2", "GPU-0005", GPU_IS_LOST),)))
    before = source.read()
    again = source.read()
    fake.show(World(eight_cards()))
    healed = source.read()

    assert len(before.readings) == len(again.readings) == len(healed.readings) == 8
    assert sum(reading.lost for reading in again.readings) == 1
    assert not any(reading.fault for reading in healed.readings)


def test_an_odd_error_of_one_card_is_its_fault_alone(fake: FakeNvml, source: NvmlSource) -> None:
    faults = (("nvmlDeviceGetMemoryInfo_v2", "GPU-0001", UNKNOWN), ("nvmlDeviceGetUUID", "GPU-0002", TIMEOUT))
    source.read()
    fake.show(World(eight_cards(), faults=faults))

    faulty = [reading for reading in source.read().readings if reading.fault]

    assert [reading.uuid for reading in faulty] == ["GPU-0001", "GPU-0002"]
    assert not any(reading.lost for reading in faulty)


def test_a_vanished_card_is_lost_and_the_others_keep_uuid_and_index(
    fake: FakeNvml, source: NvmlSource
) -> None:
    four = eight_cards()[:4]
    fake.show(World(four))
    source.read()
    fake.show(World(four[:1] + four[2:]))

    inventory = source.read()

    assert [reading.uuid for reading in inventory.readings] == [card.uuid for card in four]
    assert [reading.index for reading in inventory.readings] == ["0", "1", "2", "3"]
    assert [reading.lost for reading in inventory.readings] == [False, True, False, False]
    assert "vanished" in str(inventory.readings[1].fault)


def test_a_card_that_comes_back_is_well_again(fake: FakeNvml, source: NvmlSource) -> None:
    source.read()
    fake.show(World(eight_cards()[1:]))
    source.read()
    fake.show(World(eight_cards()))

    assert not any(reading.fault for reading in source.read().readings)


def test_nvml_in_reversed_order_gives_the_same_indices(fake: FakeNvml, source: NvmlSource) -> None:
    fake.show(World(tuple(reversed(eight_cards()))))

    readings = source.read().readings

    assert [(reading.index, reading.uuid) for reading in readings] == [
        (str(n), f"GPU-000{n}") for n in range(8)
    ]


def test_of_mixed_cards_only_what_can_be_used_is_shown(fake: FakeNvml, source: NvmlSource) -> None:
    parts = tuple(Card(f"MIG-{n}", total_mib=9856, util=None, power_w=None) for n in range(2))
    full = Card("GPU-full", bus="0:1:0", mig=False)
    split = Card("GPU-split", bus="0:2:0", mig=True, slices=parts, temperature=50)
    empty = Card("GPU-empty", bus="0:3:0", mig=True)
    fake.show(World((full, split, empty), (OnCard("MIG-1", os.getpid(), 900),)))

    inventory = source.read()

    assert inventory.problem is None
    assert [(it.index, it.uuid, it.parent) for it in inventory.readings] == [
        ("0", "GPU-full", None),
        ("1:0", "MIG-0", "GPU-split"),
        ("1:1", "MIG-1", "GPU-split"),
    ]
    second = inventory.readings[2]
    assert (second.total_mib, second.util_percent, second.temperature_c, second.power_w) == (
        9856,
        None,
        50,
        None,
    )
    assert [it.pid for it in second.processes or ()] == [os.getpid()]


def test_a_lost_parent_takes_its_slices_along_and_removed_slices_are_forgotten(
    fake: FakeNvml, source: NvmlSource
) -> None:
    parts = (Card("MIG-0"), Card("MIG-1"))
    split = Card("GPU-split", mig=True, slices=parts)
    other = Card("GPU-other", bus="0:2:0")
    fake.show(World((split, other)))
    source.read()
    fake.show(World((split, other), faults=(("*", "GPU-split", GPU_IS_LOST),)))
    lost = source.read()
    fake.show(World((replace(split, mig=False, slices=()), other)))
    whole = source.read()

    assert [(it.uuid, it.lost) for it in lost.readings] == [
        ("MIG-0", True),
        ("MIG-1", True),
        ("GPU-other", False),
    ]
    assert [it.uuid for it in whole.readings] == ["GPU-split", "GPU-other"]


def test_only_empty_mig_cards_are_a_problem_with_its_cure(fake: FakeNvml, source: NvmlSource) -> None:
    fake.show(World((Card("GPU-empty", mig=True),)))

    inventory = source.read()

    assert inventory.readings == ()
    assert "nvidia-smi mig" in str(inventory.problem)


def test_values_that_are_not_available_are_none_and_never_zero(fake: FakeNvml, source: NvmlSource) -> None:
    bare = Card("GPU-bare", total_mib=None, util=None, temperature=None, power_w=None, energy_j=None)
    fake.show(World((bare,), faults=(("nvmlDeviceGetComputeRunningProcesses_v3", "*", NO_PERMISSION),)))

    reading = source.read().readings[0]

    assert reading.fault is None
    assert (reading.total_mib, reading.used_mib, reading.util_percent) == (None, None, None)
    assert (reading.temperature_c, reading.power_w, reading.energy_j, reading.processes) == (None,) * 4


def test_an_older_driver_without_the_newer_calls_is_still_read(fake: FakeNvml, source: NvmlSource) -> None:
    old = tuple(
        (function, "*", FUNCTION_NOT_FOUND)
        for function in (
            "nvmlDeviceGetMemoryInfo_v2",
            "nvmlDeviceGetMPSComputeRunningProcesses_v3",
            "nvmlDeviceGetMigMode",
        )
    )
    graphics = ("nvmlDeviceGetGraphicsRunningProcesses_v3", "*", NOT_SUPPORTED)
    fake.show(World(eight_cards(), faults=(*old, graphics)))

    reading = source.read().readings[0]

    assert (reading.fault, reading.used_mib, reading.reserved_mib, reading.processes) == (None, 410, 0, ())


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (DRIVER_NOT_LOADED, "modprobe"),
        (VERSION_MISMATCH, "reboot"),
        (NO_PERMISSION, "permissions"),
        (UNKNOWN, "code 999"),
        (TIMEOUT, "code 10"),
    ],
)
@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2"])
def test_nvml_failing_as_a_whole_keeps_the_last_known_and_names_the_cure(
    fake: FakeNvml, source: NvmlSource, clock: Clock, function: str, code: int, cure: str
) -> None:
    source.read()
    fake.show(replace(fake.world, faults=((function, "*", code), ("nvmlDeviceGetCount_v2", "*", code))))

    inventory = source.read()

    assert [reading.uuid for reading in inventory.readings] == [card.uuid for card in eight_cards()]
    assert inventory.kind == "nvml"
    assert cure in str(inventory.problem)
    assert "Nothing new starts on GPUs" in str(inventory.problem)


def test_initialising_is_tried_again_after_growing_pauses(
    fake: FakeNvml, source: NvmlSource, clock: Clock
) -> None:
    well = fake.world
    fake.show(World(eight_cards(), faults=(("nvmlInitWithFlags", "*", DRIVER_NOT_LOADED),)))
    assert "again in 5 s" in str(source.read().problem)
    clock.now_s += 5
    assert "again in 10 s" in str(source.read().problem)
    fake.show(well)
    clock.now_s += 9
    assert source.read().problem is not None
    clock.now_s += 1
    assert source.read().problem is None


def test_a_call_that_hangs_is_given_up_after_the_deadline_and_asked_once_only(
    fake: FakeNvml, tmp_path: Path
) -> None:
    source = NvmlSource(device_folder=tmp_path, deadline_s=0.2)
    known = source.read()
    threads = threading.active_count()
    fake.show(replace(fake.world, delays=(("nvmlDeviceGetMemoryInfo_v2", 60_000),)))
    start_s = time.monotonic()
    first = source.read()
    first_took_s = time.monotonic() - start_s
    later = [source.read() for _ in range(20)]
    took_s = time.monotonic() - start_s
    fake.show(replace(fake.world, delays=()))  # the library notices and goes on
    time.sleep(0.1)
    healed = source.read()
    source.close()

    assert 0.15 < first_took_s < 0.6
    assert took_s < first_took_s + 0.2
    assert threading.active_count() <= threads
    assert "NVML has not answered for 0." in str(first.problem)
    assert {reading.uuid for reading in later[-1].readings} == {reading.uuid for reading in known.readings}
    assert healed.problem is None


def test_newest_never_waits(fake: FakeNvml, tmp_path: Path) -> None:
    fake.show(replace(fake.world, delays=(("nvmlInitWithFlags", 60_000),)))
    source = NvmlSource(device_folder=tmp_path, deadline_s=30)
    start_s = time.monotonic()

    inventory = source.newest()

    assert time.monotonic() - start_s < 0.1
    assert (inventory.kind, inventory.readings) == ("unknown", ())
    assert "has not answered yet" in str(inventory.problem)
    fake.show(replace(fake.world, delays=()))
    source.close()


def test_no_library_and_no_device_file_is_a_machine_without_gpus(fake: FakeNvml, source: NvmlSource) -> None:
    fake.state.unlink()

    assert source.read() == Inventory(kind="none", taken_s=1000.0)


def test_a_device_file_without_a_library_is_a_fault(
    fake: FakeNvml, source: NvmlSource, tmp_path: Path
) -> None:
    fake.state.unlink()
    (tmp_path / "nvidia0").touch()

    inventory = source.read()

    assert inventory.kind == "unknown"
    assert "nvidia0 exists" in str(inventory.problem)
    assert "user-space part of the driver" in str(inventory.problem)


def test_a_library_without_any_card_is_a_fault(fake: FakeNvml, source: NvmlSource) -> None:
    fake.show(World())

    assert "shows no GPU" in str(source.read().problem)


READ_AND_PRINT = """
import json, pathlib, sys
from pkgs.jobqueue.devices.nvml import NvmlSource
inventory = NvmlSource(device_folder=pathlib.Path(sys.argv[1])).read()
heavy = [name for name in ("torch", "numpy", "pandas") if name in sys.modules]
print(json.dumps([inventory.kind, inventory.problem, [r.uuid for r in inventory.readings], heavy]))
"""


def read_in_a_process(environment: dict[str, str], device_folder: Path) -> list[object]:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", READ_AND_PRINT, str(device_folder)]
    ran = subprocess.run(
        command, env={**os.environ, **environment}, cwd=root, stdout=subprocess.PIPE, text=True, check=True
    )
    answer: list[object] = json.loads(ran.stdout)
    return answer


def test_a_process_finds_the_library_by_its_path(fake: FakeNvml, tmp_path: Path) -> None:
    assert read_in_a_process(fake.environment(), tmp_path) == [
        "nvml",
        None,
        [card.uuid for card in eight_cards()],
        [],
    ]


def test_a_process_without_the_library_sees_no_gpu_and_with_a_device_file_a_fault(tmp_path: Path) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a real NVML")
    assert read_in_a_process({}, tmp_path) == ["none", None, [], []]
    (tmp_path / "nvidiactl").touch()
    kind, problem, readings, _ = read_in_a_process({}, tmp_path)
    assert (kind, readings) == ("unknown", [])
    assert "code 12" in str(problem)
