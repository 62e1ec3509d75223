from __future__ import annotations

from pathlib import Path

from pkgs.reports.document import Table
from pkgs.reports.plan_ranking import ShownTable
from pkgs.reports.runs import read_study
from pkgs.reports.shown_tables import shown_table
from tests.builders.rankings import made_up_scores, write_ranking
from tests.builders.run_folders import MadeUp, write_run

ASKED = ShownTable(condition="rank", file="objects.csv", caption="Objects", labels=1)


def show(root: Path, content: str | None, asked: ShownTable = ASKED) -> Table | str:
    write_run(root, "made/base", seed=0, run=MadeUp())
    folder = write_ranking(root, made_up_scores())
    if content is not None:
        (folder.path / "objects.csv").write_text(content)
    return shown_table(read_study(root, "made", out=root / "out"), asked)


def test_numbers_get_the_digits_of_the_page_and_texts_stay(tmp_path: Path) -> None:
    table = show(tmp_path, "operation,found,recall_at_half\ndrop,12,.83333\nadd,-3,\nNA,1e-3,nan\n")
    assert isinstance(table, Table)
    assert table.header == ["operation", "found", "recall at half"]
    assert table.rows == [["drop", "12", ".833"], ["add", "-3", ""], ["NA", ".001", "–"]]  # noqa: RUF001
    assert (table.caption, table.name) == ("Objects", "rank_objects")


def test_a_long_table_is_cut_and_says_so(tmp_path: Path) -> None:
    table = show(tmp_path, "a,b\n" + "x,1\n" * 50)
    assert isinstance(table, Table)
    assert len(table.rows) == 40
    assert table.caption == "Objects (the first 40 of 50 rows)"


def test_what_is_not_there_or_broken_is_a_sentence(tmp_path: Path) -> None:
    assert show(tmp_path / "a", None) == "rank: objects.csv is not there, so it is not shown."
    assert "objects.csv cannot be read (No columns to parse" in str(show(tmp_path / "b", ""))
    ghost = ASKED.model_copy(update={"condition": "ghost"})
    assert show(tmp_path / "c", None, ghost) == "ghost has no run yet, so objects.csv is not shown."
