from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from pkgs.noise.findings import find
from pkgs.noise.geojson import GeoJsonFile, Grid
from pkgs.noise.georeference import Georeference, read_georeference
from pkgs.noise.outlines import doubled_area
from tests.builders.noise_patches import label, predict

HOUSE, NEXT = (20, 20, 36, 36), (27, 20, 43, 36)
KEYS = {1: (1, 1, 0, 2, 1025, 0, 1, 1, 3072, 0, 1, 25832), 2: (1, 1, 0, 2, 1025, 0, 1, 2, 2048, 0, 1, 4326)}


def write_tiff(path: Path, *tags: tuple[Any, ...]) -> Path:
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), extratags=list(tags))
    return path


def scaled(tmp_path: Path, *, raster: int = 1) -> Path:
    """Write pixels of .5 x .25; the point (2, 4) of the raster lies at (100, 200)."""
    return write_tiff(
        tmp_path / "x.tif",
        (33550, "d", 3, (0.5, 0.25, 0.0), True),
        (33922, "d", 6, (2.0, 4.0, 0.0, 100.0, 200.0, 0.0), True),
        (34735, "H", 12, KEYS[raster], True),
    )


def written(tmp_path: Path, *grids: Grid) -> dict[str, Any]:
    path = tmp_path / "findings.geojson"
    findings = find(label([HOUSE]), predict([NEXT]))
    with GeoJsonFile(path) as file:
        for number, grid in enumerate(grids):
            file.add(f"{number}.png", findings, grid=grid)
    return json.loads(path.read_text())


def test_a_pair_is_told_by_two_outlines_in_pixels(tmp_path: Path) -> None:
    collection = written(tmp_path, Grid())
    assert collection["type"] == "FeatureCollection"
    assert "crs" not in collection
    first, second = collection["features"]
    assert first["properties"] == {
        "imageid": "0.png",
        "number": 0,
        "kind": "shifted",
        "confidence": 0.925,
        "suggestion": "replace",
        "outline": "label",
        "crs": "pixels",
    }
    assert second["properties"]["outline"] == "suggestion"
    (ring,) = second["geometry"]["coordinates"]
    assert sorted(map(tuple, ring[1:])) == [(27, 20), (27, 36), (43, 20), (43, 36)]


def test_nothing_found_is_a_valid_empty_collection(tmp_path: Path) -> None:
    assert written(tmp_path) == {"type": "FeatureCollection", "features": []}


def test_pixels_of_the_patch_become_pixels_of_its_file(tmp_path: Path) -> None:
    ring = written(tmp_path, Grid(columns=2, rows=4))["features"][0]["geometry"]["coordinates"][0]
    assert sorted(map(tuple, ring[1:])) == [(40, 80), (40, 144), (72, 80), (72, 144)]


def test_map_coordinates_name_their_system_and_outer_rings_run_counterclockwise(tmp_path: Path) -> None:
    collection = written(tmp_path, Grid(georeference=read_georeference(scaled(tmp_path))), Grid(columns=2))
    assert "crs" not in collection  # one system for all, or none is named
    ground, pixels = collection["features"][0], collection["features"][2]
    assert (ground["properties"]["crs"], pixels["properties"]["crs"]) == ("EPSG:25832", "pixels")
    for feature in collection["features"]:
        assert doubled_area(feature["geometry"]["coordinates"][0]) > 0
    alone = written(tmp_path, Grid(georeference=read_georeference(scaled(tmp_path))))
    assert alone["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::25832"


def test_an_object_joined_at_a_corner_is_a_multipolygon(tmp_path: Path) -> None:
    with GeoJsonFile(tmp_path / "x.geojson") as file:
        findings = find(label([(10, 10, 20, 20), (20, 20, 30, 30)]), predict([]))
        file.add("x.png", findings, grid=Grid())
    (feature,) = json.loads((tmp_path / "x.geojson").read_text())["features"]
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert len(feature["geometry"]["coordinates"]) == 2


def test_scale_and_tiepoint_place_the_corner_of_a_pixel(tmp_path: Path) -> None:
    found = read_georeference(scaled(tmp_path))
    assert found is not None
    assert found.place(2, 4) == pytest.approx((100, 200))
    assert found.place(4, 8) == pytest.approx((101, 199))
    assert found.system == "EPSG:25832"


def test_a_raster_of_points_is_half_a_pixel_off(tmp_path: Path) -> None:
    found = read_georeference(scaled(tmp_path, raster=2))
    assert found is not None
    assert found.place(2.5, 4.5) == pytest.approx((100, 200))
    assert found.system == "EPSG:4326"


def test_a_transformation_may_turn(tmp_path: Path) -> None:
    matrix = (0.0, 2.0, 0.0, 10.0, 3.0, 0.0, 0.0, 20.0, *[0.0] * 7, 1.0)
    found = read_georeference(write_tiff(tmp_path / "x.tif", (34264, "d", 16, matrix, True)))
    assert found == Georeference((0.0, 2.0, 10.0), (3.0, 0.0, 20.0), "")


def test_files_without_a_georeference_have_none(tmp_path: Path) -> None:
    assert read_georeference(write_tiff(tmp_path / "x.tif")) is None
    assert read_georeference(tmp_path / "x.png") is None
    tiepoint = (33922, "d", 6, (0.0, 0.0, 0.0, 1.0, 2.0, 0.0), True)
    assert read_georeference(write_tiff(tmp_path / "y.tif", tiepoint)) is None
