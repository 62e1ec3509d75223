"""The measurements that every queue takes part in: no-op runs, add and status, footprint, kill -9.

Each starts the queue anew in a fresh folder. What is measured and how: docs/performance.md.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from benchmarks.arena import GATE, SECOND_GATE, Arena, Line, MeasureError, fresh_arena, gated, kill
from benchmarks.contestant import FAILED_CODE_UNTOLD, Contestant
from benchmarks.figures import Figures, percentile, slot_gaps
from benchmarks.footprint import command_line, cpu_s, name_and_parent, pss_mb, rss_mb

SLOTS: Final = 2
ROWS: Final = (100, 1_000, 10_000)
SETTLE_S: Final = 0.3
"""Between `the queue is full` and the opening of the gate: what the start stirred up shall be over."""
IDLE_S: Final = 20.0
CODES_S: Final = 2.0
"""After the last end: how long a queue may take to write it down."""
KILL_SLOTS: Final = 4
KILL_LINES: Final = (
    Line(1, GATE, 0), Line(2, GATE, 3), Line(3, SECOND_GATE, 0), Line(4, SECOND_GATE, 5),
    Line(5, "0", 0), Line(6, "0", 4), Line(7, "0", 0), Line(8, "0", 6),
)  # fmt: skip
"""Four run when the keeper is killed: two end while it is gone, two after its return. Four still wait."""


def measure_noop_runs(figures: Figures, contestant: Contestant, runs: int) -> None:
    """Time a list of no-op runs on two slots, from the moment at which both slots fall free."""
    lines = [*gated(SLOTS), *(Line(number) for number in range(SLOTS + 1, SLOTS + 1 + runs))]
    with _arena(contestant) as arena:
        handed_unix_s = time.time()
        contestant.start(arena, lines, slots=SLOTS)
        first = arena.await_starts(SLOTS).starts
        time.sleep(SETTLE_S)
        opened_unix_s = arena.open_gate()
        stamps = arena.await_ends(len(lines), limit_s=120)
        exits = read_exit_times(arena)
    ends = [end for group in stamps.ends.values() for end in group]
    gaps = slot_gaps([start for group in stamps.starts.values() for start in group], ends, slots=SLOTS)
    name = contestant.name
    figures.add(name, "noop.s_per_run", (max(ends) - opened_unix_s) / runs)
    figures.add(name, "noop.gap_median_s", percentile(gaps, 50))
    figures.add(name, "noop.gap_p99_s", percentile(gaps, 99))
    if len(lines) <= 500:  # adding them one by one would be a part of the time
        figures.add(name, "noop.first_start_s", min(min(first.values())) - handed_unix_s)
    if exits:
        own = slot_gaps([start for start, _ in exits], [end for _, end in exits], slots=SLOTS)
        figures.add(name, "exit_json.gap_median_s", percentile(own, 50))
        figures.add(name, "exit_json.gap_p99_s", percentile(own, 99))


def read_exit_times(arena: Arena) -> list[tuple[float, float]]:
    """Return start and end of every attempt, as our exit.json files tell them; none for peers."""
    found = arena.folder.glob("logs_and_checkpoints/**/attempts/*/exit.json")
    facts = [json.loads(path.read_text()) for path in found]
    return [(fact["start_unix_s"], fact["end_unix_s"]) for fact in facts]


def measure_verbs(figures: Figures, contestant: Contestant, arena: Arena, *, size: int, repeats: int) -> None:
    """Fill a queue whose slots are held, then time `add` and `status` beside it.

    The figures are named after `size`; a queue that takes fewer rows is given those, and a note says so.
    """
    rows = min(size, contestant.most_rows)
    fill(contestant, arena, rows)
    if rows < size:
        for verb in ("add", "status"):
            figures.note(contestant.name, f"{verb}_s.{size}", why=f"at {rows} rows")
    for index in range(repeats if contestant.has_verbs else 0):
        line = Line(rows + 1 + index)
        figures.add(contestant.name, f"add_s.{size}", arena.time_call(contestant.add_words(arena, line)))
        figures.add(contestant.name, f"status_s.{size}", arena.time_call(contestant.status_words(arena)))


def fill(contestant: Contestant, arena: Arena, rows: int) -> None:
    """Start the queue with so many lines in all, its slots held by the first."""
    lines = [*gated(SLOTS), *(Line(number) for number in range(SLOTS + 1, rows + 1))]
    contestant.start(arena, lines, slots=SLOTS)
    arena.await_starts(SLOTS)
    time.sleep(SETTLE_S)


def measure_rows_and_footprint(
    figures: Figures, contestants: Sequence[Contestant], *, repeats: int, say: Callable[[str], None]
) -> None:
    """Time the verbs at each size; the largest queue of each stays and is then watched while all are idle."""
    with ExitStack() as stack:
        kept: list[tuple[Contestant, Arena]] = []
        for contestant in filter(lambda c: c.rests, contestants):
            for size in sizes_for(contestant):
                say(f"{contestant.name}: {size:,} rows")
                arena = stack.enter_context(_arena(contestant))
                act = partial(measure_verbs, figures, contestant, arena, size=size, repeats=repeats)
                done = guarded(figures, contestant, f"add_s.{size}", act)
                if done and size == sizes_for(contestant)[-1]:
                    kept.append((contestant, arena))
                    figures.add(contestant.name, "idle.rows", min(size, contestant.most_rows))
                else:
                    arena.close()
        say(f"all idle for {IDLE_S:g} s")
        watch_idle(figures, kept, repeats=repeats)


def sizes_for(contestant: Contestant) -> list[int]:
    """Return the table sizes that it is measured at; without verbs only the largest, for its footprint."""
    enough = next((rows for rows in ROWS if rows >= contestant.most_rows), ROWS[-1])
    sizes = [rows for rows in ROWS if rows <= enough]
    return sizes if contestant.has_verbs else sizes[-1:]


def watch_idle(figures: Figures, kept: Sequence[tuple[Contestant, Arena]], *, repeats: int) -> None:
    """Note memory, then CPU time over `IDLE_S` in as many windows as there are repeats."""
    watched = [(contestant, queue_processes(arena)) for contestant, arena in kept]
    for contestant, pids in watched:
        figures.add(contestant.name, "idle.memory_mb", pss_mb(pids))
        figures.add(contestant.name, "idle.processes", len(pids))
    for contestant, arena in kept:
        shims = [pid for pid in arena.processes() if "shim" in command_line(pid).partition(" -S ")[2][:200]]
        if shims:
            figures.add(contestant.name, "shim.pss_mb", *(pss_mb([pid]) for pid in shims))
            figures.add(contestant.name, "shim.rss_mb", *(rss_mb([pid]) for pid in shims))
            keepers = contestant.keepers(arena)
            figures.add(contestant.name, "manager.pss_mb", pss_mb(keepers))
            figures.add(contestant.name, "manager.rss_mb", rss_mb(keepers))
    for _ in range(repeats):
        before = [(cpu_s(pids), time.monotonic()) for _, pids in watched]
        time.sleep(IDLE_S / repeats)
        for (contestant, pids), (cpu_before_s, since_s) in zip(watched, before, strict=True):
            share = (cpu_s(pids) - cpu_before_s) / (time.monotonic() - since_s)
            figures.add(contestant.name, "idle.cpu_percent", 100 * share)


def queue_processes(arena: Arena) -> list[int]:
    """Return the processes of the queue itself, without the jobs."""
    return [pid for pid in arena.processes() if name_and_parent(pid)[0] not in ("job", "sleep")]


def measure_kill(figures: Figures, contestant: Contestant) -> None:
    """Kill -9 what keeps the queue while four run, start it again, and compare with what should have been."""
    with _arena(contestant, slots=KILL_SLOTS) as arena:
        contestant.start(arena, KILL_LINES, slots=KILL_SLOTS)
        arena.await_starts(KILL_SLOTS)
        time.sleep(SETTLE_S)
        keepers = contestant.keepers(arena)
        if not keepers:
            raise MeasureError("the process that keeps the queue was not found")
        for pid in keepers:
            kill(pid)
        arena.open_gate(GATE)
        arena.await_quiet(2, quiet_s=0.5)
        arena.reap()
        contestant.restart(arena, slots=KILL_SLOTS)
        time.sleep(SETTLE_S)
        arena.open_gate(SECOND_GATE)
        stamps = arena.await_quiet(len(KILL_LINES), quiet_s=contestant.quiet_s)
        codes = _settled_codes(contestant, arena, len(stamps.ends))
    name = contestant.name
    figures.add(name, "kill.lost", sum(line.number not in stamps.ends for line in KILL_LINES))
    figures.add(name, "kill.doubled", sum(len(starts) > 1 for starts in stamps.starts.values()))
    if codes is None:
        figures.note(name, "kill.wrong_code", why="tells none")
        return
    ended = [line for line in KILL_LINES if line.number in stamps.ends]
    figures.add(
        name, "kill.wrong_code", sum(not is_right(codes.get(line.number), line.code) for line in ended)
    )


def _settled_codes(contestant: Contestant, arena: Arena, ended: int) -> dict[int, int] | None:
    """Return what the queue tells, once it tells all ends or has had time to write them down."""
    deadline_s = time.monotonic() + CODES_S
    while (
        (codes := contestant.codes(arena)) is not None
        and len(codes) < ended
        and time.monotonic() < deadline_s
    ):
        time.sleep(0.1)
    return codes


def is_right(told: int | None, truth: int) -> bool:
    """Tell whether a queue knows how a run ended; `failed` without a number is right for any failure."""
    return told == truth or (told == FAILED_CODE_UNTOLD and truth != 0)


def guarded(figures: Figures, contestant: Contestant, measure: str, /, act: Callable[[], None]) -> bool:
    """Carry out one measurement; one that fails is noted with its reason, and the benchmark goes on."""
    try:
        act()
    except (MeasureError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        figures.note(contestant.name, measure, why=f"failed: {error}")
        return False
    return True


@contextmanager
def _arena(contestant: Contestant, *, slots: int = SLOTS) -> Iterator[Arena]:
    """Give a fresh arena in which the contestant's variables are set; they may name its folder."""
    with fresh_arena(lambda folder: contestant.variables(folder, slots=slots)) as arena:
        yield arena
