import numpy as np
import pytest

from pkgs.noise import cut, scores
from pkgs.noise.ranking.config import CompatConfig
from pkgs.noise.ranking.gathering import gather
from pkgs.noise.ranking.patches import GivenLabels, chunks, find_patches
from pkgs.noise.ranking.scoring import Detectors, Scoring, rescore_injected, score
from tests.builders.noise_runs import NoisyWorld, data_of, predicted, write_folds_of, write_noisy_set


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> NoisyWorld:
    return write_noisy_set(tmp_path_factory.mktemp("noise") / "data", tiles=4)


def work_of(world: NoisyWorld, **switches: bool) -> Scoring:
    patches = find_patches(data_of(world))
    student = gather(
        write_folds_of(world, "student"), what="student", maps="probability", seen="never", patches=patches
    )
    return Scoring(
        labels=GivenLabels(patches, tick=lambda: None),
        detectors=Detectors(student),
        pieces=chunks(len(patches), side_px=32, chunk_px=5000),
        compat=CompatConfig(**switches),
        moved=lambda _: None,
        tick=lambda: None,
    )


def truly(world: NoisyWorld) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the labels and the maps of both seeds, computed without any file."""
    label = np.stack([world.given[id_] for id_ in world.ids])
    maps = [
        np.stack([predicted(world, id_, maps="probability", seed=seed) for id_ in world.ids])
        for seed in (0, 1)
    ]
    return label, maps


def test_each_patch_is_scored_by_the_mean_of_its_own_maps(world: NoisyWorld) -> None:
    columns, doubts = score(work_of(world))
    label, maps = truly(world)
    mean = np.mean(maps, axis=0)
    np.testing.assert_allclose(columns["softmin"], scores.softmin(label, mean), atol=1e-4)
    np.testing.assert_allclose(columns["variance"], scores.variance(maps), atol=1e-4)
    np.testing.assert_allclose(columns["iou_seed_1"], scores.iou(label, maps[1] >= 0.5), atol=1e-3)
    np.testing.assert_allclose(doubts, cut.doubt(mean), atol=1e-4)


def test_class_means_are_of_the_whole_set_not_of_a_chunk(world: NoisyWorld) -> None:
    columns, _ = score(work_of(world))
    label, maps = truly(world)
    means = scores.ClassMeans()
    means.add(label, np.mean(maps, axis=0))
    expected = scores.pixels(label, np.mean(maps, axis=0), class_means=means.values)
    np.testing.assert_allclose(columns["pixels"], expected, atol=2e-3)


def test_the_switch_empty_is_noisy_puts_the_weighted_iou_in_the_place_of_iou(world: NoisyWorld) -> None:
    columns, _ = score(work_of(world, empty_is_noisy=True))
    np.testing.assert_array_equal(columns["iou"], columns["wiou"])


def test_the_switch_logit_threshold_shrinks_the_masks(world: NoisyWorld) -> None:
    label, maps = truly(world)
    columns, _ = score(work_of(world, logit_threshold=True))
    expected = scores.iou(label, np.mean(maps, axis=0) >= scores.LOGIT_HALF)
    np.testing.assert_allclose(columns["iou"], expected, atol=1e-3)


def test_injected_noise_below_the_limit_counts_neither_as_clean_nor_as_noisy(world: NoisyWorld) -> None:
    work, places = work_of(world), np.arange(8)
    some = rescore_injected(work, places=places, ids=world.ids, noisy_above=0.1)
    few = rescore_injected(work, places=places, ids=world.ids, noisy_above=0.8)
    assert len(few["iou"]) < len(some["iou"]) <= 8 * cut.COPIES
    assert few["iou"].mean() > some["iou"].mean()
