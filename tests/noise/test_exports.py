from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pkgs.data.items import DataError
from pkgs.noise.exports import COLUMNS, Exported, export
from pkgs.noise.patch_view import PatchView
from pkgs.noise.review import Mark
from tests.builders.noise_patches import label, one_of_each, write_view

HOUSE, NEXT = (20, 20, 36, 36), (27, 20, 43, 36)
EACH = {"missing": 1, "extra": 1, "shifted": 1, "rotated": 1, "boundary": 1}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_columns_of_findings_csv_are_frozen() -> None:
    assert COLUMNS == ("imageid", "kind", "confidence", "x0", "y0", "x1", "y1", "area_px", "suggestion")


def test_everything_is_written_and_no_input_is_changed(tmp_path: Path) -> None:
    views = one_of_each(tmp_path / "labels")
    before, out = contents(tmp_path / "labels"), tmp_path / "out"
    out.mkdir()
    assert export(iter(views), folder=out) == Exported(6, EACH, 4)
    assert contents(tmp_path / "labels") == before
    assert sorted(path.name for path in out.iterdir()) == [
        *("corrected", "findings.csv", "findings.geojson", "gallery")
    ]
    assert sorted(contents(out / "corrected")) == sorted(view.imageid for view in views)
    with (out / "findings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == list(EACH)
    assert list(rows[2].values()) == [
        *("b_0_0_0_0.png", "shifted", "0.9250", "20", "20", "43", "36", "256", "replace")
    ]
    assert len(json.loads((out / "findings.geojson").read_text())["features"]) == 8
    with Image.open(out / "corrected/b_0_0_0_0.png") as picture:
        assert (np.asarray(picture) == label([NEXT]) * 255).all()


def test_the_gallery_holds_all_that_it_shows(tmp_path: Path) -> None:
    export(reversed(one_of_each(tmp_path / "labels")), folder=tmp_path)
    text = (tmp_path / "gallery/index.html").read_text()
    assert "http:" not in text
    assert "https:" not in text
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    assert [patch["rank"] for patch in data["patches"]] == [5, 4, 3, 2, 1, 0]
    for patch in data["patches"]:
        assert (tmp_path / "gallery" / f"{patch['tile']}_image.png").is_file()
        assert (tmp_path / "gallery" / f"{patch['tile']}_layers.png").is_file()


def test_a_second_export_takes_the_place_of_the_first(tmp_path: Path) -> None:
    views = one_of_each(tmp_path / "labels")
    export(views, folder=tmp_path)
    (tmp_path / ".exports.1/corrected").mkdir(parents=True)  # what a killed process leaves
    export(views[:1], folder=tmp_path)
    assert sorted(contents(tmp_path / "corrected")) == [views[0].imageid]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("corrected", "findings.csv", "findings.geojson", "gallery", "labels")
    ]


def test_a_failure_leaves_the_earlier_export_untouched(tmp_path: Path) -> None:
    views = one_of_each(tmp_path / "labels")
    export(views, folder=tmp_path)
    before = contents(tmp_path)

    def broken() -> Iterator[PatchView]:
        yield views[0]
        yield replace(views[1], label_file=tmp_path / "gone.png")

    with pytest.raises(DataError, match=r"gone\.png: is missing"):
        export(broken(), folder=tmp_path)
    assert contents(tmp_path) == before


def test_a_label_that_is_said_to_be_right_is_not_corrected(tmp_path: Path) -> None:
    views = one_of_each(tmp_path / "labels")
    marks = {view.imageid: Mark("keep") for view in views[:2]} | {views[2].imageid: Mark("fix")}
    assert export(views, folder=tmp_path, marks=marks).corrected == 2
    name = views[0].imageid
    assert (tmp_path / "corrected" / name).read_bytes() == (tmp_path / "labels" / name).read_bytes()


def test_boxes_and_areas_are_in_pixels_of_the_file(tmp_path: Path) -> None:
    view = write_view(tmp_path / "labels", "x.png", labelled=[HOUSE])
    Image.fromarray(np.kron(view.label, np.ones((4, 4), np.uint8))).save(view.label_file)
    export([view], folder=tmp_path)
    row = (tmp_path / "findings.csv").read_text().splitlines()[1]
    assert row == "x.png,extra,0.9500,80,80,144,144,4096,remove"


def test_a_corrected_mask_bears_the_name_of_the_image_and_the_ending_of_the_label(tmp_path: Path) -> None:
    view = write_view(tmp_path / "labels", "x.tif", labelled=[HOUSE])
    export([replace(view, imageid="sub/x.png")], folder=tmp_path)
    assert sorted(contents(tmp_path / "corrected")) == ["sub/x.tif"]


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    view = write_view(tmp_path / "labels", "x.png")
    with pytest.raises(DataError, match=r"'\.\./x\.png': is no name of a file below"):
        export([replace(view, imageid="../x.png")], folder=tmp_path)


def test_a_patch_that_comes_twice_is_refused(tmp_path: Path) -> None:
    view = write_view(tmp_path / "labels", "x.png")
    with pytest.raises(DataError, match=r"x\.png: comes twice"):
        export([view, view], folder=tmp_path)


def test_labels_from_the_folder_that_would_be_replaced_are_refused(tmp_path: Path) -> None:
    export(one_of_each(tmp_path / "labels"), folder=tmp_path)
    view = write_view(tmp_path / "corrected", "a_0_0_0_0.png")
    with pytest.raises(DataError, match=r"is a corrected mask of the same run folder.*original labels"):
        export([view], folder=tmp_path)
    assert view.label_file.exists()


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    view = write_view(tmp_path / "labels", "x.png")
    with pytest.raises(ValueError, match=r"x\.png: probability has shape \(3, 3\); expected the label's"):
        replace(view, probability=np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"x\.png: wrong holds values outside 0-1"):
        replace(view, wrong=np.full((64, 64), np.nan))
    with pytest.raises(ValueError, match=r"x\.png: image is uint8 \(64, 64, 3\); expected uint8 of"):
        replace(view, image=view.image.transpose(1, 2, 0))
