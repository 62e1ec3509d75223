"""Tables that list samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.data.formats.csv_table import read_table
from pkgs.data.items import DataError


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
