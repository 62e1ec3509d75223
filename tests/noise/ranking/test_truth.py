from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pkgs.data.items import DataError
from pkgs.noise import scores
from pkgs.noise.ranking.patches import Patches, find_patches
from pkgs.noise.ranking.truth import read_truth
from tests.builders.noise_runs import NoisyWorld, data_of, write_noisy_set


@pytest.fixture
def known(tmp_path: Path) -> tuple[NoisyWorld, Patches]:
    world = write_noisy_set(tmp_path / "data", tiles=3)
    return world, find_patches(data_of(world))


def empty_first(world: NoisyWorld, patches: Patches) -> None:
    """Make both masks of the first patch empty."""
    for folder in ("training_noisy_labels", "training_labels"):
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(world.root / folder / patches.names[0])


def test_a_folder_of_clean_masks_gives_one_minus_the_iou(known: tuple[NoisyWorld, Patches]) -> None:
    world, patches = known
    truth = read_truth(world.root / "training_labels", patches, empty="clean")
    given = np.stack([world.given[id_] for id_ in world.ids])
    clean = np.stack([world.clean[id_] for id_ in world.ids]) == 1
    np.testing.assert_allclose(truth.noise, scores.iou(given, clean))
    assert truth.counts == {}


@pytest.mark.parametrize(("empty", "noise"), [("clean", 0.0), ("benchmark", 1.0)])
def test_two_empty_masks_are_clean_and_noisy_as_the_benchmark_counts(
    known: tuple[NoisyWorld, Patches], empty: str, noise: float
) -> None:
    world, patches = known
    empty_first(world, patches)
    truth = read_truth(world.root / "training_labels", patches, empty=empty)  # type: ignore[arg-type]
    assert truth.noise[0] == noise
    assert (
        truth.noise[::2][1:]
        == read_truth(world.root / "training_labels", patches, empty="clean").noise[::2][1:]
    ).all()


def test_a_table_that_does_not_know_a_patch_is_refused(
    known: tuple[NoisyWorld, Patches], tmp_path: Path
) -> None:
    _, patches = known
    (tmp_path / "truth.csv").write_text(f"imageid,noise\n{patches.names[0]},0.5\n")
    with pytest.raises(DataError, match=r"does not know tile_.* Is it the truth of this set\?"):
        read_truth(tmp_path / "truth.csv", patches, empty="clean")


def test_noise_that_is_no_share_is_refused(known: tuple[NoisyWorld, Patches], tmp_path: Path) -> None:
    _, patches = known
    lines = "".join(f"{name},7\n" for name in patches.names)
    (tmp_path / "truth.csv").write_text(f"imageid,noise\n{lines}")
    with pytest.raises(DataError, match=r"noise outside of \[0, 1\]"):
        read_truth(tmp_path / "truth.csv", patches, empty="clean")


def test_a_missing_truth_says_to_leave_it_empty(known: tuple[NoisyWorld, Patches], tmp_path: Path) -> None:
    _, patches = known
    with pytest.raises(DataError, match="Leave `truth` empty if nobody knows it"):
        read_truth(tmp_path / "truth.csv", patches, empty="clean")
