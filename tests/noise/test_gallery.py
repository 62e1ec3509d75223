"""The gallery in a real browser, as a person uses it: from disk, by keyboard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pkgs.noise.exports import export
from pkgs.noise.gallery import script_text
from pkgs.noise.gallery_tiles import write_layers
from pkgs.noise.review import Mark, read_review
from tests.builders.browser import Page, browsing, find_browser
from tests.builders.noise_patches import label, one_of_each, predict, write_view

CURRENT = "document.querySelector('.row.current h3').textContent"
SHOWN = "[...document.querySelectorAll('.row')].map((row) => row.querySelector('h3')?.textContent)"
COUNTS = "document.getElementById('counts').textContent"
HOSTILE = "</script><img src=x onerror=alert(1)> ü&.png"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    binary = find_browser()
    if binary is None:
        pytest.skip("no Chromium on PATH: the gallery is tried in a real browser only")
    with browsing(binary, profile=tmp_path_factory.mktemp("profile")) as page:
        page.size(1366, 768)
        yield page


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    views = one_of_each(tmp_path / "labels")
    export(views, folder=tmp_path, title=f"Review {tmp_path.name}")
    return tmp_path / "gallery/index.html"


def opened(page: Page, path: Path) -> None:
    """Open a gallery in a browser that remembers nothing: pages from disk share their storage."""
    page.open(path)
    page.run("localStorage.clear()")
    page.open(path)


def wait_for(page: Page, expression: str) -> None:
    page.run(
        "new Promise((done, fail) => { const end = Date.now() + 20000; const look = () => "
        f"({expression}) ? done() : Date.now() > end ? fail(new Error('never true')) : setTimeout(look, 30);"
        "look(); })"
    )


def downloaded(page: Page, folder: Path, *, key: str) -> Path:
    """Press `key` and return the review that it downloads."""
    folder.mkdir()
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    page.press(key)
    path, end = folder / "review.csv", time.monotonic() + 20
    while not (path.exists() and path.stat().st_size) and time.monotonic() < end:
        time.sleep(0.05)
    return path


def test_the_page_opens_from_disk_worst_first_without_asking_anybody(page: Page, gallery: Path) -> None:
    opened(page, gallery)
    wait_for(page, "[...document.images].length > 20 && [...document.images].every((one) => one.complete)")
    assert page.run(SHOWN)[:3] == ["a_0_0_0_0.png", "a_0_0_0_209.png", "b_0_0_0_0.png"]
    assert page.run("[...document.images].every((one) => one.naturalWidth > 0)")
    assert all(address.startswith(("file:", "data:")) for address in page.requests())
    assert page.troubles() == []
    assert page.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_filter_shows_the_patches_with_that_finding(page: Page, gallery: Path) -> None:
    opened(page, gallery)
    page.run("document.querySelector('[data-kind=rotated]').click()")
    wait_for(page, "document.querySelector('.row h3')")
    assert page.run(SHOWN) == ["b_0_0_0_209.png"]
    page.run("document.querySelector('[data-kind=none]').click()")
    wait_for(page, "document.querySelector('.row h3')")
    assert page.run(SHOWN) == ["c_0_0_0_209.png"]
    assert "1 of 6 patches" in page.run(COUNTS)


def test_marks_by_keyboard_survive_a_reload_and_come_back_from_the_export(
    page: Page, gallery: Path, tmp_path: Path
) -> None:
    opened(page, gallery)
    for key in ("d", "f", "j", "k", "ArrowUp", "ArrowUp", "f", "u"):
        page.press(key)
    page.reload()
    assert "keep 1 · fix 1 · drop 1 · open 3" in page.run(COUNTS)
    review = downloaded(page, tmp_path / "downloads", key="e")
    text = "imageid,mark,note\na_0_0_0_0.png,drop,\na_0_0_0_209.png,fix,\nb_0_0_0_209.png,keep,\n"
    assert review.read_text() == text
    known = [view.imageid for view in one_of_each(tmp_path / "labels")]
    marks = read_review(review, known=known)
    assert {id_: mark.word for id_, mark in marks.items()} == {
        "a_0_0_0_0.png": "drop",
        "a_0_0_0_209.png": "fix",
        "b_0_0_0_209.png": "keep",
    }


def test_moving_stops_at_both_ends_and_undo_at_the_first_mark(page: Page, gallery: Path) -> None:
    opened(page, gallery)
    page.press("J")
    assert page.run(CURRENT) == "a_0_0_0_0.png"
    for _ in range(9):
        page.press("ArrowDown")
    assert page.run(CURRENT) == "c_0_0_0_209.png"
    page.press("k")
    page.press("u")
    page.press("u")
    assert "keep 0" in page.run(COUNTS)
    assert page.run("document.getElementById('status').textContent") == "Nothing to undo."


def test_a_note_is_typed_without_marking_and_quoted_in_the_export(
    page: Page, gallery: Path, tmp_path: Path
) -> None:
    opened(page, gallery)
    for key in ("k", "J", "n", *'dk, "x"', "Enter"):
        page.press(key)
    review = downloaded(page, tmp_path / "downloads", key="e")
    assert read_review(review) == {"a_0_0_0_0.png": Mark("keep", 'dk, "x"')}


def test_by_mouse_a_click_after_typing_marks_and_a_second_one_takes_it_back(
    page: Page, gallery: Path, tmp_path: Path
) -> None:
    opened(page, gallery)
    wait_for(page, "document.querySelectorAll('.row h3').length > 1")
    second = "[data-index='1'] .marks button"
    page.click(f"{second}:nth-child(1)")
    page.click("[data-index='1'] input")
    for key in "odd":
        page.press(key)
    page.click(f"{second}:nth-child(3)")
    review = downloaded(page, tmp_path / "downloads", key="e")
    assert read_review(review) == {"a_0_0_0_209.png": Mark("drop", "odd")}
    page.click(f"{second}:nth-child(3)")
    assert "drop 0" in page.run(COUNTS)
    page.press("u")
    assert "drop 1" in page.run(COUNTS)


def test_a_filter_by_mark_shows_what_was_marked(page: Page, gallery: Path) -> None:
    opened(page, gallery)
    for key in "dkd":
        page.press(key)
    page.run(
        "(() => { const select = document.getElementById('marked'); select.value = 'drop';"
        "select.dispatchEvent(new Event('change')); })()"
    )
    wait_for(page, "[...document.querySelectorAll('.row')].every((row) => row.childElementCount)")
    assert page.run(SHOWN) == ["a_0_0_0_0.png", "b_0_0_0_0.png"]


def test_an_import_takes_what_fits_and_says_what_does_not(page: Page, gallery: Path) -> None:
    opened(page, gallery)
    text = 'imageid,mark,note\\r\\nc_0_0_0_0.png,fix,"a ""b"", c"\\r\\nelsewhere.png,keep,\\r\\n'
    page.run(
        "(() => { const list = new DataTransfer(); const input = document.getElementById('file');"
        f"list.items.add(new File(['{text}'], 'review.csv')); input.files = list.files;"
        "input.dispatchEvent(new Event('change')); })()"
    )
    wait_for(page, "document.getElementById('status').textContent")
    assert page.run("document.getElementById('status').textContent").startswith(
        "1 marks taken in, 1 left out"
    )
    note = "document.querySelector('[data-index=\"4\"] input')"
    wait_for(page, note)
    assert page.run(f"{note}.value") == 'a "b", c'


def test_names_that_look_like_markup_are_shown_as_names(page: Page, tmp_path: Path) -> None:
    view = write_view(tmp_path / "labels", "plain.png")
    export([replace(view, imageid=HOSTILE)], folder=tmp_path, title="<b>&")
    opened(page, tmp_path / "gallery/index.html")
    assert page.run(SHOWN) == [HOSTILE]
    assert page.run("document.title") == "<b>&"
    assert page.troubles() == []


def test_marks_of_an_earlier_review_are_there_from_the_start(page: Page, tmp_path: Path) -> None:
    views = one_of_each(tmp_path / "labels")
    export(views[:4], folder=tmp_path, marks={"b_0_0_0_0.png": Mark("drop", "see map")})
    opened(page, tmp_path / "gallery/index.html")
    assert "drop 1 · open 3" in page.run(COUNTS)


def test_five_thousand_patches_open_and_hold_few_pictures(page: Page, tmp_path: Path) -> None:
    view = write_view(tmp_path / "labels", "x.png", labelled=[(4, 4, 20, 20)])
    export([view], folder=tmp_path)
    source = (tmp_path / "gallery/index.html").read_text()
    one = source[source.index('"patches":[') + 11 : source.index("]}</script>")]
    many = ",".join(one.replace('"x.png"', f'"x_{number}.png"') for number in range(5000))
    (tmp_path / "gallery/many.html").write_text(source.replace(one, many))
    page.open(tmp_path / "gallery/many.html")
    assert "5000 of 5000 patches" in page.run(COUNTS)
    wait_for(page, "document.images.length > 0")
    assert page.run("document.images.length") < 200


def test_text_in_a_script_element_cannot_end_it() -> None:
    assert "<" not in script_text({"name": "</script><!--"})


def test_layers_are_clear_where_nothing_is_to_be_seen(tmp_path: Path) -> None:
    mask = label([(8, 8, 24, 24)]) == 1
    write_layers(
        tmp_path / "strip.png",
        label_HW=mask,
        probability_HW=predict([]) * 0,
        wrong_HW=None,
        corrected_HW=~mask,
    )
    strip = np.asarray(Image.open(tmp_path / "strip.png").convert("RGBA"))
    assert strip.shape == (64, 256, 4)
    assert (strip[:, :64, 3] > 0).sum() == mask.sum()
    assert strip[:, 64:192, 3].max() == 0
    assert (strip[:, 192:, 3] > 0).all()
    assert tuple(strip[12, 12, :3]) == (0, 158, 115)


def test_a_set_without_error_map_has_no_such_column(tmp_path: Path) -> None:
    export([write_view(tmp_path / "labels", "x.png", wrong=False)], folder=tmp_path)
    text = (tmp_path / "gallery/index.html").read_text()
    assert '"layers":["label","prediction","suggestion"]' in text
