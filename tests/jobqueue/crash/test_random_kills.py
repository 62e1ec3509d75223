"""The manager is killed -9 at random, again and again: nothing lost, nothing doubled, every end is true."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders.queues import Job, Manager, Queue, check_all, queue_of

JOBS = (
    Job("quick", 0, seeds=(0, 1, 2)),
    Job("slow", 0.3, seeds=(0, 1)),
    Job("long", 1.5),
    Job("three", 0.1, "exit 3"),
    Job("crash", 0.15, "die SEGV"),
    Job("killed", 0.05, "die KILL"),
    Job("weak", 0.1, weak=1, seeds=(0, 1)),
    Job("child", 0.05, seeds=(0, 1), after="slow"),
    Job("grandchild", 0.0, after="child:all"),
    Job("weaker", 0.0, weak=3, retries=2),
)
ON_CARDS = (
    Job("alone", 0.3, seeds=(0, 1, 2), gpus=1),
    Job("weak", 0.2, weak=1, gpus=1),
    Job("both", 0.1, gpus=2),
    Job("cpu", 0.1, seeds=(0, 1)),
)


@dataclass
class Tally:
    """What the kills have hit, so that a test that hit nothing cannot pass."""

    kills: int = 0
    with_active: int = 0
    """Kills while an attempt was written down and not yet ended."""
    ended_alone: int = 0
    """Runs that ended while no manager lived."""
    adopted: int = 0


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_or_doubled_when_the_manager_is_killed_at_random(tmp_path: Path, seed: int) -> None:
    tally = Tally()
    with queue_of(tmp_path, JOBS) as queue:
        kill_and_restart(queue, chance_of(seed), tally, kills=8)
    assert tally.kills >= 4  # the queue may have ended before the eighth
    assert tally.ended_alone > 0


def test_no_pretended_card_is_given_twice_when_the_manager_is_killed_at_random(tmp_path: Path) -> None:
    tally = Tally()
    with queue_of(tmp_path, ON_CARDS, slots=1, gpus="sim:2x24G") as queue:
        kill_and_restart(queue, chance_of(3), tally, kills=5)
        cards = {card for row in queue.attempts().values() for card in row["devices"].split()}
    assert len(cards) == 2
    assert tally.with_active > 0


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_in_200_random_kills(tmp_path: Path) -> None:
    tally = Tally()
    seed = 0
    while tally.kills < 200:
        seed += 1
        with queue_of(tmp_path / str(seed), JOBS) as queue:
            kill_and_restart(queue, chance_of(seed), tally, kills=8)
    print(tally)  # noqa: T201 - the figures of the proof, shown by `pytest -s`
    assert min(tally.with_active, tally.ended_alone, tally.adopted) > 0


def chance_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - moments, not secrets


def kill_and_restart(queue: Queue, chance: random.Random, tally: Tally, *, kills: int) -> None:
    """Run the queue to its end with so many kills on the way, then compare all accounts."""
    killed_unix_s: list[tuple[float, float]] = []
    done = 0
    while done < kills:
        manager = queue.start()
        if killed_unix_s:
            killed_unix_s[-1] = (killed_unix_s[-1][0], time.time())
        moment_of(queue, manager, chance)
        if manager.process.poll() is not None:
            break  # everything has ended before the last kill
        manager.kill()
        done += 1
        killed_unix_s.append((time.time(), time.time()))
        tally.with_active += bool(active(queue))
        time.sleep(chance.choice((0.0, 0.0, 0.1, 0.4)))
    code = queue.run_to_end()
    check_all(queue, exit_code=code)
    tally.kills += done
    ends = [record["end_unix_s"] for record in queue.exits().values()]
    tally.ended_alone += sum(gone < end < back for gone, back in killed_unix_s for end in ends)
    tally.adopted += len(queue.ask("SELECT 1 FROM events WHERE kind = 'adopted'"))


def moment_of(queue: Queue, manager: Manager, chance: random.Random) -> None:
    """Wait for the moment of the kill: any, or shortly after the jobs have written something."""
    ledger = queue.folder / "ledger"
    lines = chance.randrange(4)
    size = ledger.stat().st_size + 40 * lines
    deadline_s = time.monotonic() + 3.0
    while lines and time.monotonic() < deadline_s and manager.process.poll() is None:
        if ledger.stat().st_size >= size:
            break
        time.sleep(0.001)
    time.sleep(chance.random() * (0.03 if lines else 0.6))


def active(queue: Queue) -> int:
    made = queue.state.exists() and queue.ask("SELECT 1 FROM sqlite_master WHERE name = 'attempts'")
    return len(queue.ask("SELECT 1 FROM attempts WHERE state = 'starting'")) if made else 0
