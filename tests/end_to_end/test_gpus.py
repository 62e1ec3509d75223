"""A real manager on pretended cards: the real nvidia-ml-py talks to a library that the tests compile."""

from __future__ import annotations

import os
import site
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders.fake_nvml import GPU_IS_LOST, VERSION_MISMATCH, Card, FakeNvml, OnCard, World, eight_cards
from tests.builders.managers import Queue, eventually, queue_for_module, queue_in, row

PRINT = "echo $CUDA_VISIBLE_DEVICES"
UNTIL_TOLD = "while ! test -e go; do sleep 0.05; done"
NOBODY = 65_534


def two_cards() -> tuple[Card, ...]:
    return eight_cards()[:2]


@pytest.fixture
def nvml(tmp_path: Path) -> FakeNvml:
    return fake_in(tmp_path)


def fake_in(folder: Path, world: World | None = None) -> FakeNvml:
    fake = FakeNvml(folder)
    fake.show(world or World(two_cards()))
    return fake


@pytest.fixture
def queue(tmp_path: Path, nvml: FakeNvml) -> Iterator[Queue]:
    with queue_in(tmp_path, environment=nvml.environment(), device_samples=2) as queue:
        yield queue


def devices_of(queue: Queue, job: str) -> list[str]:
    return [attempt["devices"] for attempt in queue.attempts(job)]


def states(queue: Queue) -> dict[str, str]:
    return {card["uuid"]: card["state"] for card in queue.live().get("devices", [])}


def test_eight_runs_on_eight_cards_print_eight_different_uuids(queue: Queue, nvml: FakeNvml) -> None:
    nvml.show(World(eight_cards()))
    queue.write(row("all", f"{PRINT} $CUDA_DEVICE_ORDER $OMP_NUM_THREADS; sleep 1.5", seeds="0..7"))
    assert queue.run_until_idle().returncode == 0
    said = [queue.log("all", seed=seed).split() for seed in range(8)]
    assert sorted(words[0] for words in said) == [card.uuid for card in eight_cards()]
    assert {words[1] for words in said} == {"PCI_BUS_ID"}


def test_a_card_with_a_stranger_on_it_is_left_to_him_until_he_goes(queue: Queue, nvml: FakeNvml) -> None:
    nvml.show(World(two_cards(), (OnCard("GPU-0000", os.getpid(), 500),)))
    queue.write(row("mine", "sleep 0.2", seeds="0..3"), row("both", "true", gpus="2", after="mine:all"))
    with queue.manager("--poll", "0.05"):
        queue.await_status("mine", "completed")
        assert devices_of(queue, "mine") == ["GPU-0001"] * 4
        waits = eventually(lambda: queue.live()["why"].get("both"), what="a reason")
        assert f"GPU 0 is used by process {os.getpid()}" in waits
        nvml.show(World(two_cards()))
        queue.await_status("both", "completed")
    assert devices_of(queue, "both") == ["GPU-0000 GPU-0001"]


def test_memory_that_nobody_shows_keeps_a_card_free_of_us(queue: Queue, nvml: FakeNvml) -> None:
    nvml.show(World((replace(two_cards()[0], used_mib=9000), two_cards()[1])))
    queue.write(row("mine", "true", seeds="0..3"))
    assert queue.run_until_idle().returncode == 0
    assert set(devices_of(queue, "mine")) == {"GPU-0001"}
    (why,) = [card["why"] for card in queue.live()["devices"] if card["uuid"] == "GPU-0000"]
    assert "8.8 GiB" in why


def test_a_card_lost_in_use_stops_nobody_else(queue: Queue, nvml: FakeNvml) -> None:
    queue.write(
        row("on_both", UNTIL_TOLD, seeds="0 1"),
        row("later", PRINT, after="on_both:all"),
        row("cpu", "true", gpus="0"),
    )
    with queue.manager("--poll", "0.05"):
        eventually(lambda: len(devices_of(queue, "on_both")) == 2, what="two runs")
        nvml.show(World(two_cards(), faults=(("*", "GPU-0000", GPU_IS_LOST),)))
        eventually(lambda: states(queue).get("GPU-0000") == "lost", what="the loss")
        queue.await_status("cpu", "completed")  # the first run's word is written before it is replaced
        queue.edit("cpu", status="rerun")
        queue.await_status("cpu", "completed")
        assert queue.row("on_both")["status"] == "running"
        (queue.folder / "go").touch()
        queue.await_status("later", "completed")
    assert queue.row("on_both")["progress"] == "2 of 2"
    assert devices_of(queue, "later") == ["GPU-0001"]


@pytest.mark.parametrize("mended", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_driver_that_does_not_match_holds_gpu_runs_only_and_they_start_once_it_does(
    queue: Queue, nvml: FakeNvml, *, mended: bool
) -> None:
    nvml.show(World(two_cards(), faults=(("nvmlInitWithFlags", "*", VERSION_MISMATCH),)))
    queue.write(row("gpu", "true"), row("cpu", "true", gpus="0"))
    with queue.manager("--poll", "0.05"):
        queue.await_status("cpu", "completed")
        assert "version mismatch" in eventually(lambda: queue.live()["why"].get("gpu"), what="why")
        assert "upgraded while it was loaded" in queue.command("why", "gpu").stdout
        assert not queue.attempts("gpu")
        if mended:
            nvml.show(World(two_cards()))
            queue.await_status("gpu", "completed", within_s=40)


def test_slices_are_devices_of_their_own_and_their_card_is_hidden(queue: Queue, nvml: FakeNvml) -> None:
    parts = tuple(Card(f"MIG-000{number}", total_mib=10_000) for number in range(2))
    sliced = replace(two_cards()[0], mig=True, slices=parts)
    nvml.show(World((sliced, two_cards()[1])))
    queue.write(row("runs", f"{PRINT}; sleep 1", seeds="0..2"))
    assert queue.run_until_idle().returncode == 0
    assert sorted(devices_of(queue, "runs")) == ["GPU-0001", "MIG-0000", "MIG-0001"]


def test_a_run_on_several_gpus_gets_whole_cards_and_never_two_slices(queue: Queue, nvml: FakeNvml) -> None:
    parts = tuple(Card(f"MIG-000{number}", total_mib=10_000) for number in range(3))
    first, second, third = eight_cards()[:3]
    nvml.show(World((replace(first, mig=True, slices=parts), second, third)))
    queue.write(row("two", "true", gpus="2", seeds="0 1"), row("three", "true", gpus="3"), row("one", "true"))
    assert queue.run_until_idle().returncode == 1
    assert devices_of(queue, "two") == ["GPU-0001 GPU-0002"] * 2
    assert "2 of the GPUs are whole" in queue.row("three")["message"]
    assert not queue.attempts("three")
    assert queue.row("one")["status"] == "completed"


@pytest.mark.parametrize(("given", "used"), [("GPU-0001", {"GPU-0001"})])
def test_what_the_manager_was_given_bounds_what_it_hands_out(
    queue: Queue, given: str, used: set[str]
) -> None:
    queue.write(row("runs", f"{PRINT}; sleep 0.5", seeds="0..1"))
    bound = {"CUDA_VISIBLE_DEVICES": given, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    ended = queue.command("run", "--until-idle", environment=bound)
    assert ended.returncode == 0
    assert set(devices_of(queue, "runs")) == used
    assert f"CUDA_VISIBLE_DEVICES={given!r}" in ended.stdout


@pytest.mark.parametrize("given", ["-1", pytest.param("nonsense", marks=pytest.mark.slow)])
def test_a_manager_that_was_given_no_card_starts_nothing_on_one_and_says_so(queue: Queue, given: str) -> None:
    queue.write(row("gpu", "true"), row("cpu", 'test -z "$CUDA_VISIBLE_DEVICES"', gpus="0"))
    with queue.manager(environment={"CUDA_VISIBLE_DEVICES": given}) as manager:
        queue.await_status("cpu", "completed")
        eventually(lambda: "shows no GPU of this machine" in manager.said(), what="a word about it")
        assert not queue.attempts("gpu")


def test_two_managers_of_two_roots_never_share_a_card(tmp_path: Path, nvml: FakeNvml) -> None:
    leases = str(tmp_path / "leases")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with (
        queue_in(tmp_path / "first", environment=nvml.environment(), lease_folder=leases) as first,
        queue_in(tmp_path / "second", environment=nvml.environment(), lease_folder=leases) as second,
    ):
        for queue in (first, second):
            queue.write(row("runs", "sleep 0.2", seeds="0..2"))
        with first.manager("--poll", "0.05"), second.manager("--poll", "0.05"):
            first.await_status("runs", "completed")
            second.await_status("runs", "completed")
        assert not overlaps(first, second)


def overlaps(*queues: Queue) -> list[tuple[object, ...]]:
    """Return the pairs of attempts of different queues that were on one card at the same time."""
    query = "SELECT devices, start_unix_s, end_unix_s FROM attempts"
    spans = [(number, *span) for number, queue in enumerate(queues) for span in queue.ask(query)]
    return [
        (one, other)
        for one in spans
        for other in spans
        if one[0] < other[0] and one[1] == other[1] and one[2] < other[3] and other[2] < one[3]
    ]


def test_a_second_user_never_gets_a_card_that_is_leased(nvml: FakeNvml) -> None:
    interpreter = interpreter_of_a_second_user()
    with queue_for_module(environment=nvml.environment()) as mine, queue_for_module() as theirs:
        leases = mine.folder / "leases"
        leases.mkdir()
        leases.chmod(0o1777)
        for queue in (mine, theirs):
            queue.folder.chmod(0o755)
            queue.settings(lease_folder=str(leases))
        library = Path(nvml.environment()["LD_LIBRARY_PATH"])
        library.chmod(0o755)
        state = mine.folder / "nvml.state"
        state.write_text(World(two_cards()).text())
        shown = {"LD_LIBRARY_PATH": str(library), "FAKE_NVML_STATE": str(state)}
        mine.environment = shown
        theirs.environment = {**shown, "PYTHONPATH": os.pathsep.join(site.getsitepackages()), "HOME": "/"}
        os.chown(theirs.folder, NOBODY, NOBODY)
        mine.write(row("runs", UNTIL_TOLD))
        theirs.write(row("runs", "id -u; sleep 0.2", seeds="0..2"))
        os.chown(theirs.jobs, NOBODY, NOBODY)
        with mine.manager("--poll", "0.05"):
            mine.await_status("runs", "running")
            ended = theirs.command("run", "--until-idle", interpreter=interpreter, user=NOBODY)
            assert ended.returncode == 0, ended.stdout + ended.stderr
            (mine.folder / "go").touch()
            mine.await_status("runs", "completed")
        assert theirs.log("runs", seed=0) == str(NOBODY)
        assert not set(devices_of(mine, "runs")) & set(devices_of(theirs, "runs"))


def interpreter_of_a_second_user() -> str:
    """Return a Python that another user may run, too; skips the test where there is none."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    for name in (sys.executable, "/usr/bin/python3"):
        path = os.pathsep.join(site.getsitepackages())
        try:
            asked = subprocess.run(
                [name, "-c", "import sys, pydantic, typer; sys.exit(sys.version_info < (3, 11))"],
                user=NOBODY,
                cwd="/",
                env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
                capture_output=True,
                check=False,
            )
        except OSError:
            continue
        if asked.returncode == 0:
            return name
    pytest.skip("no Python that a second user could run")


def test_runs_that_declare_their_memory_share_a_card_as_far_as_it_goes(queue: Queue, nvml: FakeNvml) -> None:
    nvml.show(World((replace(two_cards()[0], total_mib=32_768),)))
    queue.write(row("shares", UNTIL_TOLD, seeds="0..2", gpu_mem="14G"))
    with queue.manager("--poll", "0.05"):
        eventually(lambda: len(queue.attempts("shares")) == 2, what="two on one card")
        why = eventually(lambda: queue.live()["why"].get("shares"), what="why the third one waits")
        assert "needs 14G of GPU memory" in why
        assert len(queue.attempts("shares")) == 2
        (queue.folder / "go").touch()
        queue.await_status("shares", "completed")
    assert devices_of(queue, "shares") == ["GPU-0000"] * 3


def test_auto_learns_from_the_first_seed_how_many_can_share(queue: Queue, nvml: FakeNvml) -> None:
    nvml.show(World(two_cards()[:1]))
    claims = 'echo "claim $CUDA_VISIBLE_DEVICES $$ 6000 compute" >> $FAKE_NVML_STATE; sleep 1.5'
    queue.write(row("learns", claims, seeds="0..3", gpu_mem="auto"))
    assert queue.run_until_idle().returncode == 0
    first, *others = [attempt["reserve_mib"] for attempt in queue.attempts("learns")]
    assert first is None, "alone, as nobody knows"
    assert len(set(others)) == 1
    assert 6000 < others[0] < 8192, "a little more than the peak, so that three share 24 GiB"
    starts = queue.ask("SELECT start_unix_s FROM attempts WHERE job = 'learns' ORDER BY number, rowid")
    assert starts[3][0] - starts[1][0] < 1.2, "the other three ran at the same time"


def test_eight_pretended_cards_are_filled_within_a_second(queue: Queue) -> None:
    queue.write(row("first", "true", gpus="0"))
    with queue.manager("--gpus", "sim:8x24G"):
        queue.await_status("first", "completed")
        queue.write(*queue.rows().values(), row("fill", "sleep 1", seeds="0..7"))
        saved_unix_s = queue.jobs.stat().st_mtime
        queue.await_status("fill", "completed")
    starts = [start for (start,) in queue.ask("SELECT start_unix_s FROM attempts WHERE job = 'fill'")]
    assert len(starts) == 8
    assert max(starts) - min(starts) < 1.0
    assert max(starts) - saved_unix_s < 2.0, "half a second on a machine at rest"


def test_the_first_matched_set_is_complete_before_the_second_seed_starts(queue: Queue) -> None:
    queue.write(
        row("s/late", "true", seeds="0..2"),
        row("s/ours", "true", seeds="0..2", conditions="plain tuned"),
    )
    assert queue.run_until_idle("--gpus", "sim:1x24G").returncode == 0
    order = [text.split()[0] for text in queue.events("starting")]
    sets = [
        {"s/late:0", "s/ours:0:plain", "s/ours:0:tuned"},
        {"s/late:1", "s/ours:1:plain", "s/ours:1:tuned"},
    ]
    assert [set(order[:3]), set(order[3:6])] == sets
