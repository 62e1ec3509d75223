"""The synthetic set: what its specification promises, measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pkgs.data.formats.grey_image import read_grey, read_labels
from pkgs.data.phantom.generate import LABELLED, POOL, TRUTH, Plan, draw_source, generate, sources_of
from pkgs.data.phantom.style import RANGES, draw_styles
from pkgs.data.readers.cem_mitolab import CemMitoLab
from pkgs.data.whole_folder import digest_tree

TINY = Plan(side_px=64, seed=0, sources=6, patches=5, pool_sources=2, pool_patches=4)


def build(folder: Path, plan: Plan, *, workers: int = 1) -> Path:
    folder.mkdir()
    generate(folder, plan, workers=workers, tick=lambda _: None)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("phantom") / "tiny", TINY)


@pytest.fixture(scope="module")
def labelled() -> tuple[np.ndarray, np.ndarray]:
    """All labelled patches of the demo, square sources only."""
    sources = [s for s in sources_of(Plan(side_px=64, seed=0)) if not s.pool and not s.wide]
    patches = [patch for source in sources for patch in draw_source(source)]
    return np.stack([p.grey for p in patches]), np.stack([p.labels for p in patches])


def test_the_seed_fixes_every_byte_for_any_number_of_workers(tiny: Path, tmp_path: Path) -> None:
    assert digest_tree(build(tmp_path / "again", TINY, workers=2)) == digest_tree(tiny)


def test_another_seed_gives_another_set(tiny: Path, tmp_path: Path) -> None:
    other = Plan(side_px=64, seed=1, sources=6, patches=5, pool_sources=2, pool_patches=4)
    assert digest_tree(build(tmp_path / "other", other)) != digest_tree(tiny)


def test_one_patch_in_five_is_empty(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    empty = (labelled[1] == 0).all(axis=(1, 2))
    assert empty.mean() == 0.2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_foreground_is_four_to_eight_percent_and_no_threshold_finds_it(seed: int) -> None:
    sources = [s for s in sources_of(Plan(side_px=64, seed=seed)) if not s.pool and not s.wide]
    patches = [patch for source in sources for patch in draw_source(source)]
    grey, inside = np.stack([p.grey for p in patches]), np.stack([p.labels for p in patches]) > 0
    dark = [grey < level for level in np.linspace(0, 1, 101)]
    best = max((mark & inside).sum() / (mark | inside).sum() for mark in dark)
    assert 0.04 <= inside.mean() <= 0.08
    assert best < 0.35


def test_four_consecutive_patches_are_one_drifting_scene(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    inside = (labelled[1] > 0).reshape(-1, 4, 64, 64)
    inside = inside[inside.any(axis=(1, 2, 3))]
    overlap = (inside[:, 0] & inside[:, 1]).sum() / (inside[:, 0] | inside[:, 1]).sum()
    strange = (inside[:-1, 3] & inside[1:, 0]).sum() / (inside[:-1, 3] | inside[1:, 0]).sum()
    assert overlap > 0.4
    assert strange < 0.15
    assert not (inside[:, 0] == inside[:, 1]).all(axis=(1, 2)).any()  # it moves


def test_objects_are_numbered_and_never_overlap_or_touch(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    labels = labelled[1].astype(int)
    right, below = labels[:, :, 1:], labels[:, 1:, :]
    touching = ((labels[:, :, :-1] != right) & (labels[:, :, :-1] > 0) & (right > 0)).sum()
    touching += ((labels[:, :-1, :] != below) & (labels[:, :-1, :] > 0) & (below > 0)).sum()
    assert touching == 0
    assert labels.max() > 3


def test_some_objects_are_cut_by_the_border(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    edges = labelled[1][:, [0, -1], :] > 0
    assert 0.05 < edges.any(axis=(1, 2)).mean() < 0.9


def test_the_quirks_of_the_release_are_there(tiny: Path) -> None:
    samples = CemMitoLab().samples(tiny)
    types = {sample.group: tifffile.imread(sample.files["image"]).dtype for sample in samples}
    shapes = {tifffile.imread(sample.files["image"]).shape for sample in samples}
    stems = [sample.files["image"].stem for sample in samples]
    assert sorted(str(kind) for kind in types.values()) == ["uint16"] + ["uint8"] * 5
    assert shapes == {(64, 64), (64, 80)}
    assert len(stems) - len(set(stems)) == 5  # two sources with equal file names
    assert {sample.files["image"].suffix for sample in samples} == {".tif", ".tiff"}
    assert all(tifffile.imread(sample.files["label"]).dtype == np.uint16 for sample in samples)


def test_the_pool_has_its_truth_beside_it_and_not_within(tiny: Path) -> None:
    images = sorted(path.relative_to(tiny / POOL) for path in (tiny / POOL).rglob("*.tiff"))
    masks = sorted(path.relative_to(tiny / TRUTH) for path in (tiny / TRUTH).rglob("*.tiff"))
    assert images == masks
    assert len(images) == 8
    assert read_grey(tiny / POOL / images[0]).shape == read_labels(tiny / TRUTH / masks[0]).shape
    assert not any(path.name == "masks" for path in (tiny / POOL).rglob("*"))


def test_labelled_styles_lie_within_their_ranges_and_pool_styles_reach_further() -> None:
    rng = np.random.default_rng(0)
    inner, wider = draw_styles(rng, 24), draw_styles(rng, 40, wider=0.25)
    for name, (low, high) in RANGES.items():
        values = [getattr(style, name) for style in inner]
        assert low <= min(values) < max(values) <= high
    assert max(style.noise for style in wider) > RANGES["noise"][1]


def test_counts_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    facts = generate(tmp_path / "a", TINY, workers=1, tick=lambda _: None)
    assert facts["images"] == 30
    assert facts["pool_images"] == 8
    assert len(list((tmp_path / "a" / LABELLED).rglob("*.tif*"))) == 60
