import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pkgs.noise.__main__ import main
from tests.builders.noise_runs import (
    FOLDS,
    NoisyWorld,
    rank_config,
    write_folds_of,
    write_in_sample,
    write_noisy_set,
    write_run,
)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> tuple[NoisyWorld, Path]:
    """Make a set and the maps of all runs once; tests write elsewhere."""
    folder = tmp_path_factory.mktemp("noise")
    world = write_noisy_set(folder / "data")
    return world, rank_config(world, folder / "rank.yaml")


def rank(config: Path, folder: Path, *more: str) -> int:
    return main(["rank", "--config", str(config), "--run-dir", str(folder), *more])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def digest_of(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    told = hashlib.sha256()
    for path in files:
        told.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return told.hexdigest()


def changed(config: Path, path: Path, **runs: str) -> Path:
    """Write the same settings with other runs."""
    told = yaml.safe_load(config.read_text())
    told["runs"] |= runs
    path.write_text(yaml.safe_dump(told))
    return path


def test_every_patch_is_ranked_once_from_least_to_most_noisy(
    ready: tuple[NoisyWorld, Path], tmp_path: Path
) -> None:
    world, config = ready
    before = digest_of(world.root)
    assert rank(config, tmp_path / "rank") == 0
    text = (tmp_path / "rank/ranking.csv").read_text().splitlines()
    ranking, table = rows_of(tmp_path / "rank/ranking.csv"), rows_of(tmp_path / "rank/scores.csv")
    score_of = {row["imageid"]: float(row["combined"]) for row in table}
    assert text[0] == "id,imageid"
    assert [row["id"] for row in ranking] == [str(number) for number in range(len(world.ids))]
    assert sorted(row["imageid"] for row in ranking) == [f"{id_}.png" for id_ in world.ids]
    keys = [(score_of[row["imageid"]], row["imageid"]) for row in ranking]
    assert keys == sorted(keys)
    assert digest_of(world.root) == before


def test_scores_csv_holds_all_scores_and_nothing_of_the_truth_where_nobody_knows_it(
    ready: tuple[NoisyWorld, Path], tmp_path: Path
) -> None:
    _, config = ready
    assert rank(config, tmp_path / "rank") == 0
    header = (tmp_path / "rank/scores.csv").read_text().splitlines()[0].split(",")
    assert header == [
        "imageid", "sample", "group", "fold", "rank", "p_noisy", "iou", "wiou", "ce", "pixels", "softmin",
        "variance", "bridge", "bridge_mean", "combined", "iou_seed_0", "iou_seed_1",
    ]  # fmt: skip
    halves = {path.name for path in (tmp_path / "rank/keep").iterdir()}
    assert halves == {"cleanest_50.txt", *(f"random_50_seed_{seed}.txt" for seed in range(5))}
    told = json.loads((tmp_path / "rank/noise_rate.json").read_text())
    assert "true" not in told
    assert told["assumption"].startswith("Assumed: ")


def test_with_truth_its_columns_and_the_oracle_half_are_there(
    ready: tuple[NoisyWorld, Path], tmp_path: Path
) -> None:
    world, config = ready
    lines = ["imageid,noise,objects,hits_rotate,hits_drop"]
    lines += [f"{id_}.png,{place / 100},2,0,{place % 2}" for place, id_ in enumerate(world.ids)]
    (tmp_path / "truth.csv").write_text("\n".join(lines) + "\n")
    assert rank(config, tmp_path / "rank", "--set", f"truth={tmp_path / 'truth.csv'}") == 0
    row = rows_of(tmp_path / "rank/scores.csv")[3]
    assert list(row)[-4:] == ["true_noise", "objects", "hits_rotate", "hits_drop"]
    assert (row["true_noise"], row["hits_drop"]) == ("0.03", "1")
    oracle = (tmp_path / "rank/keep/oracle_50.txt").read_text().split()
    fold_of = world.fold_of()
    for fold in range(FOLDS):
        members = [id_ for id_ in world.ids if fold_of[id_] == fold]
        assert [id_ for id_ in oracle if fold_of[id_] == fold] == members[: len(members) // 2]


def test_good_predictions_find_the_noisy_labels_and_the_cut_parts_them(
    ready: tuple[NoisyWorld, Path], tmp_path: Path
) -> None:
    world, config = ready
    assert rank(config, tmp_path / "rank", "--set", f"truth={world.root / 'training_labels'}") == 0
    table = rows_of(tmp_path / "rank/scores.csv")
    noisy = np.array([float(row["true_noise"]) > 0.1 for row in table])
    told = json.loads((tmp_path / "rank/noise_rate.json").read_text())
    kept = set((tmp_path / "rank/keep.txt").read_text().split())
    right = np.mean([(row["sample"] in kept) != bad for row, bad in zip(table, noisy, strict=True)])
    assert told["true"] == pytest.approx(noisy.mean(), abs=1e-6)
    assert abs(told["estimate"] - told["true"]) < 0.12
    assert right > 0.9


def test_pixels_are_r_in_eight_bits(ready: tuple[NoisyWorld, Path], tmp_path: Path) -> None:
    world, config = ready
    assert rank(config, tmp_path / "rank") == 0
    grey = np.asarray(Image.open(tmp_path / f"rank/pixels/{world.ids[1]}.png"))
    wrong = world.clean[world.ids[1]] != world.given[world.ids[1]]
    assert grey.dtype == np.uint8
    assert grey[wrong].min() > 150 > grey[~wrong].max()


def test_chunks_of_one_patch_give_the_same_files(ready: tuple[NoisyWorld, Path], tmp_path: Path) -> None:
    _, config = ready
    assert rank(config, tmp_path / "whole") == 0
    assert rank(config, tmp_path / "single", "--set", "chunk_px=1") == 0
    for name in ("ranking.csv", "scores.csv", "keep.txt", "noise_rate.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "single" / name).read_bytes()


def test_controls_and_clean_bridges_get_a_column_each(ready: tuple[NoisyWorld, Path], tmp_path: Path) -> None:
    world, config = ready
    for name in ("without_drop", "without_add"):
        write_run(world, f"left_out/{name}", ids=world.ids, maps="wrong")
    write_run(world, "clean", ids=world.ids, maps="wrong")
    write_run(world, "teacher", ids=world.ids)
    other = changed(
        config,
        tmp_path / "rank.yaml",
        in_sample=write_in_sample(world, "student"),
        supervised=write_folds_of(world, "supervised", seeds=1),
        supervised_in_sample=write_in_sample(world, "supervised"),
        clean_error_teacher=str(world.runs / "clean/seed_*"),
        left_out=str(world.runs / "left_out/*/seed_*"),
        teacher=str(world.runs / "teacher/seed_*"),
        compat=str(world.runs / "student/in_sample/seed_*"),
    )
    assert rank(other, tmp_path / "rank") == 0
    header = (tmp_path / "rank/scores.csv").read_text().splitlines()[0].split(",")
    assert header[6:] == [
        "iou", "wiou", "ce", "pixels", "softmin", "variance", "disagreement", "bridge", "bridge_mean",
        "bridge_clean", "combined", "iou_seed_0", "iou_seed_1", "in_sample_iou", "supervised_iou",
        "supervised_in_sample_iou", "compat", "bridge_without_add", "bridge_without_drop",
    ]  # fmt: skip


def test_a_missing_fold_is_refused_by_name_and_nothing_is_written(
    ready: tuple[NoisyWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, config = ready
    write_folds_of(world, "partial", seeds=2)
    shutil.rmtree(world.runs / "partial/fold1/seed_1")
    other = changed(config, tmp_path / "rank.yaml", student=str(world.runs / "partial/fold*/seed_*"))
    assert rank(other, tmp_path / "rank") == 2
    assert "runs.student, seed 1: no prediction of 12 of 32 patches: tile_" in capsys.readouterr().err
    assert not (tmp_path / "rank/ranking.csv").exists()


def test_a_run_that_trained_on_what_it_judges_is_refused_out_of_fold(
    ready: tuple[NoisyWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, config = ready
    other = changed(config, tmp_path / "rank.yaml", student=write_in_sample(world, "memorised"))
    assert rank(other, tmp_path / "rank", "--check") == 2
    assert "trained on what it judges: tile_0_0_0_0 (train)" in capsys.readouterr().err


def test_a_fold_that_saw_the_tile_of_a_patch_is_refused(
    ready: tuple[NoisyWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, config = ready
    split: dict[str, object] = {"by": "folds", "folds": FOLDS, "fold": 1}
    write_run(world, "wrong_fold", ids=world.ids, split=split)
    other = changed(config, tmp_path / "rank.yaml", student=str(world.runs / "wrong_fold/seed_*"))
    assert rank(other, tmp_path / "rank", "--check") == 2
    assert "judged fold 1 and saw the tiles of tile_" in capsys.readouterr().err


def test_a_run_of_other_folds_is_refused(
    ready: tuple[NoisyWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, config = ready
    split: dict[str, object] = {"by": "folds", "folds": 5, "fold": 1}
    write_run(world, "other_folds", ids=world.ids, split=split)
    other = changed(config, tmp_path / "rank.yaml", student=str(world.runs / "other_folds/seed_*"))
    assert rank(other, tmp_path / "rank", "--check") == 2
    assert "by the split folds5_seed42.csv, not by folds3_seed42.csv" in capsys.readouterr().err


def test_out_of_fold_maps_are_refused_where_in_sample_ones_are_asked_for(
    ready: tuple[NoisyWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, config = ready
    student = yaml.safe_load(config.read_text())["runs"]["student"]
    other = changed(config, tmp_path / "rank.yaml", in_sample=student)
    assert rank(other, tmp_path / "rank", "--check") == 2
    assert "In sample means runs with data.split.by: all" in capsys.readouterr().err


def test_runs_that_are_named_and_not_there_are_refused_all_at_once(
    ready: tuple[NoisyWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, config = ready
    other = changed(config, tmp_path / "rank.yaml", teacher="nowhere/seed_*", left_out="nothing/*/seed_*")
    assert rank(other, tmp_path / "rank") == 2
    told = capsys.readouterr().err
    assert "runs.teacher: no run folder matches nowhere/seed_*" in told
    assert "runs.left_out: no run folder matches nothing/*/seed_*" in told


def test_marks_move_patches_and_change_who_is_kept(ready: tuple[NoisyWorld, Path], tmp_path: Path) -> None:
    _, config = ready
    assert rank(config, tmp_path / "rank") == 0
    order = [row["imageid"] for row in rows_of(tmp_path / "rank/ranking.csv")]
    keep, drop = order[-1], order[0]
    (tmp_path / "review.csv").write_text(f"imageid,mark,note\n{keep},keep,\n{drop},drop,blurred\n")
    assert rank(config, tmp_path / "rank", "--review", str(tmp_path / "review.csv")) == 0
    again = [row["imageid"] for row in rows_of(tmp_path / "rank/ranking.csv")]
    assert again == [keep, *order[1:-1], drop]
    kept = (tmp_path / "rank/keep.txt").read_text().split()
    assert Path(keep).stem in kept
    assert Path(drop).stem not in kept
    marks = {row["imageid"]: row["mark"] for row in rows_of(tmp_path / "rank/scores.csv")}
    assert (marks[keep], marks[drop], marks[order[1]]) == ("keep", "drop", "")


def test_marks_saved_in_the_gallery_outlive_it(ready: tuple[NoisyWorld, Path], tmp_path: Path) -> None:
    world, config = ready
    (tmp_path / "rank").mkdir()
    saved = tmp_path / "rank/review.csv"
    saved.write_text(f"imageid,mark,note\n{world.ids[0]}.png,drop,\n")
    assert rank(config, tmp_path / "rank", "--review", str(saved)) == 0
    assert saved.read_text() == f"imageid,mark,note\n{world.ids[0]}.png,drop,\n"
    assert rows_of(tmp_path / "rank/ranking.csv")[-1]["imageid"] == f"{world.ids[0]}.png"


def test_the_switch_in_sample_ranks_by_networks_that_saw_the_patches(
    ready: tuple[NoisyWorld, Path], tmp_path: Path
) -> None:
    world, config = ready
    other = changed(config, tmp_path / "rank.yaml", in_sample=write_in_sample(world, "seen"))
    assert rank(other, tmp_path / "rank", "--set", "compat.in_sample=true") == 0
    table = rows_of(tmp_path / "rank/scores.csv")
    assert [row["iou"] for row in table] == [row["in_sample_iou"] for row in table]
    assert "iou_seed_1" not in table[0]


def test_data_in_the_run_folder_are_refused_because_it_is_replaced(
    ready: tuple[NoisyWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, config = ready
    assert rank(config, world.root) == 2
    assert "the data lie in the run folder" in capsys.readouterr().err
    assert not (world.root / "progress.json").exists()


def test_a_mark_of_an_unknown_patch_is_refused(
    ready: tuple[NoisyWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, config = ready
    (tmp_path / "review.csv").write_text("imageid,mark,note\nnobody.png,keep,\n")
    assert rank(config, tmp_path / "rank", "--review", str(tmp_path / "review.csv")) == 2
    assert "'nobody.png' is not in this ranking" in capsys.readouterr().err


def test_an_unknown_command_is_told_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rnak"]) == 2
    assert "usage: python -m pkgs.noise {" in capsys.readouterr().err


def test_a_ranking_by_a_score_that_is_not_there_names_those_that_are(
    ready: tuple[NoisyWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, config = ready
    assert rank(config, tmp_path / "rank", "--set", "by=compat") == 2
    assert "there is no score 'compat'; there are iou, wiou, ce" in capsys.readouterr().err


def test_an_interrupt_tells_a_sentence_and_leaves_what_lay_there(
    ready: tuple[NoisyWorld, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, config = ready
    assert rank(config, tmp_path / "rank") == 0
    before = (tmp_path / "rank/scores.csv").read_bytes()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pkgs.noise.ranking.exports.export", interrupt)
    assert rank(config, tmp_path / "rank") == 130
    assert "What lay there stays" in capsys.readouterr().err
    assert (tmp_path / "rank/scores.csv").read_bytes() == before
    assert not list((tmp_path / "rank").glob(".ranking.*"))
