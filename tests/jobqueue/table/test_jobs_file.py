"""The manager's view: news of edits, its own cells written back, nobody's edit lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pandas as pd
import pytest

from pkgs.jobqueue.table.jobs_file import JobsFile, ManagerCells, RowNews, TableNews, one_line
from pkgs.jobqueue.table.merge import DictMemory
from pkgs.jobqueue.table.table import Cells
from pkgs.jobqueue.table.table_file import TableFile
from pkgs.jobqueue.table.table_parser import parse
from pkgs.jobqueue.vocabulary import Job
from tests.builders.tables import FULL, Sheet, many_rows, save_by_rename, save_in_place

HEAD = "id,status,command,gpus,progress,message,rev"


class World:
    """A file, a manager's view of it, and a clock."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        path.write_bytes(text.encode())
        self.memory = DictMemory()
        self.jobs = JobsFile(TableFile(path), self.memory)
        self.now = 0.0

    def news(self) -> TableNews:
        """Return what is new, suspicious contents waited out."""
        found = [self.jobs.reread(self.now + step) for step in (0.0, 1.1)]
        self.now += 2.0
        latest = [news for news in found if news is not None]
        assert latest, "nothing new"
        return latest[-1]

    def changed(self) -> dict[str, RowNews]:
        return {row.id: row for row in self.news().changed}

    def quiet(self) -> bool:
        self.now += 3.0
        return self.jobs.reread(self.now) is None

    def write(self, **cells: tuple[str, str, str]) -> bool:
        return self.jobs.write_back({name: ManagerCells(*three) for name, three in cells.items()})

    def text(self) -> str:
        return self.path.read_bytes().decode()

    def save(self, old: str, new: str) -> None:
        text = self.text()
        assert old in text
        save_by_rename(self.path, text.replace(old, new).encode())


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "Jobs.csv", f"{HEAD}\na,open,echo 1\n# note\nb,open,echo 2\n")
    assert list(world.changed()) == ["a", "b"]
    return world


def test_the_first_look_tells_all_rows_as_new_wishes(tmp_path: Path) -> None:
    news = World(tmp_path / "Jobs.csv", f"{HEAD}\na,,echo 1\nb,hold,echo 2,0\n").news()
    assert [(row.id, row.line, row.status_edit, row.is_new) for row in news.rows] == [
        ("a", 2, "open", True),
        ("b", 3, "hold", True),
    ]
    assert news.rows[1].job == Job("b", "echo 2", gpus=0)
    assert news.problem is None


def test_nothing_is_told_twice(world: World) -> None:
    assert world.quiet()


def test_only_the_managers_cells_and_the_rev_are_written(world: World) -> None:
    assert world.write(a=("running", "0 of 1", "runs on GPU 0, alone"), b=("open", "", ""))
    assert world.text() == (
        f'{HEAD}\na,running,echo 1,,0 of 1,"runs on GPU 0, alone",1\n# note\nb,open,echo 2\n'
    )
    assert not world.write(a=("running", "0 of 1", "runs on GPU 0, alone"))
    assert world.quiet()


def test_an_edit_is_told_with_what_changed(world: World) -> None:
    world.save("b,open,echo 2", "b,cancel,echo 2,4")
    row = world.changed()["b"]
    assert (row.status_edit, row.cells.gpus, row.is_new, row.in_doubt) == ("cancel", "4", False, None)
    assert row.job is not None
    assert row.job.gpus == 4


def test_a_stale_save_of_the_whole_file_restores_no_old_status(world: World) -> None:
    stale = world.text()
    world.write(a=("running", "", ""))
    world.write(a=("completed", "1 of 1", "done"))
    save_in_place(world.path, stale.replace("echo 2", "echo two").encode())
    changed = world.changed()
    assert changed["a"].status_edit is None
    assert changed["b"].cells.command == "echo two"
    assert world.write(a=("completed", "1 of 1", "done"))
    assert "a,completed,echo 1,,1 of 1,done,3\n" in world.text()


def test_an_edit_between_look_and_write_is_not_overwritten_and_told_next(world: World) -> None:
    world.save("a,open", "a,hold")
    assert world.write(a=("running", "", "runs"), b=("running", "", "runs"))
    assert "a,hold,echo 1\n" in world.text()
    assert "b,running,echo 2,,,runs,1\n" in world.text()
    assert world.changed()["a"].status_edit == "hold"
    assert world.write(a=("hold", "", "held by you"))


def test_ids_are_filled_in_and_an_older_buffer_without_them_is_the_same_job(tmp_path: Path) -> None:
    world = World(tmp_path / "Jobs.csv", f"{HEAD}\n,open,echo 1\n")
    stale = world.text()
    (name,) = world.changed()
    world.write(**{name: ("completed", "1 of 1", "done")})
    assert world.text().startswith(f"{HEAD}\n{name},completed,echo 1")
    save_in_place(world.path, (stale + ",open,echo 2\n").encode())
    changed = world.changed()
    assert changed[name].status_edit is None
    assert [row.is_new for row in changed.values()] == [False, True]


def test_sorting_and_moving_rows_is_no_edit(world: World) -> None:
    world.write(a=("completed", "", ""), b=("failed", "", "exit 1"))
    lines = world.text().splitlines(keepends=True)
    save_by_rename(world.path, "".join([lines[0], lines[3], lines[2], lines[1]]).encode())
    news = world.news()
    assert not news.changed
    assert [row.line for row in news.rows] == [2, 4]


def test_a_pasted_row_is_refused_and_names_the_other_line(world: World) -> None:
    world.save("b,open,echo 2\n", "b,open,echo 2\na,open,echo 1\n")
    refused = world.changed()[""]
    assert refused.job is None
    assert "Jobs.csv, line 5, column 'id': 'a' is not unique: it stands in line 2." in str(refused.errors[0])
    assert world.jobs.write_back({})
    assert "a,open,echo 1,,,column 'id': 'a' is not unique" in world.text().replace('"', "")
    assert world.text().count("\na,open,echo 1\n") == 1


def test_a_known_row_keeps_its_id_against_a_changed_copy_above_it(world: World) -> None:
    world.save("a,open,echo 1\n", "a,open,echo other\na,open,echo 1\n")
    news = world.news()
    assert [(row.id, row.line) for row in news.rows] == [("", 2), ("a", 3), ("b", 5)]


@pytest.mark.parametrize(
    ("name", "words"), [("A", "upper from lower case"), ("a/x", "inside the run folder of 'a'")]
)
def test_twins_and_nested_ids_are_refused_alone(world: World, name: str, words: str) -> None:
    world.save("b,open", f"{name},open,echo x\nb,open")
    changed = world.changed()
    assert words in str(changed[""].errors[0])
    assert world.jobs.reread(world.now) is None


def test_a_newcomer_that_would_hold_a_known_folder_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path / "Jobs.csv", f"{HEAD}\nke/a,open,echo 1\n")
    world.news()
    world.save("ke/a", "ke,open,echo 0\nke/a")
    refused = world.changed()[""]
    assert (refused.line, refused.cells.id) == (2, "ke")


def test_a_bad_row_gets_its_reason_and_keeps_its_status(world: World) -> None:
    world.save("b,open,echo 2", "b,opne,echo 2,many")
    row = world.changed()["b"]
    assert row.job is None
    assert [error.column for error in row.errors] == ["status", "gpus"]
    assert world.write(b=("open", "", "waits"))
    assert "b,opne,echo 2,many," in world.text()
    assert "Did you mean `open`?" in world.text()
    world.save("opne,echo 2,many", "open,echo 2,2")
    assert world.changed()["b"].job is not None
    assert world.write(b=("open", "", "waits"))
    assert "b,open,echo 2,2,,waits,2\n" in world.text()


def test_a_deleted_row_is_told_and_may_come_back(world: World) -> None:
    world.write(a=("completed", "", "done"))
    with_a = world.text()
    world.save("a,completed,echo 1,,,done,1\n", "")
    assert world.news().removed == ("a",)
    save_by_rename(world.path, with_a.encode())
    row = world.changed()["a"]
    assert (row.is_new, row.status_edit, row.cells.status) == (True, None, "completed")


def test_a_command_that_was_deleted_and_comes_back_is_not_run_again_in_silence(world: World) -> None:
    world.path.write_text(f"{HEAD}\n,open,echo 9\n")
    (name,) = [row.id for row in world.news().changed]
    world.write(**{name: ("completed", "1 of 1", "done")})
    world.path.write_text(f"{HEAD}\nz,open,echo z\n")
    assert world.news().removed == (name,)
    world.path.write_text(f"{HEAD}\n,open,echo 9\n")
    row = world.changed()[name]
    assert (row.is_new, row.status_edit) == (True, None)
    assert row.in_doubt == (
        "this job was here before and is completed: write `rerun` to run it again, "
        "or `completed` to count it as done"
    )


def test_a_row_that_a_stale_save_never_knew_is_put_back(world: World) -> None:
    world.write(b=("running", "", "one"))
    stale = world.text()
    world.write(b=("running", "", "two"))
    with world.path.open("a") as file:
        file.write("c,open,echo 3\n")
    assert world.changed()["c"].is_new
    save_in_place(world.path, stale.encode())
    news = world.news()
    assert news.removed == ()
    assert [row.id for row in news.rows] == ["a", "b", "c"]
    assert world.write(b=("running", "", "two"))
    assert "c,open,echo 3" in world.text()
    assert "b,running,echo 2,,,two" in world.text()


def test_a_real_deletion_by_somebody_who_saw_the_row_stays(world: World) -> None:
    world.write(b=("running", "", "one"))
    with world.path.open("a") as file:
        file.write("c,open,echo 3\n")
    world.news()
    world.save("c,open,echo 3\n", "")
    assert world.news().removed == ("c",)


def test_a_doubtful_open_stays_in_the_file_until_the_user_decides(tmp_path: Path) -> None:
    world = World(tmp_path / "Jobs.csv", "id,status,command,message\na,open,echo 1,\n")
    world.news()
    world.write(a=("failed", "", ""))
    world.save("a,failed", "a,open")
    row = world.changed()["a"]
    assert row.status_edit is None
    assert row.in_doubt is not None
    assert world.write(a=("failed", "", "exit 1, see the log"))
    assert f'a,open,echo 1,"{row.in_doubt}"' in world.text()
    assert not world.write(a=("failed", "", "exit 1, see the log"))
    world.save("a,open", "a,rerun")
    assert world.changed()["a"].status_edit == "rerun"
    assert world.write(a=("running", "", "runs"))
    assert world.text().endswith("a,running,echo 1,runs\n")


def test_a_cell_in_doubt_is_settled_by_writing_it_again(world: World) -> None:
    world.save("b,open,echo 2", "b,open,echo 2,2")
    world.news()
    world.save("b,open,echo 2,2", "b,open,echo 2,")
    row = world.changed()["b"]
    assert row.cells.gpus == "2"
    assert row.in_doubt is not None
    assert world.write(b=("open", "", ""))
    assert "b,open,echo 2,2,,gpus the empty cell may come" in world.text().replace('"', "")
    world.save("b,open,echo 2,2", "b,open,echo 2,")
    row = world.changed()["b"]
    assert (row.cells.gpus, row.in_doubt) == ("", None)
    assert world.write(b=("open", "", "waits"))


def test_a_later_write_that_the_file_shows_removes_the_doubt(world: World) -> None:
    world.save("b,open,echo 2", "b,open,echo 2,2")
    world.news()
    world.write(a=("running", "", "runs"))
    world.save("b,open,echo 2,2", "b,open,echo 2,")
    row = world.changed()["b"]
    assert (row.cells.gpus, row.in_doubt) == ("", None)


def test_a_round_trip_through_pandas_is_no_edit(tmp_path: Path) -> None:
    text = (
        f'{",".join(FULL)},note\na,open,"echo \'x, y\' ""z""",0..4,,,1,14G,,,12h,,,,001\n'
        "b,hold,echo 2,4,,,,,3,,,,,,\nc,,echo 3,,u v,a,0,,,2,,,,,\n"
    )
    world = World(tmp_path / "Jobs.csv", text)
    assert all(row.job for row in world.news().rows)
    world.write(a=("completed", "5 of 5", "done"), b=("hold", "", "held"), c=("running", "0 of 2", "runs"))
    for keep in (True, False):
        table = pd.read_csv(world.path)
        table["priority"] = table["priority"].astype(float)
        table.to_csv(world.path, index=False, quoting=1 if keep else 0)
        assert not world.news().changed
    table.loc[1, "gpus"] = 2
    table.to_csv(world.path, index=False)
    assert {name: row.cells.gpus for name, row in world.changed().items()} == {"b": "2"}


def test_libreoffice_and_excel_round_trips_are_no_edits(world: World) -> None:
    world.write(a=("completed", "1 of 1", "done, well"))
    save_by_rename(world.path, Sheet.read(world.path.read_bytes()).office_bytes())
    assert not world.news().changed
    assert world.write(b=("running", "", "runs"))
    assert world.text().startswith("\ufeff")
    assert '"b";"running";"echo 2";"";"";"runs";"1"\r\n' in world.text()
    save_by_rename(world.path, world.text()[1:].replace('"', "").replace(";", "\t").encode("utf-16"))
    assert not world.news().changed


def test_ids_that_lost_their_zeros_in_a_spreadsheet_are_known_again(tmp_path: Path) -> None:
    world = World(tmp_path / "Jobs.csv", "id,status,command\n007,open,echo 7\n8,open,echo 8\n")
    world.news()
    save_by_rename(world.path, b"id,status,command\n7,open,echo 7\n8.0,open,echo 8\n")
    news = world.news()
    assert [row.id for row in news.rows] == ["007", "8"]
    assert news.removed == ()
    assert world.jobs.write_back({})
    assert world.text() == "id,status,command\n007,open,echo 7\n8,open,echo 8\n"


def test_the_headerless_form_with_568_jobs_keeps_its_form(tmp_path: Path) -> None:
    tails = (",open,", ",open", ",completed,")
    rows = [f"python train.py --fold {number // 2}, --lr 0.1{tails[number % 3]}" for number in range(568)]
    lines = ["# the old study, still open,", "", *rows]
    world = World(tmp_path / "Jobs.csv", "\n".join(lines) + "\n")
    news = world.news()
    assert len(news.rows) == len({row.id for row in news.rows}) == 568
    wanted = {row.id: ManagerCells("completed", "1 of 1", "done") for row in news.rows}
    assert world.jobs.write_back(wanted)
    want = (
        "\n".join(line.replace(",open", ",completed") if line[0:1] == "p" else line for line in lines) + "\n"
    )
    assert world.text() == want
    assert world.quiet()


def test_of_two_headerless_rows_with_one_command_the_right_one_is_missed(tmp_path: Path) -> None:
    world = World(tmp_path / "Jobs.csv", "echo 1,open,\necho 1,open,\n")
    first, second = [row.id for row in world.news().rows]
    world.write(**{first: ("completed", "", "")})
    save_by_rename(world.path, b"echo 1,open,\n")
    news = world.news()
    assert news.removed == (first,)
    assert [row.id for row in news.rows] == [second]


def test_an_unparsable_file_is_told_and_never_written(world: World) -> None:
    save_in_place(world.path, b'id,command\na,"x\n')
    news = world.news()
    assert news.problem is not None
    assert "line 2" in news.problem
    assert len(news.rows) == 2
    assert not world.write(a=("running", "", ""))
    save_in_place(world.path, f"{HEAD}\na,open,echo 1\nb,open,echo 2\n".encode())
    assert world.news().problem is None


def test_a_column_of_ids_that_got_lost_restarts_no_job(world: World) -> None:
    save_in_place(world.path, b"status,command\nopen,echo 1\nopen,echo 2\n")
    news = world.news()
    assert "the column 'id' is gone" in str(news.problem)
    assert [row.id for row in news.rows] == ["a", "b"]
    assert not news.removed


def test_a_second_byte_order_mark_hides_no_column(world: World) -> None:
    world.path.write_bytes(b"\xef\xbb\xbf\xef\xbb\xbf" + world.path.read_bytes())
    assert not world.news().changed


def test_a_restart_knows_what_is_in_force(world: World) -> None:
    stale = world.text()
    world.write(a=("completed", "", "done"))
    save_in_place(world.path, stale.replace("b,open", "b,hold").encode())
    again = JobsFile(TableFile(world.path), world.memory)
    news = again.reread(0.0)
    assert news is not None
    assert [(row.id, row.status_edit, row.is_new) for row in news.changed] == [
        ("a", None, False),
        ("b", "hold", False),
    ]


def test_versions_are_remembered_before_the_file_is_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.jobs.file, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        world.write(a=("completed", "", "done"))
    assert world.memory.currents()["a"].status == "completed"
    again = JobsFile(TableFile(world.path), world.memory)
    news = again.reread(0.0)
    assert news is not None
    assert not [row for row in news.changed if row.status_edit]
    assert again.write_back({"a": ManagerCells("completed", "", "done")})
    assert "a,completed,echo 1,,,done,2\n" in world.text()


def test_a_reader_in_a_tight_loop_always_sees_a_whole_file(world: World) -> None:
    broken: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            table = parse(world.path.read_bytes())
            if len(table.rows) != 2:
                broken.append(table.render().decode())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(50):
        assert world.write(a=("running", f"{number} of 50", "runs"), b=("open", "", f"waits {number}"))
    done.set()
    reader.join()
    assert not broken


def test_messages_are_one_line_that_any_file_can_hold() -> None:
    assert one_line(" a\n b\udcff\tc ") == "a b? c"
    assert len(one_line("x" * 5000)) == 1000


def test_rows_that_say_nothing_of_the_managers_columns_are_never_written(tmp_path: Path) -> None:
    world = World(tmp_path / "Jobs.csv", "command,note\necho 1,mine\n")
    (name,) = world.changed()
    assert not world.write(**{name: ("completed", "1 of 1", "done")})
    assert world.text() == "command,note\necho 1,mine\n"


def test_a_row_reads_the_same_after_it_was_written(world: World) -> None:
    world.write(a=("failed", "0 of 1", 'exit 1: "no such file", see\n a log'))
    assert world.memory.currents()["a"] == Cells(
        "a", "failed", "echo 1", progress="0 of 1", message='exit 1: "no such file", see a log', rev="1"
    )
    assert world.quiet()


def test_ten_thousand_rows_are_taken_in_and_one_change_among_them_is_found(tmp_path: Path) -> None:
    world = World(tmp_path / "Jobs.csv", many_rows(10_000).decode())
    assert len(world.news().rows) == 10_000
    for number in range(3):
        world.save(f"configs/ke/{number}.yaml", f"configs/ke/x{number}.yaml")
        news = world.jobs.reread(world.now)
        assert news is not None
        assert len(news.changed) == 1
