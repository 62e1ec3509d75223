"""Leases between real processes and users; the kernel's locks are not pretended."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pkgs.jobqueue.devices.leases import UNKNOWN_OWNER, Held, LeaseError, Leases, Owner, default_folder

ROOT = Path(__file__).parents[3]
ANNA = Owner("root-anna", host="here", uid=1000, user="anna", pid=4711, since_unix_s=1e9)
BERT = Owner("root-bert", host="here", uid=1001, user="bert", pid=4712, since_unix_s=1e9)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder as in /run/lock: every user may write there, unlike in pytest's own folders."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="leases_") as name:
        path = Path(name)
        path.chmod(0o1777)
        yield path / "queuemanager"


@pytest.fixture
def leases(folder: Path) -> Leases:
    return Leases(folder)


def taken(answer: int | Held) -> int:
    assert isinstance(answer, int), answer
    return answer


def refused(answer: int | Held) -> Held:
    assert isinstance(answer, Held), answer
    return answer


def test_a_lease_keeps_other_queues_out_until_it_is_closed(leases: Leases) -> None:
    lease = taken(leases.acquire("GPU-a", ANNA, alone=False))
    assert (
        "the queue of anna (process 4711 on here, since"
        in refused(leases.acquire("GPU-a", BERT, alone=False)).why
    )
    assert leases.holder("GPU-a") == ANNA
    os.close(lease)
    assert leases.holder("GPU-a") is None
    os.close(taken(leases.acquire("GPU-a", BERT, alone=False)))


def test_other_cards_are_not_concerned(leases: Leases) -> None:
    lease = taken(leases.acquire("GPU-a", ANNA, alone=True))
    assert leases.holder("GPU-b") is None
    os.close(taken(leases.acquire("GPU-b", BERT, alone=True)))
    os.close(lease)


def test_attempts_of_one_queue_may_share_and_the_last_one_frees_the_card(leases: Leases) -> None:
    first = taken(leases.acquire("GPU-a", ANNA, alone=False))
    second = taken(leases.acquire("GPU-a", ANNA, alone=False))
    os.close(first)
    assert refused(leases.acquire("GPU-a", BERT, alone=False)).by == ANNA
    os.close(second)
    os.close(taken(leases.acquire("GPU-a", BERT, alone=False)))


@pytest.mark.parametrize(("first_alone", "second_alone"), [(True, False), (False, True), (True, True)])
def test_an_attempt_that_wants_to_be_alone_shares_with_nobody(
    leases: Leases, *, first_alone: bool, second_alone: bool
) -> None:
    lease = taken(leases.acquire("GPU-a", ANNA, alone=first_alone))
    assert refused(leases.acquire("GPU-a", ANNA, alone=second_alone)).by is not None
    os.close(lease)


def test_prefixes_keep_the_pretended_cards_of_two_roots_apart(folder: Path) -> None:
    one, two = Leases(folder, prefix="root1-"), Leases(folder, prefix="root2-")
    first, second = (
        taken(it.acquire("SIM-0", owner, alone=True)) for it, owner in ((one, ANNA), (two, BERT))
    )
    same = Leases(folder, prefix="root1-").acquire("SIM-0", BERT, alone=True)

    assert refused(same).by is not None
    os.close(first)
    os.close(second)


def test_the_lease_goes_on_in_the_attempt_when_the_manager_has_closed_it(leases: Leases) -> None:
    lease = taken(leases.acquire("GPU-a", ANNA, alone=True))
    with subprocess.Popen(["sleep", "600"], pass_fds=[lease]) as shim:
        os.close(lease)
        holder = leases.holder("GPU-a")
        shim.send_signal(signal.SIGKILL)

    assert holder == replace(ANNA, alone=True)
    assert leases.holder("GPU-a") is None


def test_asking_who_holds_a_card_never_frees_or_takes_it(leases: Leases) -> None:
    lease = taken(leases.acquire("GPU-a", ANNA, alone=False))
    for _ in range(100):
        leases.holder("GPU-a")
        leases.holder("GPU-b")
    refused(leases.acquire("GPU-a", BERT, alone=False))
    os.close(taken(leases.acquire("GPU-b", BERT, alone=True)))
    os.close(lease)


HOLD = """
import time
from pathlib import Path
answer = Leases(Path(sys.argv[1])).acquire("GPU-a", Owner("other", user="carl"), alone=True)
print(isinstance(answer, int), flush=True)
time.sleep(600)
"""


BECOME = """
import os, sys
from pkgs.jobqueue.devices.leases import LeaseError, Leases, Owner
if os.getuid() == 0 and int(sys.argv[2]):  # only now: the interpreter may lie where others cannot read
    os.setgroups([]), os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[2]))
"""


@contextmanager
def run_as(user: int, code: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that becomes another user where it may, and is gone at the end."""
    command = [sys.executable, "-c", BECOME + code, str(folder), str(user)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_holder_that_is_killed_holds_nothing(leases: Leases, folder: Path) -> None:
    with run_as(os.getuid(), HOLD, folder) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert refused(leases.acquire("GPU-a", ANNA, alone=True)).by == Owner(
            "other", user="carl", alone=True
        )
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    os.close(taken(leases.acquire("GPU-a", ANNA, alone=True)))


def test_a_stopped_holder_still_holds_and_stops_nobody_else(leases: Leases, folder: Path) -> None:
    with run_as(os.getuid(), HOLD, folder) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.send_signal(signal.SIGSTOP)
        refused(leases.acquire("GPU-a", ANNA, alone=True))
        os.close(taken(leases.acquire("GPU-b", ANNA, alone=True)))


RACE = """
import time
from pathlib import Path
folder, me = Path(sys.argv[1]), sys.argv[2]
leases = Leases(folder / "queuemanager")
assert os.getuid() == int(me)
print("ready", flush=True)
for turn in range(100):
    start = folder / f"start{turn}"
    while not start.exists(): time.sleep(0.0005)
    answer = leases.acquire(f"GPU-{turn}", Owner(f"root-{me}", user=me), alone=False)
    print(isinstance(answer, int), flush=True)  # kept open until the process ends
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start processes of two other users")
def test_two_users_never_get_the_same_card_in_100_simultaneous_tries(folder: Path) -> None:
    with ExitStack() as stack:
        racers = [stack.enter_context(run_as(user, RACE, folder.parent)) for user in (65_533, 65_534)]
        outs = [racer.stdout for racer in racers if racer.stdout is not None]
        assert [out.readline() for out in outs] == ["ready\n"] * 2
        winners = []
        for turn in range(100):
            (folder.parent / f"start{turn}").touch()
            winners.append([out.readline() for out in outs].count("True\n"))

    assert winners == [1] * 100
    assert folder.stat().st_mode & 0o7777 == 0o1777
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666}


def test_two_managers_never_get_the_same_card_in_100_simultaneous_tries(leases: Leases) -> None:
    def attempt(owner: Owner, turn: int) -> int | Held:
        return leases.acquire(f"GPU-{turn}", owner, alone=True)

    with ThreadPoolExecutor(4) as pool:
        answers = [
            [pool.submit(attempt, owner, turn) for owner in (ANNA, BERT, ANNA, BERT)] for turn in range(100)
        ]
        won = [[it.result() for it in four if isinstance(it.result(), int)] for four in answers]

    assert [len(four) for four in won] == [1] * 100
    for four in won:
        os.close(taken(four[0]))


def test_a_guard_that_somebody_keeps_stops_us_for_a_moment_only(leases: Leases, folder: Path) -> None:
    os.close(taken(leases.acquire("GPU-a", ANNA, alone=True)))
    with (folder / "GPU-a.guard").open("r+") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        start_s = time.monotonic()
        assert refused(leases.acquire("GPU-a", BERT, alone=True)).by is None
        assert leases.holder("GPU-a") == UNKNOWN_OWNER
        assert time.monotonic() - start_s < 3
    os.close(taken(leases.acquire("GPU-a", BERT, alone=True)))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"root_id": 1}', b"\xff" * 9000])
def test_a_lease_with_an_unreadable_owner_is_still_held(leases: Leases, folder: Path, content: bytes) -> None:
    lease = taken(leases.acquire("GPU-a", ANNA, alone=False))
    (folder / "GPU-a.lease").write_bytes(content)

    assert refused(leases.acquire("GPU-a", ANNA, alone=False)).by == UNKNOWN_OWNER
    assert "the queue of somebody" in UNKNOWN_OWNER.words()
    os.close(lease)


def test_an_owner_written_by_a_stranger_cannot_disturb_the_screen(leases: Leases, folder: Path) -> None:
    lease = taken(leases.acquire("GPU-a", ANNA, alone=True))
    path = folder / "GPU-a.lease"
    path.write_text(json.dumps({**json.loads(path.read_text()), "user": "\x1b[2J" + "x" * 500}))
    held = refused(leases.acquire("GPU-a", BERT, alone=True))
    os.close(lease)

    assert "\x1b" not in held.why
    assert len(held.why) < 200


def hang_a_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def lay_a_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("trap", [hang_a_link, lay_a_pipe, make_a_folder])
def test_a_trap_in_place_of_a_lease_is_refused_with_a_sentence(
    leases: Leases, folder: Path, trap: Callable[[Path], None]
) -> None:
    os.close(taken(leases.acquire("GPU-b", ANNA, alone=True)))
    trap(folder / "GPU-a.lease")

    with pytest.raises(LeaseError, match=r"GPU-a\.lease .*(cannot be used|is not a plain file).* Remove it"):
        leases.acquire("GPU-a", ANNA, alone=True)


def test_a_lease_folder_that_is_none_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(LeaseError, match=r"lease file .*|lease folder"):
        Leases(tmp_path / "file" / "queuemanager").acquire("GPU-a", ANNA, alone=True)


ASK_AS_OTHER = """
from pathlib import Path
try:
    Leases(Path(sys.argv[1])).acquire("GPU-a", Owner("other"), alone=True)
except LeaseError as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
def test_a_folder_closed_to_others_tells_them_what_to_do(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    with run_as(65_534, ASK_AS_OTHER, folder) as other:
        said, _ = other.communicate(timeout=20)

    assert "chmod 1777" in said
    assert "lease_folder" in said


def test_refreshing_makes_the_files_young(leases: Leases, folder: Path) -> None:
    os.close(taken(leases.acquire("GPU-a", ANNA, alone=True)))
    for path in folder.iterdir():
        os.utime(path, (0, 0))
    leases.refresh("GPU-a")
    leases.refresh("GPU-never-seen")

    assert all(time.time() - path.stat().st_mtime < 60 for path in folder.iterdir())


def test_odd_names_of_devices_become_plain_file_names(leases: Leases, folder: Path) -> None:
    os.close(taken(leases.acquire("MIG-GPU-a/1/0", ANNA, alone=True)))

    assert {path.name for path in folder.iterdir()} == {"MIG-GPU-a_1_0.lease", "MIG-GPU-a_1_0.guard"}


def test_the_default_folder_is_one_that_all_users_share(tmp_path: Path) -> None:
    shared, private = tmp_path / "shared", tmp_path / "private"
    shared.mkdir()
    shared.chmod(0o1777)
    private.mkdir(mode=0o755)

    assert default_folder(preferred=shared, fallback=tmp_path) == shared / "queuemanager"
    assert default_folder(preferred=private, fallback=tmp_path) == tmp_path / "queuemanager"
    assert default_folder(preferred=tmp_path / "none", fallback=tmp_path) == tmp_path / "queuemanager"
