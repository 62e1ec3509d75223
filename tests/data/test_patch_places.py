"""Which offset in a name is the row."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pkgs.data.items import DataError, Sample
from pkgs.data.patch_places import place_of, row_is_first
from pkgs.data.phantom.aerial_sets import generate, plan_of
from pkgs.data.readers.datacentric import DataCentric

READER = DataCentric()
FOLDERS = ("training_patches", "training_noisy_labels")


@pytest.fixture(scope="module")
def rows_first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("places") / "set"
    root.mkdir()
    plan = replace(plan_of("datacentric", "demo", seed=0), tiles=2, per_side=3)
    generate(root, plan, workers=1, tick=lambda _: None)
    return root


def renamed(root: Path, goal: Path, new: dict[str, str]) -> Path:
    """Copy the set, with the image of each old name under a new one."""
    for folder in FOLDERS:
        (goal / folder).mkdir(parents=True)
        for path in (root / folder).iterdir():
            shutil.copy(path, goal / folder / f"{new.get(path.stem, path.stem)}.png")
    return goal


def stems(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / FOLDERS[0]).iterdir())


def test_rows_first_and_columns_first_are_told_apart(rows_first: Path, tmp_path: Path) -> None:
    swapped = {
        stem: "_".join([tile, column, row])
        for stem in stems(rows_first)
        for tile, row, column in [stem.rsplit("_", 2)]
    }
    columns_first = renamed(rows_first, tmp_path / "set", swapped)
    assert row_is_first(READER, READER.samples(rows_first))
    assert not row_is_first(READER, READER.samples(columns_first))


def test_compressed_overlaps_still_tell(rows_first: Path, tmp_path: Path) -> None:
    root = renamed(rows_first, tmp_path / "set", {})
    rng = np.random.default_rng(0)
    for path in (root / FOLDERS[0]).iterdir():
        codes = np.asarray(Image.open(path)).astype(int)
        Image.fromarray(np.clip(codes + rng.integers(-3, 4, codes.shape), 0, 255).astype(np.uint8)).save(path)
    assert row_is_first(READER, READER.samples(root))


def test_shuffled_images_are_refused_with_counts(rows_first: Path, tmp_path: Path) -> None:
    names = stems(rows_first)
    shuffled = dict(zip(names, np.random.default_rng(1).permutation(names).tolist(), strict=True))
    root = renamed(rows_first, tmp_path / "set", shuffled)
    with pytest.raises(DataError, match=r"do not agree: of 24 pairs .* neither way .* Do the names belong"):
        row_is_first(READER, READER.samples(root))


def test_ground_of_one_colour_tells_nothing(rows_first: Path, tmp_path: Path) -> None:
    root = renamed(rows_first, tmp_path / "set", {})
    for path in (root / FOLDERS[0]).iterdir():
        Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(path)
    with pytest.raises(DataError, match="do not agree"):
        row_is_first(READER, READER.samples(root))


def test_patches_that_do_not_overlap_are_refused(rows_first: Path) -> None:
    far = [s for s in READER.samples(rows_first) if "_52" not in s.id]
    with pytest.raises(DataError, match=r"Of 8 patches no two overlap .* resized"):
        row_is_first(READER, far)
    with pytest.raises(DataError, match="Of 0 patches"):
        row_is_first(READER, [])


def test_the_place_is_read_from_the_name() -> None:
    assert place_of(Sample("datacentric/a_7_0_209_418", "g", {})) == ("a_7_0", 209, 418)
    with pytest.raises(DataError, match="train/12: the name does not end in two offsets"):
        place_of(Sample("train/12", "g", {}))
