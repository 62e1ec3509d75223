from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.data.items import DataError
from pkgs.noise.review import Mark, read_review

HEAD = "imageid,mark,note\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "review.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_marks_and_notes_come_back_in_order(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + 'b.png,drop,"clouds, ""thin"""\na.png,keep,\n')
    marks = read_review(path, known={"a.png", "b.png", "c.png"})
    assert list(marks.items()) == [("b.png", Mark("drop", 'clouds, "thin"')), ("a.png", Mark("keep"))]


def test_what_spreadsheets_add_is_read(tmp_path: Path) -> None:
    assert read_review(written(tmp_path, "\ufeff" + HEAD.strip() + "\r\na.png,fix,\r\n\r\n")) == {
        "a.png": Mark("fix")
    }


def test_all_bad_lines_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "a.png,keep,\na.png,drop,\nb.png,Keep,\nz.png,fix,\n")
    with pytest.raises(DataError) as told:
        read_review(path, known={"a.png", "b.png"})
    assert "line 3: 'a.png' is marked a second time" in str(told.value)
    assert "line 4: 'Keep' is not keep, fix or drop" in str(told.value)
    assert "line 5: 'z.png' is not in this ranking" in str(told.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"the header is ''; expected 'imageid,mark,note'"),
        ("id,imageid\n", r"the header is 'id,imageid'; expected"),
        (HEAD + "a.png,keep\n", r"lines 2 have not three cells"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_review(written(tmp_path, text))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"review\.csv: cannot be read as a review"):
        read_review(tmp_path / "review.csv")
