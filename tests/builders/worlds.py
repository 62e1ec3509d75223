"""Pretended jobs, cards and queues for the tests of the schedule. Sizes and durations are made up."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from hypothesis import strategies as st

from pkgs.jobqueue.schedule.fanout import resolve
from pkgs.jobqueue.schedule.plan import Candidate, Room, Snapshot
from pkgs.jobqueue.schedule.simulate import World
from pkgs.jobqueue.vocabulary import After, Alone, GpuMemory, Job, RunKey, Share

CARD_MIB = 24 * 1024


def chance(seed: int) -> random.Random:
    """Return a source of numbers that are the same in every test run."""
    return random.Random(seed)  # noqa: S311 - for made-up worlds, not for secrets


def cards(count: int, *, total_mib: int = CARD_MIB) -> list[Room]:
    """Return free cards `G0`, `G1` ... of one size."""
    return [Room(f"G{n}", total_mib, free_mib=total_mib, alone_ok=True, share_ok=True) for n in range(count)]


def taken(name: str, *, until: float | None = None, total_mib: int = CARD_MIB) -> Room:
    """Return a card that a run of ours has alone."""
    return Room(name, total_mib, 0, alone_ok=False, share_ok=False, busy_until_unix_s=until, ours=1)


def shared(name: str, *, free_mib: int, until: float | None = None, total_mib: int = CARD_MIB) -> Room:
    """Return a card that runs of ours share."""
    return Room(name, total_mib, free_mib, alone_ok=False, share_ok=True, busy_until_unix_s=until, ours=1)


def strangers(name: str) -> Room:
    """Return a card that somebody else uses."""
    return Room(name, CARD_MIB, 0, alone_ok=False, share_ok=False, returns=False)


def job(name: str, *, after: str = "", **fields: object) -> Job:
    """Return a job; `after` as in the column."""
    parents = tuple(
        After(
            word.partition(":")[0],
            all_runs=word.endswith((":all", ":ended")),
            end_is_enough=word.endswith(":ended"),
        )
        for word in after.split()
    )
    return Job(name, "train.py", after=parents, **fields)  # type: ignore[arg-type]


def table(*jobs: Job) -> dict[str, Job]:
    return {one.id: one for one in jobs}


def world(
    jobs: Mapping[str, Job], *, lengths_s: Mapping[str, float], rooms: Iterable[Room] = (), cpu_slots: int = 4
) -> World:
    """Return a queue at rest at time 0 in which every run of a job takes as long as named."""
    return World(0.0, resolve(jobs), tuple(rooms), cpu_slots, duration=lambda key: lengths_s.get(key.job))


def mixed_jobs(runs: int, *, seeds: int = 5, source: random.Random) -> dict[str, Job]:
    """Return jobs of many sizes, four to a study, the last of each study after the first."""
    sizes: list[tuple[int, GpuMemory]] = [
        (0, Alone()), (1, Alone()), (1, Alone()), (1, Share(6144)), (1, Share(8192)), (1, Share(20480)),
        (2, Alone()), (4, Alone()), (8, Alone()), (2, Share(8192)),
    ]  # fmt: skip
    jobs = {}
    for n in range(runs // seeds):
        gpus, memory = source.choice(sizes)
        name, first = f"s{n // 4}/j{n}", f"s{n // 4}/j{n - 3}"
        jobs[name] = job(
            name, seeds=tuple(range(seeds)), gpus=gpus, gpu_mem=memory, after=first if n % 4 == 3 else ""
        )
    return jobs


@st.composite
def random_rooms(draw: st.DrawFn) -> list[Room]:
    """Draw cards free, shared, taken, settling and in strangers' hands."""
    rooms = []
    for n in range(draw(st.integers(0, 5))):
        total = draw(st.sampled_from([16, 24]))
        kind = draw(st.sampled_from(["free", "shared", "taken", "settling", "strangers", "probation"]))
        until = draw(st.none() | st.integers(0, 3000))
        free = {"free": total, "probation": total, "shared": draw(st.integers(0, total))}.get(kind, 0)
        rooms.append(
            Room(
                f"G{n}",
                total,
                free,
                alone_ok=kind in {"free", "probation"},
                share_ok=kind in {"free", "shared", "probation"},
                busy_until_unix_s=until if kind in {"shared", "taken"} else None,
                ours=1 if kind in {"shared", "taken"} else 0,
                returns=kind != "strangers",
                probation=kind == "probation",
            )
        )
    return rooms


@st.composite
def random_candidates(draw: st.DrawFn) -> list[Candidate]:
    """Draw runs of all sizes, ages and priorities, sorted by order."""
    names = [f"G{n}" for n in range(5)]
    found = [
        Candidate(
            RunKey(f"j{row}"),
            (-draw(st.integers(0, 1)), draw(st.integers(0, 2)), row, 0),
            gpus=draw(st.integers(0, 3)),
            memory_mib=draw(st.none() | st.integers(1, 24)),
            ready_unix_s=draw(st.sampled_from([-9000, -8000, -700, -10, 0])),
            expected_s=draw(st.none() | st.integers(1, 3000)),
            avoid=draw(st.frozensets(st.sampled_from(names), max_size=2)),
            least_mib=draw(st.sampled_from([0, 0, 20])),
            listed_unix_s=draw(st.sampled_from([0.0, 1.0, 2.0])),
        )
        for row in range(draw(st.integers(0, 8)))
    ]
    return sorted(found, key=lambda candidate: candidate.order)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Draw a moment in the life of some queue, at time 0."""
    slots = draw(st.integers(0, 3))
    return Snapshot(
        0.0,
        draw(random_candidates()),
        draw(random_rooms()),
        cpu_slots_free=slots,
        cpu_slots=3,
        gpus_exist=draw(st.sampled_from([True, True, True, False])),
        paused=draw(st.sampled_from([None, None, None, "disk full"])),
    )
