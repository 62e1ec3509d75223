"""Volumes in anatomical axes."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from pkgs.data.items import ArraySpec, DataError, Header
from pkgs.data.prepare.geometry import canonical_axes, rows_of
from pkgs.data.prepare.reorient import Reorient
from tests.builders.nifti import GEOMETRIES, affine_of, draw_case

IMAGE, LABEL = draw_case(0)


def header_of(affine: np.ndarray, *, shape: tuple[int, ...] = IMAGE.shape) -> Header:
    arrays = {
        "image": ArraySpec("image", "int16", (1, *shape)),
        "label": ArraySpec("label", "uint8", shape),
        "vector": ArraySpec("vector", "int64", (1,)),
    }
    return Header(arrays, tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist()), rows_of(affine))


ITEM = {"image": IMAGE[None], "label": LABEL, "vector": np.array([4])}


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_array_and_affine_are_nibabels_closest_canonical(geometry: str) -> None:
    header = header_of(affine_of(geometry))
    theirs = nibabel.as_closest_canonical(nibabel.Nifti1Image(IMAGE, affine_of(geometry)))
    planned, made = Reorient().planned(header), Reorient().apply(ITEM, header)
    assert np.array_equal(made["image"][0], np.asarray(theirs.dataobj))
    assert np.allclose(planned.affine, theirs.affine, atol=1e-4)
    assert planned.arrays["image"].shape == made["image"].shape
    assert planned.arrays["label"].shape == made["label"].shape
    assert planned.spacing_mm == pytest.approx(theirs.header.get_zooms(), abs=1e-5)
    assert made["vector"] is ITEM["vector"]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_voxel_keeps_its_place_in_the_body(geometry: str) -> None:
    header = header_of(affine_of(geometry))
    planned, made = Reorient().planned(header), Reorient().apply(ITEM, header)
    before, after = (np.argwhere(label == 2) for label in (LABEL, made["label"]))
    assert sorted(_millimetres(header, before)) == pytest.approx(sorted(_millimetres(planned, after)))


def test_what_is_canonical_stays_bit_for_bit() -> None:
    header = header_of(affine_of("oblique"))
    assert Reorient().planned(header) == header
    assert np.array_equal(Reorient().apply(ITEM, header)["image"], ITEM["image"])


def test_a_quarter_turned_slab_of_45_degrees_still_has_three_axes() -> None:
    turn = np.eye(4)
    turn[:3, :3] = np.array([[1, 1, 0], [1, -1, 0], [0, 0, np.sqrt(2)]]) / np.sqrt(2)
    assert sorted(canonical_axes(turn)[0]) == [0, 1, 2]


def test_a_layout_without_an_affine_is_refused() -> None:
    header = Header({"image": ArraySpec("image", "uint8", (1, 4, 4))})
    with pytest.raises(
        DataError, match=r"Reorient needs to know where the voxels lie, but this layout knows no"
    ):
        Reorient().planned(header)


def _millimetres(header: Header, voxels: np.ndarray) -> list[float]:
    affine = np.array(header.affine)
    return (voxels @ affine[:3, :3].T + affine[:3, 3]).ravel().round(6).tolist()
