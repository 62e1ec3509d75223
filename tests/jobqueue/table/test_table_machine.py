"""Random editors against a model, while the manager moves jobs: nothing lost, nothing falsified.

Editors load at any moment and save at any later one, in the manners of vim, nano, sed, pandas,
LibreOffice and a script that appends. The manager looks in at half-saved files and writes in between.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pkgs.jobqueue.table import table_file, table_swap
from pkgs.jobqueue.table.jobs_file import JobsFile, ManagerCells, TableNews
from pkgs.jobqueue.table.merge import DictMemory, is_marked
from pkgs.jobqueue.table.table import Cells
from pkgs.jobqueue.table.table_file import TableFile
from pkgs.jobqueue.table.table_parser import parse
from tests.builders.tables import FULL, Sheet, SheetRow, save_by_rename, save_in_place

COLUMNS = (
    FULL,
    ("command", "note", "status", "id", "seeds", "priority", "message", "rev", "progress"),
    tuple(name for name in FULL if name != "rev"),
    ("id", "status", "command", "priority"),
)
VALUES = {
    "command": ["echo a", 'echo "b, c"', "python x.py --lr 1", "true && false; exit 3", "printf '%s' {seed}"],
    "seeds": ["", "0..2", "3 4 13", "0-4"],
    "priority": ["", "0", "5", "-3"],
    "gpus": ["", "0", "1", "2"],
    "timeout": ["", "12h", "90m"],
    "note": ["", "mine", "a, b"],
    "status": ["open", "hold", "cancel", "rerun", "completed"],
}
NEXT = {"open": ["running"], "running": ["completed", "failed"], "cancel": ["cancelled"]}
STATUS = {"open": "open", "hold": "hold", "cancel": "cancelled", "rerun": "open", "completed": "completed"}
SETTLE_S = 1.0


class Editor:
    """A buffer, and what was changed in it since its last save."""

    def __init__(self, data: bytes) -> None:
        self.sheet = Sheet.read(data)
        self.deleted: set[str] = set()
        self.unheard: set[tuple[str, str]] = set()
        """Edits of rows that somebody had deleted meanwhile: they may be heard at a later save."""

    def edits(self) -> dict[tuple[str, str], str]:
        """Return the changed cells by the row's name (its id, or its command) and column."""
        found = {}
        for row in self.sheet.jobs():
            before = self.sheet.loaded.get(id(row))
            if before is None or row.cells is None:
                continue
            for column, value in row.cells.items():
                if value != before.get(column) and (column, value, before[column]) != ("status", "open", ""):
                    found[name_of(before), column] = value
        return found

    def inserted(self) -> list[dict[str, str]]:
        return [row.cells for row in self.sheet.jobs() if id(row) not in self.sheet.loaded and row.cells]


def name_of(cells: dict[str, str]) -> str:
    return cells.get("id") or cells["command"]


class TableMachine(RuleBasedStateMachine):
    """The world: a folder, editors, a manager, and what must be true of them."""

    steps = 0
    """Taken by all worlds together."""

    def __init__(self) -> None:
        super().__init__()
        base = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.folder = Path(tempfile.mkdtemp(prefix="tables", dir=base))
        self.path = self.folder / "Jobs.csv"
        self.now = 0.0
        self.counter = 0
        self.editors: list[Editor] = []
        self.truth: dict[str, str] = {}
        self.user: dict[str, Cells] = {}
        self.named: dict[str, str] = {}
        """Ids by the command that they ever had, for rows of buffers that are older than their id."""
        self.progress: dict[str, str] = {}
        self.events: list[TableNews] = []

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    # the manager

    @initialize(columns=st.sampled_from(COLUMNS), comments=st.booleans(), ids=st.booleans())
    def begin(self, columns: tuple[str, ...], *, comments: bool, ids: bool) -> None:
        lines = ["# the first study", ""] if comments else []
        lines.append(",".join(columns))
        for number in range(4):
            cells = dict.fromkeys(columns, "")
            cells |= {
                "id": f"s/j{number}" if ids or number else "",
                "status": "open",
                "command": f"echo {number}",
            }
            lines.append(",".join(cells[name] for name in columns))
            if comments:
                lines.append(f"# after {number}")
        self.columns = columns
        self.path.write_bytes(("\n".join(lines) + "\n").encode())
        self.file = TableFile(self.path, settle_s=SETTLE_S)
        self.jobs = JobsFile(self.file, DictMemory())
        self.settle()

    def look(self) -> None:
        news = self.jobs.reread(self.now)
        if news is None:
            return
        self.events.append(news)
        for row in news.changed:
            if not row.id:
                continue
            if row.id not in self.truth:
                assert row.is_new
                self.truth[row.id] = "open"
            if row.status_edit:
                word = row.status_edit
                if not (word == "open" and self.truth[row.id] == "running"):
                    self.truth[row.id] = STATUS[word]
        for name in news.removed:
            self.truth.pop(name, None)
            self.user.pop(name, None)
        for row in news.rows:
            if row.id:
                self.user[row.id] = row.cells
                self.named.setdefault(row.cells.command, row.id)

    def settle(self) -> None:
        """Let the manager look until it trusts what it sees."""
        for _ in range(3):
            self.look()
            self.now += SETTLE_S + 0.1
        self.look()

    def wanted(self) -> dict[str, ManagerCells]:
        return {
            name: ManagerCells(status, self.progress.get(name, ""), f"is {status}")
            for name, status in self.truth.items()
        }

    def write(self) -> bool:
        """Let the manager write; what it must not touch is compared byte by byte."""
        before = parse(self.path.read_bytes())
        wrote = self.jobs.write_back(self.wanted())
        after = parse(self.path.read_bytes())
        if not wrote:
            assert before.pieces == after.pieces
            return False
        old = {before.cells_of(row).command: row for row in before.rows}
        for row in after.rows:
            cells = after.cells_of(row)
            twin = old.get(cells.command)
            if twin is not None and before.cells_of(twin) == cells:
                assert row.raw.rstrip("\r\n") == twin.raw.rstrip("\r\n"), "bytes of an untouched row changed"
            if twin is not None and "note" in after.columns:
                at = after.columns.index("note")
                assert row.cells[at] == twin.cells[at], "an unknown column changed"
        rows = set(before.places)
        asides = [piece for place, piece in enumerate(before.pieces) if place not in rows]
        rows = set(after.places)
        assert asides == [piece for place, piece in enumerate(after.pieces) if place not in rows]
        return True

    @rule(data=st.data())
    def advance(self, data: st.DataObject) -> None:
        """Let runs start and end, and the manager write what it knows."""
        able = sorted(name for name, status in self.truth.items() if status in NEXT)
        if able:
            name = data.draw(st.sampled_from(able))
            self.truth[name] = data.draw(st.sampled_from(NEXT[self.truth[name]]))
            self.counter += 1
            self.progress[name] = f"{self.counter % 5} of 5"
        self.look()
        self.write()

    @rule()
    def quiet(self) -> None:
        """When all is quiet, file and model agree."""
        self.settle()
        self.write()
        self.settle()
        before = self.path.read_text()
        assert not self.write(), f"{before}\n{self.path.read_text()}"
        table = parse(self.path.read_bytes())
        shown = {cells.id or cells.command: cells for cells in map(table.cells_of, table.rows)}
        assert len(table.rows) == len(self.truth)
        for name, cells in self.user.items():
            now = shown.get(name) or shown[cells.command]
            assert now[2:11] == cells[2:11]
            if not self.in_doubt(name):
                assert (now.status or "open") == self.truth[name]

    def in_doubt(self, name: str) -> bool:
        return name in self.jobs._in_force.doubts

    # the editors

    @rule()
    @precondition(lambda self: len(self.editors) < 3)
    def load(self) -> None:
        self.editors.append(Editor(self.path.read_bytes()))

    def pick(self, data: st.DataObject) -> Editor:
        return data.draw(st.sampled_from(self.editors))

    @rule(data=st.data())
    @precondition(lambda self: self.editors)
    def change_a_cell(self, data: st.DataObject) -> None:
        editor = self.pick(data)
        rows = editor.sheet.jobs()
        if rows:
            row = data.draw(st.sampled_from(rows))
            names = [name for name in editor.sheet.columns if name in VALUES]
            if not (row.cells and row.cells.get("id")):
                names.remove("command")  # a row without an id is known by its command
            column = data.draw(st.sampled_from(names))
            value = data.draw(st.sampled_from(VALUES[column]))
            if column == "command":
                self.counter += 1
                value += f" # {self.counter}"
            if column == "command" and "{seed}" in value and not (row.cells or {}).get("seeds"):
                return
            if column == "seeds" and not value and "{seed}" in (row.cells or {}).get("command", ""):
                return
            editor.sheet.change(row, column=column, value=value)

    @rule(data=st.data(), named=st.booleans())
    @precondition(lambda self: self.editors)
    def insert_a_row(self, data: st.DataObject, *, named: bool) -> None:
        editor = self.pick(data)
        self.counter += 1
        cells = {"id": f"s/n{self.counter}" if named else "", "command": f"echo new {self.counter}"}
        status = data.draw(st.sampled_from(["", "open", "hold"]))
        editor.sheet.insert(data.draw(st.integers(0, len(editor.sheet.rows))), {**cells, "status": status})

    @rule(data=st.data())
    @precondition(lambda self: self.editors)
    def delete_a_row(self, data: st.DataObject) -> None:
        editor = self.pick(data)
        rows = editor.sheet.jobs()
        if len(rows) > 2:
            row = data.draw(st.sampled_from(rows))
            editor.sheet.rows.remove(row)
            if id(row) in editor.sheet.loaded:
                editor.deleted.add(name_of(editor.sheet.loaded[id(row)]))

    @rule(data=st.data())
    @precondition(lambda self: self.editors)
    def move_or_sort(self, data: st.DataObject) -> None:
        editor = self.pick(data)
        if data.draw(st.booleans()):
            editor.sheet.rows.sort(key=lambda row: (row.cells or {}).get("command", row.raw), reverse=True)
        elif editor.sheet.rows:
            row = editor.sheet.rows.pop(data.draw(st.integers(0, len(editor.sheet.rows) - 1)))
            editor.sheet.rows.append(row)

    @rule(data=st.data(), manner=st.sampled_from(["vim", "vim-gap", "nano", "nano-half", "pandas", "office"]))
    @precondition(lambda self: self.editors)
    def save(self, data: st.DataObject, manner: str) -> None:
        editor = self.pick(data)
        with Verdict(self, editor):
            content = self.content(data, editor, manner)
            if manner in ("nano", "nano-half"):
                if manner == "nano-half":
                    cut = data.draw(st.integers(0, len(content)))
                    save_in_place(self.path, content[:cut])
                    self.look_at_a_part()
                save_in_place(self.path, content)
            else:
                if manner == "vim-gap":
                    self.path.replace(self.path.with_name("Jobs.csv~"))
                    self.look_at_a_part()
                save_by_rename(self.path, content)
        self.after_save(data, editor)

    def content(self, data: st.DataObject, editor: Editor, manner: str) -> bytes:
        if manner == "pandas":
            return editor.sheet.pandas_bytes(
                quote_all=data.draw(st.booleans()), floats=data.draw(st.booleans())
            )
        return editor.sheet.office_bytes() if manner == "office" else editor.sheet.text_bytes()

    def look_at_a_part(self) -> None:
        """Let the manager look at a half-saved file: it stops nothing and removes nothing."""
        before = dict(self.truth)
        seen = len(self.events)
        self.look()
        self.jobs.write_back(self.wanted())
        self.now += 0.1
        self.look()
        for news in self.events[seen:]:
            assert not news.removed, "a half-saved file removed a job"
        assert set(before) <= set(self.truth)

    def after_save(self, data: st.DataObject, editor: Editor) -> None:
        if data.draw(st.booleans()):
            self.editors.remove(editor)
        else:
            editor.sheet.note_saved()
            editor.deleted.clear()

    @rule(data=st.data())
    @precondition(lambda self: self.editors)
    def save_while_the_manager_writes(self, data: st.DataObject) -> None:
        """Save between the manager's last look and its rename."""
        editor = self.pick(data)
        content = editor.sheet.text_bytes()
        real = table_swap.exchange
        manner = data.draw(st.sampled_from([save_by_rename, save_in_place]))
        done: list[bool] = []

        def exchange(one: Path, other: Path) -> bool:
            if not done:
                done.append(True)
                manner(self.path, content)
            return real(one, other)

        self.progress = dict.fromkeys(self.truth, f"{self.counter} of 9")
        self.counter += 1
        with Verdict(self, editor), pytest.MonkeyPatch.context() as patch:
            patch.setattr(table_file, "exchange", exchange)
            self.jobs.write_back(self.wanted())
            if not done:
                manner(self.path, content)
        self.after_save(data, editor)

    @rule(data=st.data())
    @precondition(lambda self: self.editors)
    def save_into_the_replaced_file(self, data: st.DataObject) -> None:
        """Write into the file that the manager has just replaced."""
        editor = self.pick(data)
        if editor.deleted:
            return
        self.settle()
        self.progress = dict.fromkeys(self.truth, f"{self.counter} of 9")
        self.counter += 1
        descriptor = os.open(self.path, os.O_WRONLY)
        try:
            replaced = self.jobs.write_back(self.wanted())
            with Verdict(self, editor, late=replaced):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, editor.sheet.text_bytes())
        finally:
            os.close(descriptor)
        self.after_save(data, editor)

    @rule(data=st.data())
    def script(self, data: st.DataObject) -> None:
        """Append a row as a script does, or change a word with `sed -i`, in the newest version."""
        editor = Editor(self.path.read_bytes())
        with Verdict(self, editor):
            if data.draw(st.booleans()):
                self.counter += 1
                editor.sheet.rows.append(
                    SheetRow(
                        "",
                        dict.fromkeys(self.columns, "") | {"command": f"echo appended {self.counter}"},
                        touched=True,
                    )
                )
                with self.path.open("ab") as file:
                    file.write(editor.sheet.text_bytes()[len(self.path.read_bytes()) :])
            elif editor.sheet.jobs():
                row = data.draw(st.sampled_from(editor.sheet.jobs()))
                editor.sheet.change(row, column="priority", value=data.draw(st.sampled_from(["7", "8"])))
                save_by_rename(self.path, editor.sheet.text_bytes())

    @invariant()
    def file_parses(self) -> None:
        TableMachine.steps += 1
        if self.path.exists():
            parse(self.path.read_bytes())


class Verdict:
    """Judges one save: every edit is in force or in doubt, all else is as it was."""

    def __init__(self, world: TableMachine, editor: Editor, *, late: bool = False) -> None:
        self.world = world
        self.editor = editor
        self.late = late

    def __enter__(self) -> None:
        self.world.settle()
        self.before = dict(self.world.user)
        self.truth = dict(self.world.truth)
        self.seen = len(self.world.events)
        self.told = set(self.world.jobs._in_force.doubts)

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is not None:
            return
        world, edits = self.world, self.editor.edits()
        world.settle()
        news = world.events[self.seen :]
        assert world.file.problem is None
        reported = {row.id: row.status_edit for event in news for row in event.changed if row.status_edit}
        doubted = {row.id for event in news for row in event.changed if row.in_doubt}
        fresh = {row.id for event in news for row in event.changed if row.is_new}
        removed = {name for event in news for name in event.removed}
        ids = world.named | {cells.command: name for name, cells in self.before.items()}
        wishes = {
            ids.get(name, name): (column, value)
            for (name, column), value in edits.items()
            if column == "status"
        }
        unheard = self.editor.unheard
        for name, word in reported.items():
            if (name, "status") in unheard:
                continue
            if name in self.told and not is_marked(world.columns):
                assert word in ("hold", "cancel", "completed") or name in wishes
                continue
            assert name in fresh or wishes.get(name) == ("status", word), f"{name}: {word} is no edit"
        for (row, column), value in edits.items():
            self.check_edit(
                ids.get(row, row),
                column,
                value,
                removed,
                reported,
                doubted | set(world.jobs._in_force.doubts),
            )
        self.check_others({(ids.get(row, row), column) for row, column in edits}, fresh, removed)
        for cells in self.editor.inserted():
            assert any(now.command == cells["command"] for now in world.user.values()), (
                "an inserted row is lost"
            )

    def check_edit(
        self,
        name: str,
        column: str,
        value: str,
        removed: set[str],
        reported: dict[str, str],
        doubted: set[str],
    ) -> None:
        world = self.world
        if name in removed or name not in world.user:
            self.editor.unheard.add((name, column))
            return
        if column == "note" or name in doubted:
            return
        if column == "status":
            now = self.truth.get(name)
            nothing_asked = value == (self.before[name].status or "open") if name in self.before else False
            as_it_is = now is None or STATUS.get(value) == now or (value == "open" and now == "running")
            assert reported.get(name) == value or as_it_is or nothing_asked, (
                f"{name}: the wish {value} is lost"
            )
        else:
            assert getattr(world.user[name], column) == value, f"{name}: {column} {value} is lost"

    def check_others(self, edited: set[tuple[str, str]], fresh: set[str], removed: set[str]) -> None:
        here = {name_of(row.cells) for row in self.editor.sheet.jobs() if row.cells}
        for name, old in self.before.items():
            if name in removed:
                assert name not in here, f"{name} stands in the file and is removed"
                continue
            new = self.world.user[name]
            for column in VALUES:
                if (
                    column in ("note", "status")
                    or (name, column) in edited | self.editor.unheard
                    or name in fresh
                ):
                    continue
                if name in self.told and not is_marked(self.world.columns):
                    continue  # an old buffer saved twice cannot be told from a user who insists
                assert getattr(new, column) == getattr(old, column), f"{name}: {column} changed by nobody"


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        TableMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=examples < 50,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_random_editors_and_the_manager_lose_and_falsify_nothing() -> None:
    run(12, 25)


@pytest.mark.slow
def test_random_editors_and_the_manager_lose_and_falsify_nothing_in_5000_steps() -> None:
    TableMachine.steps = 0
    run(400, 50)
    assert TableMachine.steps >= 5000
