"""What only our queue is measured for: edit to effect, large tables, pretended GPUs, a long history."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.arena import Arena, Line, MeasureError, fresh_arena, kill
from benchmarks.catalog import OURS
from benchmarks.figures import Figures
from benchmarks.ours import append_row, job_id, state_file, write_settings, write_table
from pkgs.jobqueue.state.records import Attempt, AttemptState, Event
from pkgs.jobqueue.state.state import State
from pkgs.jobqueue.vocabulary import RunKey

NAME: Final = OURS.name
EDITS: Final = 8
"""Per repeat; forty in a whole benchmark."""
HISTORY: Final = 100_000
HISTORY_ROWS: Final = 10_000
HEAVY: Final = ("torch", "numpy", "pandas")
HOLD_S: Final = "600"
PROBE: Final = "import sys, pkgs.jobqueue; print(sum(name in sys.modules for name in sys.argv[1:]))"


def measure_edits(figures: Figures) -> None:
    """Save a row beside a manager that has nothing to do, and wait until its process stamps its start."""
    with fresh_arena() as arena:
        write_settings(arena)
        write_table(arena, [Line(1)])
        OURS.run(arena, "--gpus", "none", slots=2)
        arena.await_ends(1)
        delays_s = []
        for number in range(2, 2 + EDITS):
            # After the manager's last word on the run before, and at any moment between two of its looks.
            time.sleep(0.6 + random.random() * 0.3)  # noqa: S311
            append_row(arena, Line(number))
            saved_unix_s = time.time()
            starts = arena.await_ends(number).starts
            delays_s.append(starts[number][0] - saved_unix_s)
    figures.add(NAME, "edit_to_effect_s", *delays_s)


def measure_small_status(figures: Figures, *, repeats: int) -> None:
    """Time `status` with ten rows and no manager."""
    with fresh_arena() as arena:
        write_settings(arena)
        write_table(arena, [Line(number) for number in range(1, 11)])
        figures.add(
            NAME, "status_small_s", *(arena.time_call(OURS.status_words(arena)) for _ in range(repeats))
        )


def measure_start(figures: Figures, rows: int) -> None:
    """Time the manager from its start as a program to the first process of a table that it never saw."""
    with fresh_arena() as arena:
        write_settings(arena)
        write_table(arena, _one_runs(rows))
        figures.add(NAME, f"start_s.{rows}", time_of_start(arena, expect=1))


def time_of_start(arena: Arena, *, expect: int) -> float:
    """Start a manager on one slot and return the seconds until the next job stamps its start."""
    begin_unix_s = time.time()
    OURS.run(arena, "--gpus", "none", slots=1)
    starts = arena.await_starts(expect, limit_s=120).starts
    return max(moment for group in starts.values() for moment in group) - begin_unix_s


def measure_pretended_gpus(figures: Figures) -> None:
    """Save eight rows beside a manager at rest with eight pretended GPUs, and wait until all run."""
    with fresh_arena() as arena:
        write_settings(arena)
        write_table(arena, [])
        OURS.run(arena, "--gpus", "sim:8x24G", slots=1)
        live = arena.folder / "logs_and_checkpoints" / "queue" / "live.json"
        _await(live.exists)
        time.sleep(1.0)
        write_table(arena, [Line(number, HOLD_S) for number in range(1, 9)], gpus=1)
        saved_unix_s = time.time()
        starts = [group[0] for group in arena.await_starts(8).starts.values()]
    figures.add(NAME, "gpus_filled_s", max(starts) - saved_unix_s)


def measure_history(figures: Figures, *, repeats: int) -> None:
    """Time start, `status` and `add` on 10,000 rows, in turn without and with 100,000 ended attempts."""
    with fresh_arena() as young, fresh_arena() as old:
        for arena in (young, old):
            write_settings(arena)
            write_table(arena, _one_runs(HISTORY_ROWS))
            time_of_start(arena, expect=1)  # the first start also writes 10,000 rows into its state
            _stop(arena)
        add_history(state_file(old), jobs=HISTORY_ROWS, attempts=HISTORY)
        for number in range(HISTORY_ROWS + 1, HISTORY_ROWS + 1 + repeats):
            line = Line(number, HOLD_S)
            for when, arena in (("before", young), ("after", old)):
                figures.add(NAME, f"history.add_s.{when}", arena.time_call(OURS.add_words(arena, line)))
                figures.add(NAME, f"history.status_s.{when}", arena.time_call(OURS.status_words(arena)))
                figures.add(NAME, f"history.start_s.{when}", _time_of_restart(arena))
    for verb in ("add", "status", "start"):
        samples = [figures.samples[f"{NAME}.history.{verb}_s.{when}"] for when in ("before", "after")]
        ratios = [after / before for before, after in zip(*samples, strict=True)]
        figures.add(NAME, f"history.{verb}_ratio", *ratios)


def add_history(path: Path, *, jobs: int, attempts: int) -> None:
    """Write ended attempts and their events into a state that no manager holds, as a long life would have."""
    state = State.open(path)
    with state.transaction():
        state.save_attempts(_ended(jobs, attempts))
        for number in range(attempts):
            state.note(
                Event(float(number), "completed", "an old run completed", job=job_id(3 + number % jobs))
            )
    state.close()


def measure_imports(figures: Figures) -> None:
    """Count the heavy libraries that `import pkgs.jobqueue` loads in a fresh interpreter."""
    root = Path(__file__).parents[1]
    words = [sys.executable, "-c", PROBE, *HEAVY]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True)
    figures.add(NAME, "heavy_imports", int(done.stdout))


def own_steps(figures: Figures, *, repeats: int) -> Sequence[tuple[str, Callable[[], None]]]:
    """Return name and act of each measurement, in order."""
    steps: list[tuple[str, Callable[[], None]]] = [
        ("imports", lambda: measure_imports(figures)),
        ("status of a small queue", lambda: measure_small_status(figures, repeats=repeats)),
    ]
    for index in range(repeats):
        of = f"{index + 1} of {repeats}"
        steps += [
            (f"edit to effect, {of}", lambda: measure_edits(figures)),
            (f"8 pretended GPUs, {of}", lambda: measure_pretended_gpus(figures)),
            (f"start with 10,000 rows, {of}", lambda: measure_start(figures, 10_000)),
            (f"start with 100,000 rows, {of}", lambda: measure_start(figures, 100_000)),
        ]
    return [*steps, ("100,000 ended attempts", lambda: measure_history(figures, repeats=repeats))]


def _one_runs(rows: int) -> list[Line]:
    """Return a table on which one slot stays busy with the first row."""
    return [Line(number, HOLD_S) for number in range(1, rows + 1)]


def _time_of_restart(arena: Arena) -> float:
    """Start a manager that finds its one run alive, and return the seconds to its first whole turn."""
    live = arena.folder / "logs_and_checkpoints" / "queue" / "live.json"
    live.unlink(missing_ok=True)
    begin_s = time.perf_counter()
    OURS.run(arena, "--gpus", "none", slots=1)
    _await(live.exists)
    passed_s = time.perf_counter() - begin_s
    _stop(arena)
    return passed_s


def _stop(arena: Arena) -> None:
    for pid in OURS.keepers(arena):
        kill(pid)
    _await(lambda: not Path(f"/proc/{OURS.keepers(arena)[0]}/status").exists() or _reaped(arena))


def _reaped(arena: Arena) -> bool:
    arena.reap()
    return False


def _await(true: Callable[[], bool], *, limit_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > deadline_s:
            raise MeasureError(f"what was waited for did not come within {limit_s:g} s")
        time.sleep(0.005)


def _ended(jobs: int, attempts: int) -> Iterator[Attempt]:
    for number in range(attempts):
        key = RunKey(job_id(3 + number % jobs))
        yield Attempt(
            f"old{number:013d}", key, 1000 + number // jobs, (), 1, None, float(number), AttemptState.ENDED,
            start_unix_s=float(number), end_unix_s=number + 1.0, code=0, peak_rss_bytes=10_000_000, cpu_s=0.5,
        )  # fmt: skip
