"""Tables that come with a release."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.data.formats.table import read_lines, read_rows, read_table
from pkgs.data.items import DataError


def test_rows_come_with_their_lines_and_blank_ones_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffname,text\r\n\r\nx,"a, b"\r\n'.encode())
    assert read_rows(path, remedy="Fetch it.") == [(1, ["name", "text"]), (3, ["x", "a, b"])]
    assert read_lines(path, remedy="Fetch it.") == ["name,text", 'x,"a, b"']


def test_a_missing_table_ends_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: is missing\. Fetch it\.$"):
        read_rows(tmp_path / "none.csv", remedy="Fetch it.")


def test_what_is_no_text_or_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"a\.csv: is no text in UTF-8\. Fetch it"):
        read_rows(tmp_path / "a.csv", remedy="Fetch it.")
    with pytest.raises(DataError, match="cannot be read"):
        read_lines(tmp_path, remedy="Fetch it.")


def test_a_field_without_an_end_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n"' + "x" * 200_000 + "\n")
    with pytest.raises(DataError, match=r"a\.csv, line \d: is no table \(field larger"):
        read_rows(tmp_path / "a.csv", remedy="Fetch it.")


def test_rows_are_text_by_column_and_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\ufeffpath,label\na.npy,1\n", encoding="utf-8")
    assert read_table(tmp_path / "t.csv", columns=("path",)) == [{"path": "a.npy", "label": "1"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"the columns path, label are missing; it has none"),
        ("path,label\n", r"has a header and no rows"),
        ("path,label\na,1\nb\n", r"another number of cells than the header: 3\."),
        ("path,label\na,1,2\n", r"another number of cells than the header: 2\."),
        ('path,label\n"a,1\n', r"is not a CSV table in UTF-8"),
    ],
)
def test_a_broken_table_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_table(tmp_path / "t.csv", columns=("path", "label"))
