"""The synthetic aerial sets: what their specification promises, measured."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label as connected

from pkgs.data.channel_statistics import Statistics
from pkgs.data.phantom.aerial_cuts import offsets
from pkgs.data.phantom.aerial_scene import draw_scene
from pkgs.data.phantom.aerial_sets import Plan, cuts_of, draw_tile, generate, plan_of, tile_side
from pkgs.data.phantom.object_events import OPERATIONS, NoiseConfig
from pkgs.data.phantom.outlines import raster
from pkgs.data.readers.alabama import Alabama
from pkgs.data.readers.datacentric import DataCentric
from pkgs.data.readers.whu import Whu
from pkgs.data.whole_folder import digest_tree

DEMO = plan_of("datacentric", "demo", seed=0)
TINY = replace(DEMO, tiles=2, per_side=2)
WHU = replace(plan_of("whu", "demo", seed=0), tiles=3)
ALABAMA = replace(plan_of("alabama", "demo", seed=0), tiles=2)
NAMES = ("training_patches", "training_noisy_labels", "training_labels", "truth/xor")


def build(folder: Path, plan: Plan, *, workers: int = 1) -> Path:
    folder.mkdir()
    generate(folder, plan, workers=workers, tick=lambda _: None)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("aerial") / "tiny", TINY)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("aerial") / "demo", replace(DEMO, tiles=3))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("aerial")
    return build(folder / "whu", WHU), build(folder / "alabama", ALABAMA)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def masks_of(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Return clean and noisy masks of all patches, without drawing images."""
    clean, noisy = [], []
    shape = (tile_side(plan),) * 2
    for number in range(plan.tiles):
        _, labels = draw_tile(plan, number)
        whole = raster(labels.clean, shape), raster(labels.noisy, shape)
        for cut in cuts_of(plan, number):
            here = np.s_[cut.row : cut.row + plan.side_px, cut.column : cut.column + plan.side_px]
            clean.append(whole[0][here])
            noisy.append(whole[1][here])
    return np.stack(clean), np.stack(noisy)


def noise_of(clean: np.ndarray, noisy: np.ndarray) -> np.ndarray:
    """Return 1 - IoU per patch, 0 where both masks are empty."""
    both, either = ((clean & noisy).sum(axis=(1, 2)), (clean | noisy).sum(axis=(1, 2)))
    return np.where(either > 0, 1 - both / np.maximum(either, 1), 0)


def test_the_demo_has_as_many_patches_as_promised() -> None:
    plans = [plan_of(kind, "demo", seed=0) for kind in ("whu", "alabama", "datacentric")]
    assert [plan.images for plan in plans] == [200, 60, 256]
    assert [sum(1 for n in range(p.tiles) for _ in cuts_of(p, n)) for p in plans] == [200, 60, 256]
    assert plan_of("datacentric", "full", seed=0).images == 5004


def test_offsets_at_full_size_are_those_of_the_release() -> None:
    assert offsets(256, 6) == [0, 209, 418, 627, 836, 1044]
    assert offsets(64, 4) == [0, 52, 104, 156]


def test_the_seed_fixes_every_byte_for_any_number_of_workers(tiny: Path, tmp_path: Path) -> None:
    assert digest_tree(build(tmp_path / "again", TINY, workers=2)) == digest_tree(tiny)


def test_another_seed_gives_another_set(tiny: Path, tmp_path: Path) -> None:
    assert digest_tree(build(tmp_path / "other", replace(TINY, seed=1))) != digest_tree(tiny)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shares_of_foreground_empty_patches_and_noise_are_as_promised(seed: int) -> None:
    clean, noisy = masks_of(replace(DEMO, seed=seed))
    noise = noise_of(clean, noisy)
    assert 0.05 <= clean.mean() <= 0.10
    assert 0.05 <= (~clean.any(axis=(1, 2))).mean() <= 0.15
    assert 0.33 <= (noise == 0).mean() <= 0.5
    assert 0.15 <= noise.mean() <= 0.26
    assert (noise > 0.8).sum() >= 3


@pytest.mark.parametrize("kind", ["whu", "alabama"])
def test_clean_sets_have_the_same_share_of_foreground(kind: str) -> None:
    clean, noisy = masks_of(plan_of(kind, "demo", seed=0))
    assert 0.05 <= clean.mean() <= 0.10
    assert (clean == noisy).all()


def test_all_sizes_show_the_same_tile() -> None:
    one = masks_of(replace(DEMO, tiles=3))
    for side_px in (96, 128):
        other = masks_of(replace(DEMO, tiles=3, side_px=side_px))
        for a, b in zip(one, other, strict=True):
            assert a.mean() == pytest.approx(b.mean(), abs=0.004)
        assert noise_of(*one).mean() == pytest.approx(noise_of(*other).mean(), abs=0.03)


def test_buildings_never_touch() -> None:
    for number in range(4):
        scene, labels = draw_tile(DEMO, number)
        alone = [raster([outline], (220, 220)) for outline in labels.clean]
        regions = connected(np.any(alone, axis=0), structure=np.ones((3, 3)))[1]
        assert regions >= sum(mask.any() for mask in alone)  # more where the border cuts an L in two
        assert len(scene.buildings) == len(alone)


def test_some_buildings_are_l_shaped_and_directions_agree() -> None:
    scene = draw_scene(np.random.default_rng(0), extent=6.0, density=5.0)
    notched = np.mean([building.notch != (0.0, 0.0) for building in scene.buildings])
    assert 0.2 < notched < 0.4
    off = [(np.degrees(building.angle) + 45) % 90 - 45 for building in scene.buildings]
    assert np.abs(off).max() <= 3.001
    assert 1 <= len(scene.roads) <= 3


def test_overlapping_patches_agree_in_image_and_masks(demo: Path) -> None:
    shared = 64 - 52
    for name in NAMES:
        for tile in ("phantom_0_0", "phantom_0_2"):
            left, right = (pixels(demo / name / f"{tile}_52_{column}.png") for column in (0, 52))
            upper, lower = (pixels(demo / name / f"{tile}_{row}_52.png") for row in (52, 104))
            assert (left[:, -shared:] == right[:, :shared]).all()
            assert (upper[-shared:] == lower[:shared]).all()


def test_the_truth_is_what_the_files_say(demo: Path) -> None:
    rows = rows_of(demo / "truth/truth.csv")
    assert list(rows[0]) == ["imageid", "noise", "objects", *(f"hits_{name}" for name in OPERATIONS)]
    assert [row["imageid"] for row in rows] == sorted(path.name for path in (demo / NAMES[0]).iterdir())
    for row in rows:
        noisy, clean, xor = (pixels(demo / name / row["imageid"]) for name in NAMES[1:])
        assert set(np.unique(noisy)) | set(np.unique(clean)) <= {0, 1}
        assert (xor == 255 * (noisy ^ clean)).all()
        assert float(row["noise"]) == pytest.approx(noise_of(clean[None], noisy[None])[0], abs=1e-6)
        regions = connected(clean, structure=np.ones((3, 3)))[1]
        assert int(row["objects"]) <= regions  # an L at the border may show in two parts
        assert (clean.any() and int(row["objects"]) > 0) or regions == 0


def test_outlines_of_hit_objects_turn_the_clean_mask_into_the_noisy_one(demo: Path) -> None:
    events: dict[str, list[dict[str, str]]] = {}
    for row in rows_of(demo / "truth/objects.csv"):
        events.setdefault(row["imageid"], []).append(row)
    for row in rows_of(demo / "truth/truth.csv"):
        here = events.get(row["imageid"], [])
        noisy, clean, xor = (pixels(demo / name / row["imageid"]) > 0 for name in NAMES[1:])
        before, after = (
            [np.array(json.loads(event[f"outline_{word}"])).reshape(-1, 2) for event in here]
            for word in ("clean", "noisy")
        )
        rebuilt = (clean & ~raster(before, clean.shape)) | raster(after, clean.shape)
        assert (rebuilt == noisy).all()
        assert not (xor & ~raster(before + after, clean.shape)).any()
        for name in OPERATIONS:
            assert int(row[f"hits_{name}"]) == sum(event["operation"] == name for event in here)


def test_no_noise_gives_clean_labels(tmp_path: Path) -> None:
    root = build(tmp_path / "set", replace(TINY, noise=NoiseConfig(noise_rate=0)))
    assert {float(row["noise"]) for row in rows_of(root / "truth/truth.csv")} == {0.0}
    assert digest_tree(root / NAMES[1]) == digest_tree(root / NAMES[2])


def test_readers_take_all_three_layouts_and_the_later_names(
    tiny: Path, clean: tuple[Path, Path], tmp_path: Path
) -> None:
    later = build(tmp_path / "later", replace(TINY, layout="later", alpha=True))
    assert sorted(path.name for path in later.iterdir()) == [
        "clean_labels",
        "image_patches",
        "noisy_labels",
        "truth",
    ]
    reader = DataCentric(truth=True)
    for one, two in zip(reader.samples(tiny), reader.samples(later), strict=True):
        assert one.group == two.group
        first, second = reader.read(one), reader.read(two)
        assert all((first[name] == second[name]).all() for name in ("image", "label", "truth"))
    assert {sample.group for sample in reader.samples(tiny)} == {"phantom_0_0", "phantom_0_1"}
    assert [len(Whu().samples(clean[0])), len(Alabama().samples(clean[1]))] == [24, 8]


def test_whu_has_three_parts_and_no_tile_in_two(clean: tuple[Path, Path]) -> None:
    tiles = {
        part: {path.stem[:3] for path in (clean[0] / part / "Image").iterdir()}
        for part in ("train", "val", "test")
    }
    assert tiles == {"train": {"000"}, "val": {"001"}, "test": {"002"}}


def test_alabama_is_stored_inverted_and_whu_is_not(clean: tuple[Path, Path]) -> None:
    for reader, root, stored in ((Whu(), clean[0], 255), (Alabama(), clean[1], 0)):
        masks = [(reader.read(s)["label"], pixels(s.files["label"])) for s in reader.samples(root)]
        assert all(((plane == stored) == (label == 1)).all() for label, plane in masks)
        assert {value for _, plane in masks for value in np.unique(plane)} == {0, 255}
        assert np.mean([label.mean() for label, _ in masks]) < 0.2


def test_palettes_and_contrast_differ_between_the_sets(demo: Path, clean: tuple[Path, Path]) -> None:
    readers = ((Whu(), clean[0]), (Alabama(), clean[1]), (DataCentric(), demo))
    whu, alabama, noisy = (
        Statistics.of(*(reader.read(sample)["image"] for sample in reader.samples(root)))
        for reader, root in readers
    )
    assert min(whu.mean) + 5 < max(whu.mean)
    assert whu.mean[0] > noisy.mean[0] + 25  # warmer
    assert noisy.mean[1] > noisy.mean[0] + 10  # green
    assert max(alabama.mean) - min(alabama.mean) < 12  # grey
    assert np.mean(alabama.std) < np.mean(noisy.std) < np.mean(whu.std)


def test_no_single_colour_value_finds_the_roofs(demo: Path) -> None:
    reader = DataCentric(truth=True)
    items = [reader.read(sample) for sample in reader.samples(demo)]
    image, inside = (np.stack([item[name] for item in items]) for name in ("image", "truth"))
    red, green, blue = np.moveaxis(image.astype(int), 1, 0)
    best = 0.0
    for values in (red, green, blue, red - green, blue - green):
        for level in np.quantile(values, np.linspace(0.02, 0.98, 49)):
            for mask in (values > level, values < level):
                best = max(best, (mask & (inside > 0)).sum() / (mask | (inside > 0)).sum())
    assert best < 0.4


def test_bare_lots_have_the_colours_of_roofs_but_neither_wall_nor_label() -> None:
    scene, labels = draw_tile(DEMO, 0)
    assert len(labels.clean) == len(scene.buildings)
    assert len(scene.lots) > 0.3 * len(scene.buildings)
    assert {lot.roof for lot in scene.lots} == {0, 1, 2, 3}
    assert all(lot.height == 0 for lot in scene.lots)
    assert all(building.height >= 0.6 for building in scene.buildings)


def test_counts_are_told_and_written_by_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    seen: list[int] = []
    facts = generate(tmp_path / "a", TINY, workers=1, tick=seen.append)
    assert (facts["images"], sum(seen)) == (8, 8)
    assert set(facts) == {"images", "foreground_share", "empty_share", "mean_noise", "clean_share"}
    assert TINY.recipe()["shares"] == {"rotate": 0.3, "shift": 0.25, "drop": 0.25, "resize": 0.1, "add": 0.1}
    assert "noise_rate" not in WHU.recipe()
