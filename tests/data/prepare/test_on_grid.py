"""Readers whose volumes lie on a chosen grid."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from pkgs.data.prepare.on_grid import OnGrid
from pkgs.data.prepare.reorient import Reorient
from pkgs.data.prepare.resample import Resample
from pkgs.data.readers.kits19 import Kits19
from tests.builders.kits19 import write_kits19


def test_every_geometry_ends_on_the_wanted_grid_as_planned(tmp_path: Path) -> None:
    reader = OnGrid(Kits19(), (Reorient(), Resample((2.0, 2.0, 4.0))))
    samples = reader.samples(write_kits19(tmp_path))
    for sample in samples:
        header, item = reader.header(sample), reader.read(sample)
        assert np.allclose(header.spacing_mm, (2, 2, 4))
        assert {n: (a.dtype.name, a.shape) for n, a in item.items()} == {
            n: (s.dtype, s.shape) for n, s in header.arrays.items()
        }
    assert {reader.header(sample).arrays["image"].shape for sample in samples} == {
        (1, 12, 10, 4),  # slices first: 8 voxels of 3 mm run right, 12 of 1.5 mm up
        (1, 9, 10, 6),
    }


def test_name_and_repr_tell_grids_apart_and_it_pickles() -> None:
    one, other = (OnGrid(Kits19(), (Reorient(), Resample((s, s, s)))) for s in (1.0, 2.0))
    assert one.name != other.name
    assert repr(one) != repr(other)
    assert one.version == Kits19().version
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - our own bytes
