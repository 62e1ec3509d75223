"""Bytes to rows and back: every byte kept, every dialect read, whole-file faults named with their line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkgs.jobqueue.table.table import COLUMNS, MANAGER_COLUMNS, Cells, Table, whole
from pkgs.jobqueue.table.table_parser import parse, with_columns, with_rows
from pkgs.jobqueue.table.table_text import TableError
from tests.builders.tables import many_rows, table_text

PLAIN = b"id,status,command\na,open,echo 1\n# note\n\nb,hold,echo 2\n"


def commands(table: Table) -> list[str]:
    return [table.cells(number).command for number in range(len(table.rows))]


def test_the_columns_are_those_of_the_design() -> None:
    assert COLUMNS == (
        "id", "status", "command", "seeds", "conditions", "after", "gpus", "gpu_mem", "priority", "retries",
        "timeout", "progress", "message", "rev",
    )  # fmt: skip
    assert MANAGER_COLUMNS == ("status", "progress", "message", "rev")


def test_a_file_is_rendered_to_the_same_bytes() -> None:
    assert parse(PLAIN).render() == PLAIN


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfid;status;command\r\na;open;echo 1\r\nb;hold;echo 2",
        b"id\tstatus\tcommand\na\topen\techo 1\nb\thold\techo 2\n",
        '"id","status","command"\n"a","open","echo 1"\n"b","hold","echo 2"\n'.encode("utf-16"),
        b"\xfe\xff" + "command,id,status\necho 1,a,open\necho 2,b,hold\n".encode("utf-16-be"),
        b"\n# first\n  \n Command , ID,note,Status \necho 1,a,x,open\n,,,\necho 2,b,y,hold,,\n",
        b"id,status,command\ra,open,echo 1\rb,hold,echo 2\r",
        b"sep=;\nid;status;command\na;open;echo 1\nb;hold;echo 2\n",
    ],
    ids=["bom-semicolon-crlf", "tabs", "utf16", "utf16-be", "blank-lines-and-case", "old-mac", "excel-hint"],
)
def test_every_dialect_is_read_and_rendered_to_the_same_bytes(data: bytes) -> None:
    table = parse(data)
    assert commands(table) == ["echo 1", "echo 2"]
    assert [table.cells(number).id for number in (0, 1)] == ["a", "b"]
    assert table.render() == data


def test_only_the_changed_cells_change_their_bytes() -> None:
    data = b'\xef\xbb\xbfid;status;command;note\r\n"a";"open";"say ""x""; echo";  y \r\n# c\r\nb;hold;z\r\n'
    table = parse(data).with_cells({0: {"status": "running"}, 1: {"status": "failed", "note": "n; 2"}})
    assert table.render() == (
        b'\xef\xbb\xbfid;status;command;note\r\n"a";"running";"say ""x""; echo";  y \r\n'
        b'# c\r\nb;failed;z;"n; 2"\r\n'
    )


def test_utf_16_stays_utf_16_when_a_cell_is_written() -> None:
    table = parse("id\tstatus\tcommand\nä\topen\techo\n".encode("utf-16"))
    written = table.with_cells({0: {"status": "running"}}).render()
    assert written[:2] in (b"\xff\xfe", b"\xfe\xff")
    assert written.decode("utf-16") == "id\tstatus\tcommand\nä\trunning\techo\n"


def test_quoted_cells_may_hold_delimiters_quotes_and_lines() -> None:
    data = b'id,command,status\na,"printf ""%s""\nsleep 1, 2\n",open\nb,echo,hold\n'
    table = parse(data)
    assert commands(table) == ['printf "%s"\nsleep 1, 2', "echo"]
    assert table.lines == [2, 5]
    assert table.with_cells({0: {"status": "running"}}).render() == data.replace(b"open", b"running")


def test_a_missing_final_newline_stays_missing() -> None:
    table = parse(b"id,status,command\na,open,echo")
    assert table.with_cells({0: {"status": "hold"}}).render() == b"id,status,command\na,hold,echo"


def test_short_rows_are_filled_up_only_where_a_cell_is_written() -> None:
    table = parse(b"command,status,message\necho a\necho b\n")
    assert table.cells(0).status == ""
    assert (
        table.with_cells({1: {"message": "done"}}).render()
        == b"command,status,message\necho a\necho b,,done\n"
    )


def test_a_column_that_the_header_lacks_is_not_written() -> None:
    table = parse(PLAIN)
    assert table.with_cells({0: {"message": "nobody could read it"}}).render() == PLAIN


def test_columns_are_added_to_the_header_alone() -> None:
    table = with_columns(parse(PLAIN), ["message", "rev"])
    assert table.render() == PLAIN.replace(b"command\n", b"command,message,rev\n")
    assert table.with_cells({0: {"rev": "1"}}).rows[0].raw == "a,open,echo 1,,1\n"


def test_rows_are_appended_in_the_files_own_dialect() -> None:
    table = with_rows(parse(b"status;command;note\r\nopen;echo"), [{"command": "a; b", "status": "open"}])
    assert table.render() == b'status;command;note\r\nopen;echo\r\nopen;"a; b";\r\n'


def test_unchanged_rows_are_the_same_objects_in_the_next_table() -> None:
    first = parse(PLAIN)
    second = parse(PLAIN.replace(b"a,open", b"new,open,x\na,open").replace(b"hold", b"open"), previous=first)
    assert second.rows[1] is first.rows[0]
    assert second.rows[2] is not first.rows[1]
    assert second.lines == [2, 3, 6]


def test_rows_are_not_reused_under_another_header() -> None:
    first = parse(b"id,command\na,b\n")
    assert parse(b"command,id\na,b\n", previous=first).cells(0).command == "a"


def test_cells_are_compared_in_one_spelling() -> None:
    table = parse(b"command,STATUS,gpus,priority,seeds,timeout,rev\n echo , Open ,1.0,NaN,4.0,nan,3.0\n")
    assert table.cells(0) == Cells(command="echo", status="open", gpus="1", seeds="4", rev="3")


@pytest.mark.parametrize(
    ("text", "number"), [("3", 3), ("3.0", 3), ("+3", 3), ("x", None), ("", None), ("9" * 30, None)]
)
def test_whole_numbers_are_read_as_spreadsheets_write_them(text: str, number: int | None) -> None:
    assert whole(text) == number


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"", None, "empty"),
        (b"\n\n", None, "empty"),
        (b"# only\n", None, "comments only"),
        (b"id,status\na,open\n", 1, "no column is called 'command'"),
        (b"id,comand,status\na,echo,open\n", 1, "Did you mean 'command' where 'comand' stands"),
        (b"id,command,ID\na,b,c\n", 1, "column 'id' stands twice"),
        (b"id,command\na,b\n\x00\n", 3, "NUL"),
        (b"id,command\na,b\nc,\xff\xe4\n", 3, "not UTF-8"),
        (b'id,command\na,"b\nc,d\n', 2, "never closed"),
        (b'id,command\na,b\nc,"d\ne,f"g\n', 3, "text behind its closing quote"),
        (b"i\x00d\x00", 1, "UTF-16 without"),
        (b"\xff\xfe\x00\x00i\x00\x00\x00", None, "UTF-32"),
        (b"a,open,echo\nid,status,command\n", 2, "Move it above"),
        (b"a,open,echo,,,\nb,open,echo,,,\n", 1, "no column is called 'command'"),
        (b"just some text\nmore of it\n", 1, "no column is called 'command'"),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_names_line_and_cure(
    data: bytes, line: int | None, words: str
) -> None:
    with pytest.raises(TableError, match=words) as error:
        parse(data)
    assert error.value.line == line


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (b"a,open,echo 1, 2", "has 4 cells, but the header names 3 columns"),
        (b'a,open,"echo"x', "text behind a closing quote"),
        (b'a, open, "echo 1, 2"', "no blank before the opening quote"),
        (b"a,op\ren,echo", "carriage return"),
    ],
)
def test_a_fault_of_one_row_is_that_rows_alone(row: bytes, words: str) -> None:
    table = parse(b"id,status,command\n" + row + b"\nb,hold,echo 2\n")
    assert words in table.rows[0].problem
    assert not table.rows[1].problem
    assert table.cells(1).command == "echo 2"


def headerless(count: int) -> bytes:
    lines = ["# jobs of the old study", ""]
    for number in range(count):
        tail = [",open,", ",open", ", Completed ,", ",completed"][number % 4]
        lines.append(f'python train.py --lr 0.{number}, --tags a,b "x y"{tail}')
        if number % 50 == 0:
            lines.append(f"  # part {number}, still open,")
    return ("\n".join(lines) + "\n").encode()


def test_the_older_form_without_a_header_keeps_all_bytes_but_those_of_the_status() -> None:
    data = headerless(568)
    table = parse(data)
    assert table.headerless
    assert len(table.rows) == 568
    assert table.cells(0).command == 'python train.py --lr 0.0, --tags a,b "x y"'
    assert table.cells(2).status == "completed"
    assert table.render() == data
    changed = table.with_cells(
        {number: {"status": "completed", "message": "x"} for number in range(0, 568, 2)}
    )
    want = data.replace(b",open,\n", b",completed,\n").replace(b", Completed ,", b", completed ,")
    assert changed.render() == want.replace(b"still completed,", b"still open,")


def test_the_older_form_as_a_spreadsheet_quotes_it_is_read() -> None:
    table = parse(b'"echo ""a"", b",open,\n"echo c","completed",\necho d,open,\n')
    assert commands(table) == ['echo "a", b', "echo c", "echo d"]
    assert table.with_cells({1: {"status": "open"}}).rows[1].raw == '"echo c","open",\n'


def test_an_unknown_status_in_the_older_form_is_seen_as_one() -> None:
    table = parse(b"echo a,open,\necho b,opne,\necho c,open\n")
    assert table.cells(1).status == "opne"
    assert table.cells(1).command == "echo b"


def test_the_older_form_says_which_line_has_no_status() -> None:
    table = parse(b"echo a,open,\necho b\necho c,completed\n")
    assert "End the line with `,open,`" in table.rows[1].problem


def test_the_older_form_takes_new_rows() -> None:
    table = with_rows(parse(b"echo a,open,\n"), [{"command": "echo b, c"}])
    assert table.render() == b"echo a,open,\necho b, c,open,\n"


def test_ten_thousand_rows_are_parsed() -> None:
    assert len(parse(many_rows(10_000)).rows) == 10_000


CELL = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from(",;\t"))
def test_any_text_in_cells_survives_and_unchanged_rows_keep_their_bytes(
    rows: list[list[str]], delimiter: str
) -> None:
    rows = [["x" + first, "y" + second, "z" + third] for first, second, third in rows]
    text = table_text(rows, columns=("id", "note", "command"), delimiter=delimiter)
    table = parse(text.encode())
    assert [list(row.cells) for row in table.rows] == rows
    assert table.render() == text.encode()
    changed = table.with_cells({0: {"id": "new"}})
    again = parse(changed.render())
    assert [list(row.cells) for row in again.rows] == [["new", *rows[0][1:]], *rows[1:]]
    assert changed.pieces[2:] == table.pieces[2:]


@given(st.binary(max_size=200))
def test_no_bytes_lead_to_another_error_than_a_table_error(data: bytes) -> None:
    try:
        table = parse(data)
    except TableError:
        return
    assert table.render() == data


@given(st.text(alphabet='ab,;"\n\r\t# ', max_size=60))
def test_quotes_and_line_ends_in_any_order_keep_their_bytes(text: str) -> None:
    data = b"id,command\n" + text.encode()
    try:
        table = parse(data)
    except TableError:
        return
    assert table.render() == data
    changed = table.with_cells({number: {"id": "n"} for number in range(len(table.rows))})
    again = parse(changed.render())
    assert len(again.rows) == len(table.rows)
    assert all(again.cells(number).id == "n" for number in range(len(again.rows)))
