"""From files to patches: reader, grid, classes, index, keys and cuts together."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pkgs.data.class_index import build_index
from pkgs.data.cutting import cut_batch
from pkgs.data.patches import PatchConfig, PatchSampler, positions_of
from pkgs.data.prepare.merge_classes import MergeClasses
from pkgs.data.prepare.on_grid import OnGrid
from pkgs.data.prepare.reorient import Reorient
from pkgs.data.prepare.resample import Resample
from pkgs.data.readers.kits19 import Kits19
from tests.builders.kits19 import write_kits19


def test_patches_of_kits19_hold_the_class_that_was_drawn(tmp_path: Path) -> None:
    reader = OnGrid(Kits19(), (Reorient(), Resample((1.5, 1.5, 2.5))))
    merge = MergeClasses.of_old_string("0,3")
    samples = [s for s in reader.samples(write_kits19(tmp_path / "set")) if "label" in s.files]
    items = [merge(reader.read(sample)) for sample in samples]
    kinds = {name: spec.kind for name, spec in reader.header(samples[0]).arrays.items()}
    labelled = ((sample.id, item["label"]) for sample, item in zip(samples, items, strict=True))
    index = build_index(labelled, tmp_path / "index", classes=merge.names)
    config = PatchConfig(labelled=(4, 4))
    train = positions_of(index, ids=[samples[0].id, samples[2].id])
    keys = PatchSampler(index, config, seed=5, cases=train).keys(range(200))
    assert set(keys.case_B.tolist()) == {0, 2}
    batch = cut_batch(items.__getitem__, kinds=kinds, keys=keys, margin=2, image_outside=-100)
    assert batch["image"].shape == (200, 1, 8, 8)
    assert batch["image"].dtype == np.int16
    inner = batch["label"][:, 2:-2, 2:-2] == keys.class_B[:, None, None]
    assert inner.any(axis=(1, 2))[keys.class_B > 0].all()  # background may lie anywhere
