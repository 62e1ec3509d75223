"""Edits by commands: valid, merge-safe, beside a running manager, quick on large tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.jobqueue.table.edits import Completed, EditError, add_row, complete, set_status
from pkgs.jobqueue.table.jobs_file import JobsFile, ManagerCells
from pkgs.jobqueue.table.merge import DictMemory
from pkgs.jobqueue.table.table_file import TableFile, TableFileError
from tests.builders.tables import FULL, many_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Jobs.csv"


def test_the_first_row_makes_the_file(path: Path) -> None:
    name = add_row(TableFile(path), {"command": "python train.py", "seeds": "0..4"})
    assert name.startswith("train-")
    assert path.read_text() == f"{','.join(FULL)}\n{name},open,python train.py,0..4,,,,,,,,,,\n"


def test_missing_columns_are_put_into_the_header_and_rows_keep_their_bytes(path: Path) -> None:
    path.write_bytes(b"command;note\r\necho 1;x\r\n# c\r\n")
    assert add_row(TableFile(path), {"id": "b", "command": "echo; 2", "gpus": "0"}) == "b"
    assert path.read_bytes() == (
        b'command;note;id;status;gpus;progress;message;rev\r\necho 1;x\r\n# c\r\n"echo; 2";;b;open;0;;;\r\n'
    )


def test_a_command_that_is_added_twice_gets_two_ids(path: Path) -> None:
    file = TableFile(path)
    assert add_row(file, {"command": "echo"}) != add_row(file, {"command": "echo"})


def test_ids_of_rows_that_are_gone_are_not_given_again(path: Path) -> None:
    first = add_row(TableFile(path), {"command": "echo"})
    path.write_text("id,command\n")
    assert add_row(TableFile(path), {"command": "echo"}, taken={first}.__contains__) != first


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"command": ""}, "column 'command'"),
        ({"command": "x {seed}"}, "column 'seeds'"),
        ({"command": "x", "gpu_mem": "much"}, "column 'gpu_mem': 'much' is not empty, 'auto'"),
        ({"command": "x", "id": "../x"}, "column 'id'"),
        ({"command": "x", "id": "KE/a"}, "in use by the row 'ke/a'"),
        ({"command": "x", "id": "ke/a/b"}, "inside the run folder of 'ke/a'"),
        ({"command": "x", "id": "ke"}, "would hold the run folder of 'ke/a'"),
        ({"command": "x", "colour": "red"}, "Unknown column 'colour'"),
        ({"command": "x", "status": "opne"}, "Did you mean `open`"),
    ],
)
def test_a_bad_row_is_refused_and_the_file_stays(path: Path, cells: dict[str, str], words: str) -> None:
    path.write_text("id,command\nke/a,echo\n")
    with pytest.raises(EditError) as error:
        add_row(TableFile(path), cells)
    assert words in str(error.value)
    assert path.read_text() == "id,command\nke/a,echo\n"


def test_a_broken_file_is_never_written(path: Path) -> None:
    path.write_text('id,command\na,"x\n')
    with pytest.raises(TableFileError, match=r"Jobs.csv, line 2: .*never closed"):
        add_row(TableFile(path), {"command": "echo"})
    assert path.read_text() == 'id,command\na,"x\n'


def test_the_headerless_form_takes_a_command_and_nothing_else(path: Path) -> None:
    path.write_text("echo 1,open,\n# c\n")
    name = add_row(TableFile(path), {"command": "echo 2, 3"})
    assert path.read_text() == "echo 1,open,\n# c\necho 2, 3,open,\n"
    set_status(TableFile(path), [name], "hold")
    assert path.read_text() == "echo 1,open,\n# c\necho 2, 3,hold,\n"
    with pytest.raises(EditError, match="no place for seeds"):
        add_row(TableFile(path), {"command": "echo", "seeds": "0..4"})


def test_a_status_is_set_in_its_own_cell_alone(path: Path) -> None:
    path.write_text("id,note,status,command\na, x ,open,echo\nb,y,open,echo\n")
    path.write_text(path.read_text().replace("command\n", "command,progress,message,rev\n"))
    set_status(TableFile(path), ["b"], "hold")
    assert path.read_text() == "id,note,status,command,progress,message,rev\na, x ,open,echo\nb,y,hold,echo\n"


def test_an_unknown_id_names_the_nearest_one(path: Path) -> None:
    path.write_text("id,command\nke/student,echo\n")
    with pytest.raises(EditError, match="Did you mean 'ke/student'"):
        set_status(TableFile(path), ["ke/studnet"], "hold")
    with pytest.raises(EditError, match="Known: open, hold"):
        set_status(TableFile(path), ["ke/student"], "pause")


def test_missing_columns_and_ids_are_completed(path: Path) -> None:
    path.write_text("# mine\ncommand,status\necho 1,open\necho 2,hold\n")
    done = complete(TableFile(path))
    assert done.columns == tuple(name for name in FULL if name not in ("command", "status"))
    assert len(done.ids) == 2
    lines = path.read_text().splitlines()
    assert lines[1].startswith("command,status,id,seeds")
    assert lines[2] == f"echo 1,open,{done.ids[0]}"
    assert complete(TableFile(path)) == Completed((), ())


def test_edits_reach_a_running_manager_without_doubt_even_without_a_rev(path: Path) -> None:
    path.write_text("echo 1,open,\necho 2,open,\n")
    jobs = JobsFile(TableFile(path), DictMemory())
    news = jobs.reread(0.0)
    assert news is not None
    name = news.rows[0].id
    now = 0.0
    for word in ("hold", "open", "hold", "open", "rerun", "rerun"):
        set_status(TableFile(path), [name], word)
        now += 2.0
        news = jobs.reread(now)
        assert news is not None
        assert [(row.id, row.status_edit, row.in_doubt) for row in news.changed] == [(name, word, None)]
        if word == "rerun":
            assert jobs.write_back({name: ManagerCells("failed")})


def test_two_commands_in_a_row_are_both_heard(path: Path) -> None:
    path.write_text("echo 1,hold,\necho 2,hold,\n")
    jobs = JobsFile(TableFile(path), DictMemory())
    first = jobs.reread(0.0)
    assert first is not None
    names = [row.id for row in first.rows]
    set_status(TableFile(path), names, "open")
    assert jobs.reread(1.0) is not None
    set_status(TableFile(path), names[:1], "hold")
    set_status(TableFile(path), names[1:], "hold")
    news = jobs.reread(2.0)
    assert news is not None
    assert {row.id: (row.status_edit, row.in_doubt) for row in news.changed} == dict.fromkeys(
        names, ("hold", None)
    )


def test_an_edit_is_merged_with_an_editor_who_saves_in_that_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("id,status,command\na,open,echo 1\n")
    file = TableFile(path)
    real = TableFile.replace
    saves = iter(["id,status,command\na,open,echo 1\nb,open,echo 2\n"])

    def replace(self: TableFile, table: object, **rest: object) -> bool:
        for text in saves:
            path.write_text(text)
        return real(self, table, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(TableFile, "replace", replace)
    set_status(file, ["a"], "hold")
    assert "b,open,echo 2\n" in path.read_text()
    assert "a,hold,echo 1" in path.read_text()


def test_rows_are_added_to_ten_thousand(path: Path) -> None:
    path.write_bytes(many_rows(10_000))
    for number in range(3):
        add_row(TableFile(path), {"command": f"echo {number}"})
    assert len(path.read_text().splitlines()) == 10_004  # the header, too
