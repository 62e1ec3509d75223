from __future__ import annotations

from pkgs.reports.document import Bullets, Document, Figure, Heading, Table, Text
from pkgs.reports.markdown import to_markdown
from pkgs.reports.page import to_html
from pkgs.reports.plot_style import Drawing

DRAWING = Drawing("points", "A <figure>", png=b"png", svg=b"svg", width_px=500)
DOCUMENT = Document(
    "Study <x>",
    "three seeds",
    [
        Heading("In short"),
        Text("a < b", quiet=True),
        Bullets(["one_two", "x|y"], warning=True),
        Table(["name", "IoU"], [["a|b", ".8"]], caption="Numbers", folded=True),
        Figure(DRAWING),
    ],
)


def test_the_page_is_self_contained_and_escapes_every_text() -> None:
    page = to_html(DOCUMENT)
    assert "<title>Study &lt;x&gt;</title>" in page
    assert "a &lt; b" in page
    assert 'src="data:image/png;base64,cG5n" width="500"' in page
    assert "<details><summary>Numbers</summary>" in page
    assert "http" not in page
    assert "<script" not in page


def test_markdown_escapes_its_own_marks_and_links_the_figures() -> None:
    text = to_markdown(DOCUMENT)
    assert "- one\\_two\n- x\\|y" in text
    assert "| name | IoU |\n|---|---:|\n| a\\|b | .8 |" in text
    assert "](figures/points.png)" in text
