"""The step that takes in what users changed in Jobs.csv, and the orders that commands have left."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from pkgs.jobqueue.manager.book import Entry, reopened
from pkgs.jobqueue.schedule.rooms import infeasible
from pkgs.jobqueue.state.records import Active, Event, JobRecord, Run
from pkgs.jobqueue.state.untold import note_told, untold_words
from pkgs.jobqueue.vocabulary import JobStatus, Wish

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pkgs.jobqueue.manager.engine import Engine
    from pkgs.jobqueue.table.jobs_file import RowNews, TableNews

log = logging.getLogger(__name__)

FROM_ELSEWHERE: Final = (
    "the status {word!r} came with the file, but this root knows nothing of the job: write `open` to run it, "
    "`completed` to count it as done"
)
FROM_A_MANAGER: Final = ("running", "failed", "cancelled")
"""Words that only a manager writes: in a row that this root has never seen, nobody knows what they mean."""


def is_from_elsewhere(note: str) -> bool:
    """Tell whether a job is held only because nobody knew where its status came from."""
    return note in [FROM_ELSEWHERE.format(word=word) for word in FROM_A_MANAGER]


MOST_REFUSALS: Final = 20
"""Events for bad rows at one look at the table; `check` lists them all."""
NOTED_AT_ONCE: Final = 400
"""Jobs whose code is noted in one turn."""


@dataclass(slots=True)
class _Following:
    """What follows from news of the table."""

    entries: list[Entry] = field(default_factory=list)
    """Of rows that the queue has not known before."""
    records: dict[str, JobRecord] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def take_in_table(engine: Engine) -> None:
    """Re-read Jobs.csv if it has changed, and take over what users have written.

    What a row says is remembered in one transaction with what follows from it: a manager killed between the
    two would know the word `hold` for ever, and run the job.

    Raises:
        sqlite3.OperationalError: If it cannot be saved; the next call reads the table anew.
    """
    try:
        with engine.state.transaction():
            news = engine.jobs_file.reread(engine.clock.monotonic_s())
            if news is None:
                return
            engine.table_problem = news.problem
            if news.problem is not None:
                engine.events.append(engine.say("table", news.problem))
                return
            following = _follow_table(engine, news)
            note_told(engine.state)
            engine.save(jobs=following.records.values(), runs=following.runs, events=following.events)
    except (sqlite3.OperationalError, OSError):
        engine.read_table_anew()
        raise
    engine.book.entries.update((entry.id, entry) for entry in following.entries)
    engine.take_over(jobs=following.records.values(), events=following.events)
    _check_feasible(engine)
    refused = {row.id: row.line for row in news.rows if row.job is None and row.id}
    engine.book.set_table(refused, now_unix_s=engine.clock.unix_s())
    engine.take_over(runs=following.runs)
    engine.book.note_changed(engine.book.entries)


def _follow_table(engine: Engine, news: TableNews) -> _Following:
    found = _Following()
    changed_rows = {row.id: row for row in news.changed}
    untold = untold_words(engine.state)
    for place, plain in enumerate(news.rows):
        if not plain.id:
            continue  # refused as a whole: its message says why
        heard = changed_rows.get(plain.id, plain)
        entry = engine.book.entries.get(plain.id)
        row = _with_unheard(heard, untold=untold, is_known=entry is not None)
        if entry is None:
            entry = Entry(row.id, JobRecord(row.id), listed_unix_s=engine.clock.unix_s())
            found.entries.append(entry)
            found.records[row.id] = entry.record
        if row.is_new or entry.removed:
            word = plain.cells.status
            entry.first_shown = word if word in list(JobStatus) else Wish.OPEN.value
        entry.row, entry.line, entry.removed = place, row.line, False
        entry.job = row.job
        if heard is not plain:
            entry.doubt = row.in_doubt or ""
        entry.refused = " ".join(str(error) for error in row.errors)
        if row.job is not None and not entry.record.digests:
            engine.book.without_digests.add(row.id)
        if row.status_edit is not None or row.is_new:
            record, changed = _follow(entry, row)
            if record.wish is Wish.RERUN:
                engine.book.to_rerun.add(row.id)
            if record != entry.record:
                found.records[row.id] = record
                found.events.append(
                    engine.say("edited", f"{row.id}: status {row.status_edit!r} taken over", job=row.id)
                )
            found.runs.extend(changed)
    for row in [row for row in news.changed if row.errors][:MOST_REFUSALS]:
        found.events.append(engine.say("refused", str(row.errors[0]), job=row.id))
    for gone in news.removed:
        entry = engine.book.entries.get(gone)
        if entry is not None and not entry.removed:
            entry.removed = True
            found.events.append(
                engine.say("removed", f"{gone} is no longer in the table; what runs may end", job=gone)
            )
    return found


def _with_unheard(row: RowNews, *, untold: Mapping[str, str], is_known: bool) -> RowNews:
    """Return the row with what an earlier manager had read in it, and died before it acted on it."""
    if row.is_new:
        return row
    if not is_known:
        word = row.cells.status or Wish.OPEN.value
        return replace(row, is_new=True, status_edit=word if word in list(Wish) else None)
    unheard = untold.get(row.id)
    spoken_since = row.status_edit is not None or row.in_doubt is not None
    if unheard is None or spoken_since or row.cells.status != unheard:
        return row
    return replace(row, status_edit=unheard)


def _follow(entry: Entry, row: RowNews) -> tuple[JobRecord, list[Run]]:
    """Return the job's record and runs after the user wrote a word into its status."""
    record = entry.record
    word = row.status_edit or row.cells.status
    if row.is_new and word in FROM_A_MANAGER and not entry.runs:
        return replace(record, wish=Wish.HOLD, note=FROM_ELSEWHERE.format(word=word)), []
    match row.status_edit:
        case "open":
            changed = [reopened(run) for run in entry.runs.values()]
            fresh = replace(record, wish=Wish.OPEN, held_after_failures=False, failures_in_row=0, note="")
            return fresh, [run for run in changed if run != entry.runs[run.key]]
        case "hold" | "cancel" | "completed" | "rerun" as word:
            return replace(record, wish=Wish(word), held_after_failures=False), []
        case _:
            return record, []


def _check_feasible(engine: Engine) -> None:
    """Refuse rows that ask for more than this machine has."""
    engine.look_at_devices()
    rooms = engine.desk.offer(until_unix_s={}, ours={})
    for entry in engine.book.entries.values():
        if entry.job is not None and not entry.refused:
            problem = infeasible(entry.job, rooms, gpus_exist=not engine.desk.stand_in)
            entry.refused = f"Line {entry.line}, {problem}" if problem else ""


def note_code(engine: Engine) -> None:
    """Note commit and files of jobs when they are first seen, a few per turn: files are read for it."""
    if not engine.book.without_digests:
        return
    records = []
    now = engine.clock.unix_s()
    for job in list(islice(engine.book.without_digests, NOTED_AT_ONCE)):
        engine.book.without_digests.discard(job)
        entry = engine.book.entries.get(job)
        if entry is not None and entry.job is not None and not entry.record.digests:
            code = engine.launcher.code_of(entry.job.command, now_unix_s=now)
            records.append(replace(entry.record, digests=code))
    with engine.state.transaction():
        engine.state.save_jobs(records)
    for record in records:  # nothing that people see has changed
        engine.book.entries[record.id].record = record


def carry_out_orders(engine: Engine) -> None:
    """Carry out what commands have asked for: `retry` opens the failed members of a job again."""
    for seq, verb, job in engine.state.orders():
        entry = engine.book.entries.get(job)
        runs: list[Run] = []
        records: list[JobRecord] = []
        if entry is not None and verb == "retry":
            runs = [again for run in entry.runs.values() if (again := reopened(run)) != run]
            record = replace(
                entry.record, wish=Wish.OPEN, held_after_failures=False, failures_in_row=0, note=""
            )
            records = [record]
        event = engine.say("order", f"{verb} {job}", job=job)
        with engine.state.transaction():
            engine.state.drop_order(seq)
            engine.state.save_jobs(records)
            engine.state.save_runs(runs)
            engine.state.note(event)
        engine.events.append(event)
        if entry is not None and records:
            entry.record = records[0]
            engine.book.set_runs(runs, now_unix_s=engine.clock.unix_s())
            engine.book.refresh(job, now_unix_s=engine.clock.unix_s())


def carry_out_reruns(engine: Engine) -> None:
    """Move the old folders of jobs to be run again out of the way, once nothing of them runs any more."""
    for job in list(engine.book.to_rerun):
        entry = engine.book.entries[job]
        if entry.record.wish is not Wish.RERUN:
            engine.book.to_rerun.discard(job)
        if entry.record.wish is not Wish.RERUN or entry.active():
            continue
        try:
            for run in entry.members():
                set_aside(engine, run)
        except OSError as error:
            _hold_for_folder(engine, entry, error)
            continue
        fresh = [Run(run.key) for run in entry.runs.values() if not isinstance(run.state, Active)]
        record = replace(
            entry.record, wish=Wish.OPEN, held_after_failures=False, failures_in_row=0, digests={}, note=""
        )
        event = engine.say(
            "rerun", f"{entry.id}: old run folders set aside, all runs open again", job=entry.id
        )
        engine.commit(jobs=[record], runs=fresh, events=[event])
        engine.book.refresh(entry.id, now_unix_s=engine.clock.unix_s())


def _hold_for_folder(engine: Engine, entry: Entry, error: OSError) -> None:
    """Hold the one job whose folder cannot be moved; the queue goes on."""
    note = f"its old run folder cannot be moved away ({error}): mend that, then write `rerun` again"
    log.warning("rerun not possible job=%s error=%s", entry.id, error)
    record = replace(entry.record, wish=Wish.HOLD, note=note)
    engine.commit(jobs=[record], events=[engine.say("held", f"{entry.id}: {note}", job=entry.id)])
    engine.book.refresh(entry.id, now_unix_s=engine.clock.unix_s())


def set_aside(engine: Engine, run: Run) -> None:
    """Rename a run folder to `<folder>.<k>`; nothing is ever overwritten."""
    folder = engine.launcher.folder(run.key).path
    if not folder.exists():
        return
    number = 1
    while folder.with_name(f"{folder.name}.{number}").exists():
        number += 1
    folder.rename(folder.with_name(f"{folder.name}.{number}"))
