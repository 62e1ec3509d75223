"""Hostile files: each gets an error with row, column, value, expectation and remedy; its neighbours run.

Some 250 named cases and a fuzz. Nothing may raise another error, hang, or stop the good rows beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkgs.jobqueue.table.jobs_file import JobsFile, RowNews, TableNews
from pkgs.jobqueue.table.merge import DictMemory
from pkgs.jobqueue.table.table import COLUMNS
from pkgs.jobqueue.table.table_file import TableFile
from pkgs.jobqueue.vocabulary import Job
from tests.builders.tables import table_text

LONG = "x" * 10_000_000
BAD_CELLS: dict[str, list[str]] = {
    "id": [
        "../x", "..", ".", "a/../b", "/etc/passwd", "//a", "a//b", "a/", "~", "~/x", "a b", "a\tb", "a\nb",
        "a.", "a/b.", "...", "-x", "a/-x", ".ssh", "CON", "con", "nul.txt", "a/AUX", "COM1", "lpt9.log",
        "a:b", "a*b", "a?b", "a<b", "a|b", 'a"b', "a'b", "a\\b", "C:\\x", "a%2e", "a&b", "a;rm -rf",
        "$(id)", "`id`", "${HOME}", "ä", "日本", "a\u202eb", "a\u200bb", "\u200fa", "a\x07", "e\u0301",
        "queue", "queue/x", "Queue/y", "a/attempts", "a/Checkpoints/b", "figures", "a/predictions",
        "seed_0", "a/seed_12/b", "a/config.yaml", "x" * 201, "a/" * 120 + "a", LONG, "=1+1", "@x", "+x",
        "a,b", "a;b", "!", "\ufeffa",
    ],
    "status": [
        "opne", "runing", "done", "TODO", "pending", "open open", "completed!", "1", "True", "offen",
        "\u202eopen", "o\u200bpen", "=open", "hold,", "x" * 500, "?", "null", "#N/A", "open\nhold",
        "failed?",
    ],
    "command": [
        "=SUM(A1:A3)", "=cmd|' /C calc'!A0", "# only a comment", "echo \u202e txt", "echo a\u200bb",
        "echo \x1b[2J", "echo \x07", "\x08\x08", "x" * 100_001, LONG, "run {seed}", "run {condition}",
        "run --s {seed} --c {condition}", "echo \u2066x", "echo \u2028 x", "#NAME?", "echo \x9b31m",
        "\ufeffecho",
    ],
    "seeds": [
        "04.Jan", "Jan-04", "4-Jan", "1/4/2026", "2026-01-04", "01.04.2026", "2026-01-04 00:00:00",
        "Jan 04", "4. Jan", "4.1.", "a", "0..", "..4", "0...4", "0..4..8", "4..0", "-1", "1.5", "0x10",
        "1e3", "1;2", "0:4", "[0,1]", "range(5)", "1 1", "0..4 3", "0..1000000", "0-99999999999",
        "99999999999999999999", "\uff11", "0 ..4", "all", "+-1", "1 2 x", "4 janvier", "März 4", "NaNa",
        " ".join(map(str, range(10_001))), "9" * 5000, LONG,
    ],
    "conditions": [
        "a a", "a A", "../x", "a/b", ".", "..", ".x", "-x", "a|b", "seed_1", "Checkpoints", "con", "ä",
        "a\u202eb", "x" * 201, "$(id)", "attempts", "a b c b", "train.csv", "x.",
    ],
    "after": [
        "../x", "a:some", "a:", ":all", "a:ALL:x", "a b a", "a a:all", "/a", "a//b", "-a", "ä", "a;b",
        "queue/x", "seed_1", "a|b", "*", "\u202ea", "x" * 201,
    ],
    "gpus": [
        "one", "-1", "1.5", "1,5", "1e3", "0x1", "1 2", "all", "1025", "99999999999999999999", "True", "½",
        "\uff11.\uff15", "1GPU", "=1", "1/2", "inf", "01.Jan", "--1", "9" * 5000,
    ],
    "gpu_mem": [
        "24 gigs", "14", "G", "-1G", "1,5G", "0G", "0.0001K", "14G 2", "max", "50%", "1e3M", "14P", "half",
        "99999999T", "14 G B", "=14G", "1.2.3G", "GiB14", "14\u200bG", "auto!",
    ],
    "priority": [
        "high", "1.5", "1e9", "99999999999", "-99999999999", "1 2", "--1", "A", "=1", "\uff11", "1,000",
        "0x1",
    ],
    "retries": [
        "-1", "many", "1.5", "1001", "inf", "1 2", "=1", "99999999999999999999", "twice",
    ],
    "timeout": [
        "90", "1:30", "1:30:00", "soon", "12 hours", "h", "-1h", "0s", "0m", "1w", "1h30", "1h,30m",
        "9999999d", "1e3s", "12:00 PM", "1y", "1h x", "∞", "=1h", "01.Jan",
    ],
}  # fmt: skip
CASES = [(column, value) for column, values in BAD_CELLS.items() for value in values]
SHORT_CASES = [case for case in CASES if case[1] is not LONG]


def taken_in(path: Path, data: bytes) -> TableNews:
    path.write_bytes(data)
    news = JobsFile(TableFile(path), DictMemory()).reread(0.0)
    assert news is not None
    return news


def around(row: dict[str, str]) -> bytes:
    """Return a table with this row between two good ones."""
    rows = [{"id": "good_1", "command": "true"}, row, {"id": "good_2", "command": "true"}]
    return table_text([cells.get(name, "") for name in COLUMNS] for cells in rows).encode()


def good_rows(news: TableNews) -> list[str]:
    return [row.id for row in news.rows if row.job is not None]


def only_refused(news: TableNews) -> RowNews:
    (refused,) = [row for row in news.rows if row.job is None]
    return refused


def label(case: tuple[str, str]) -> str:
    return f"{case[0]}-{case[1][:20]!a}"


def test_there_are_more_than_two_hundred_hostile_cells() -> None:
    assert len(CASES) > 200
    assert len(set(CASES)) == len(CASES)


@pytest.mark.parametrize(("column", "value"), CASES, ids=map(label, CASES))
def test_a_hostile_cell_is_named_with_its_cure_and_stops_no_other_row(
    tmp_path: Path, column: str, value: str
) -> None:
    news = taken_in(tmp_path / "Jobs.csv", around({"id": "bad", "command": "true", column: value}))
    assert good_rows(news) == ["good_1", "good_2"]
    errors = {error.column: error for error in only_refused(news).errors}
    assert column in errors or (column == "command" and {"command", "seeds"} & errors.keys())
    error = errors[column]
    assert error.line == 3
    assert error.expected
    assert error.remedy.endswith((".", "?"))
    assert str(error).startswith(f"Jobs.csv, line 3, column '{column}': '")
    assert len(str(error)) < 600
    assert str(error).isprintable()


@pytest.mark.parametrize(("column", "value"), SHORT_CASES, ids=map(label, SHORT_CASES))
def test_the_reason_is_written_into_the_rows_message_and_nothing_else(
    tmp_path: Path, column: str, value: str
) -> None:
    path = tmp_path / "Jobs.csv"
    before = around({"id": "bad", "command": "true", column: value})
    path.write_bytes(before)
    jobs = JobsFile(TableFile(path), DictMemory())
    first = jobs.reread(0.0)
    assert jobs.write_back({})
    again = JobsFile(TableFile(path), DictMemory()).reread(0.0)
    assert first is not None
    assert again is not None
    old, new = only_refused(first), only_refused(again)
    assert f"column '{column}'" in new.cells.message
    assert new.cells._replace(message="", rev="") == old.cells
    assert path.read_bytes().splitlines()[:2] == before.splitlines()[:2]
    assert path.read_bytes().splitlines()[-1] == before.splitlines()[-1]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        ".Jobs.csv.lock", ".Jobs.csv.previous", "Jobs.csv",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("bad,open,true,,,,,,,,,,,,surplus", "has 15 cells, but the header names 14 columns"),
        ("bad,open,echo a, b, c, d, e,,,,,,,,,", "column 'seeds': 'b' is not empty or a list of seeds"),
        ('bad,open,"true" x', "behind a closing quote"),
        ('bad, "open", "echo 1, 2",,,,,,,,,,,,', "column 'status': '\"open\"' is not open"),
        ('bad, open, "echo 1, 2",,,,,,,,,,,,x', "no blank before the opening quote"),
        ("bad,open,tr\rue", "carriage return"),
        ("good_1,open,true", "it stands in line 2"),
        ("GOOD_1,open,true", "upper from lower case"),
        ("good_1/in/side,open,true", "inside the run folder of 'good_1' in line 2"),
        ("bad", "a command"),
        (",,,,,,,,,,,,words without a command", "a command"),
    ],
)
def test_a_hostile_row_is_refused_alone(tmp_path: Path, row: str, words: str) -> None:
    data = f"{','.join(COLUMNS)}\ngood_1,open,true\n{row}\ngood_2,open,true\n"
    news = taken_in(tmp_path / "Jobs.csv", data.encode())
    assert good_rows(news) == ["good_1", "good_2"]
    errors = only_refused(news).errors
    assert all(error.line == 3 and error.remedy for error in errors)
    assert any(words in str(error) for error in errors)


WHOLE = {
    "empty": b"",
    "blank": b" \n\n\t\n",
    "only comments": b"# a\n# b\n",
    "nul": b"id,command\na,b\x00\n",
    "binary": bytes(range(256)) * 40,
    "latin-1": "id,command\nmüll,echo\n".encode("latin-1"),
    "utf-16 without a mark": "id,command\na,b\n".encode("utf-16-le"),
    "utf-32": "id,command\na,b\n".encode("utf-32"),
    "cut utf-16": "id,command\na,b\n".encode("utf-16")[:-1],
    "unclosed quote": b'id,command\na,"echo\nb,echo\n',
    "unclosed quote at the end": b'id,command\na,echo\n"',
    "quote over lines": b'id,command\na,"echo\nb"x,echo\n',
    "no command column": b"id,status\na,open\n",
    "misspelt command": b"id,status,comand\na,open,true\n",
    "no header": b"a,true,0..4,,x\nb,true,0..4,,x\n",
    "two id columns": b"id,command,Id\na,b,c\n",
    "two command columns": b"command,command\na,b\n",
    "header below the rows": b"a,open,true\nid,status,command\n",
    "a web page": b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n",
    "json": b'{"jobs": [{"id": "a"}]}\n',
    "a spreadsheet file": b"PK\x03\x04\x14\x00\x06\x00" + bytes(100),
    "a merge conflict": b"<<<<<<< HEAD\nid,command\n=======\nid,command\n>>>>>>> x\n",
    "a lone quote": b'"',
    "ten megabytes of quotes": b'"' * 10_000_001,
    "ten megabytes of commas": b"," * 10_000_000,
    "ten megabytes without a line end": b"x" * 10_000_000,
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_hostile_file_is_refused_as_a_whole_with_a_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / "Jobs.csv"
    news = taken_in(path, WHOLE[name])
    assert news.problem is not None
    assert news.problem.startswith("Jobs.csv")
    assert news.problem.isprintable()
    assert 30 < len(news.problem) < 400
    assert not news.rows
    assert path.read_bytes() == WHOLE[name]


def test_a_hundred_thousand_rows_and_many_columns_are_taken(tmp_path: Path) -> None:
    rows = ([f"j{number}", f"echo {number}", *[""] * 40] for number in range(20_000))
    data = table_text(rows, columns=["id", "command", *(f"x{number}" for number in range(40))]).encode()
    assert len(good_rows(taken_in(tmp_path / "Jobs.csv", data))) == 20_000


def test_commands_with_everything_that_bash_knows_are_no_fault(tmp_path: Path) -> None:
    commands = [
        "a && b || c; d | e > f 2>&1 &", 'echo "x, y" \'z\' `id` $(id) ${A:-b} $((1+2)) {1..3}',
        "cat <<'E'\nline\nE", "for i in 1 2; do echo $i; done # comment", "awk -F, '{print $1}' ~/x*",
        "echo 日本 grüße 🎉", "a\\\n b", "\techo", "-x", "!x", "'", '"',
    ]  # fmt: skip
    rows = [[f"j{number}", command] for number, command in enumerate(commands)]
    news = taken_in(tmp_path / "Jobs.csv", table_text(rows, columns=["id", "command"]).encode())
    assert [row.cells.command for row in news.rows if row.job] == [command.strip() for command in commands]


def cells() -> st.SearchStrategy[str]:
    words = [value for values in BAD_CELLS.values() for value in values if len(value) < 100]
    return st.one_of(
        st.sampled_from(words), st.text(max_size=15), st.sampled_from(["", "0..4", "14G", "open", "a b"])
    )


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(COLUMNS), cells(), max_size=8))
def test_any_row_is_a_job_or_an_error_and_its_neighbours_run(
    tmp_path_factory: pytest.TempPathFactory, row: dict[str, str]
) -> None:
    safe = {name: text.encode("utf-8", "ignore").decode().replace("\0", "") for name, text in row.items()}
    data = around({**safe, "note": ""} if any(map(str.strip, safe.values())) else {"command": "true"})
    news = taken_in(tmp_path_factory.mktemp("fuzz") / "Jobs.csv", data)
    ids = good_rows(news)
    assert "good_1" in ids
    assert "good_2" in ids
    for found in news.rows:
        assert isinstance(found.job, Job) != bool(found.errors)
        assert all(str(error).isprintable() for error in found.errors)


def flips(data: bytes) -> Iterator[bytes]:
    for place in range(0, len(data), 7):
        yield data[:place] + bytes([data[place] ^ 0x22]) + data[place + 1 :]
        yield data[:place] + data[place + 3 :]
        yield data[:place] + b'"' + data[place:]


def test_a_damaged_file_never_leads_to_another_error_than_a_sentence(tmp_path: Path) -> None:
    data = around({"id": "x", "command": 'echo "a, b"', "seeds": "0..4"})
    for number, damaged in enumerate(flips(data)):
        news = taken_in(tmp_path / f"Jobs_{number}.csv", damaged)
        assert news.problem or news.rows
