from pathlib import Path

import numpy as np
import pytest

from pkgs.data.items import DataError
from pkgs.noise.ranking import marks
from pkgs.noise.ranking.patches import Patches, find_patches
from pkgs.noise.ranking.scoring import order_of
from pkgs.noise.review import Mark
from tests.builders.noise_runs import NoisyWorld, data_of, write_noisy_set


def world_of(tmp_path: Path) -> tuple[NoisyWorld, Patches]:
    world = write_noisy_set(tmp_path / "data", tiles=3)
    return world, find_patches(data_of(world))


def test_keep_goes_first_fix_behind_the_unmarked_and_drop_last() -> None:
    said = ["drop", "", "fix", "keep", "", "keep"]
    score = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7])
    order = order_of(score, list("abcdef"), blocks=(marks.BLOCK[word] for word in said))
    assert order.tolist() == [5, 3, 4, 1, 2, 0]


def test_ties_go_by_name_not_by_place() -> None:
    assert order_of(np.zeros(3), ["b", "c", "a"], blocks=[1, 1, 1]).tolist() == [2, 0, 1]


def test_keep_and_fix_are_never_cut_and_drop_is_never_kept() -> None:
    noisy = np.array([True, True, True, True, False, False])
    said = ["keep", "fix", "drop", "", "drop", ""]
    assert marks.kept(noisy, said).tolist() == [True, True, False, False, False, True]


def test_reviewed_labels_are_corrected_where_the_mark_is_fix_and_the_given_files_elsewhere(
    tmp_path: Path,
) -> None:
    world, patches = world_of(tmp_path)
    first, second = patches.names[:2]
    (tmp_path / "corrected").mkdir()
    (tmp_path / "corrected" / first).write_bytes(b"corrected")
    said = marks.words(patches.names, {first: Mark("fix"), second: Mark("keep")})
    marks.write_reviewed(tmp_path / "reviewed", patches, said=said, corrected=tmp_path / "corrected")
    assert len(list((tmp_path / "reviewed").iterdir())) == len(patches)
    assert (tmp_path / "reviewed" / first).read_bytes() == b"corrected"
    given = world.root / "training_noisy_labels" / second
    assert (tmp_path / "reviewed" / second).read_bytes() == given.read_bytes()


def test_a_fix_without_a_corrected_label_is_refused(tmp_path: Path) -> None:
    _, patches = world_of(tmp_path)
    said = marks.words(patches.names, {patches.names[0]: Mark("fix")})
    with pytest.raises(DataError, match="is marked fix, and there is no corrected label"):
        marks.write_reviewed(tmp_path / "reviewed", patches, said=said, corrected=tmp_path / "corrected")
