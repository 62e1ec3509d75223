from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pkgs.foundation.run_folder import RunFolder
from pkgs.reports import overlays
from pkgs.reports.overlays import draw_overlays
from pkgs.reports.runs import read_study
from pkgs.reports.samples import Sample, mean_scores, pick, read_sample, sample_files
from tests.builders.figures import keep_figures, texts
from tests.builders.run_folders import MadeUp, write_run, write_sample


def sample(name: str, label: list[list[int]], probability: list[list[float]]) -> Sample:
    return Sample(
        name, np.zeros((1, 4)), np.array(label) > 0, np.array(probability), np.ones((1, 4), dtype=bool)
    )


def test_the_iou_of_a_sample_matches_a_count_by_hand() -> None:
    # label 2 pixels, prediction 2 (p = .5 counts), one in common: 1 of 3
    assert sample("a", [[1, 1, 0, 0]], [[0.1, 0.5, 0.9, 0.2]]).iou == pytest.approx(1 / 3)
    assert sample("a", [[0, 0, 0, 0]], [[0.1, 0.2, 0.1, 0.2]]).iou == 1.0


def test_best_median_and_worst_are_chosen_by_score_and_ties_by_name() -> None:
    assert pick({"d": 0.9, "c": 0.9, "b": 0.5, "a": 0.1}) == {"best": "d", "median": "b", "worst": "a"}
    assert pick({"a": 0.3}) == {"best": "a"}
    assert pick({}) == {}


def test_scores_are_means_over_seeds_and_empty_images_do_not_compete() -> None:
    half, whole = [[0.9, 0.1, 0.1, 0.1]], [[0.9, 0.9, 0.1, 0.1]]
    samples = [
        sample("a", [[1, 1, 0, 0]], half),
        sample("a", [[1, 1, 0, 0]], whole),
        sample("empty", [[0, 0, 0, 0]], [[0.0, 0.0, 0.0, 0.0]]),
    ]
    assert mean_scores(samples) == {"a": 0.75}
    assert mean_scores(samples[2:]) == {"empty": 1.0}


def test_samples_are_found_in_folders_and_read_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_sample(folder, "source_a/p0", found=0.5)
    [(name, path)] = sample_files(folder).items()
    assert name == "source_a__p0"
    assert read_sample(name, path).name == "source_a/p0"
    assert read_sample(name, path).iou == pytest.approx(0.5)


def test_pixels_without_a_label_count_neither_as_object_nor_as_error(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    label = np.array([[1, 1, 255, 255]], dtype=np.uint8)
    np.savez(path, image=np.zeros((1, 4)), label=label, probability=np.array([[0.9, 0.1, 0.9, 0.1]]))
    with pytest.raises(ValueError, match="expected one shape"):
        read_sample("a", path)
    twice = {"image": np.zeros((2, 4)), "label": np.repeat(label, 2, axis=0)}
    np.savez(path, **twice, probability=np.array([[0.9, 0.1, 0.9, 0.1]] * 2))
    assert read_sample("a", path).iou == pytest.approx(0.5)


def test_a_broken_sample_or_one_without_its_arrays_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"predictions/a\.npz cannot be read"):
        read_sample("a", path)
    np.savez(path, image=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="has no array label, probability; it has image"):
        read_sample("a", path)
    np.savez(path, image=np.zeros((2, 2)), label=np.zeros((2, 2)), probability=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"probability \(2, 3\); expected one shape"):
        read_sample("a", path)


def test_overlays_name_their_images_and_a_broken_file_does_not_stop_them(tmp_path: Path) -> None:
    shares = [("a", 0.9), ("b", 0.5), ("c", 0.1)]
    folder = write_run(tmp_path, "ke/x", seed=4, run=MadeUp(samples=shares))
    (folder.predictions / "d.npz").write_bytes(b"")
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    drawing, complaints = draw_overlays(study, "x", synthetic=True)
    assert drawing is not None
    assert "(shown: seed 4): best a, median b, worst c" in drawing.caption
    assert len(complaints) == 1
    assert complaints[0].startswith("x, seed 4: predictions/d.npz cannot be read")


@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5, 3), (1, 3, 4, 5)])
def test_a_colour_image_is_read_with_its_colours_first_or_last(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    image = np.zeros(shape, dtype=np.float32)
    np.moveaxis(np.squeeze(image), shape[-3:].index(3), 0)[0] = 1  # a red one
    np.savez(tmp_path / "a.npz", image=image, label=np.zeros((4, 5)), probability=np.zeros((4, 5)))
    sample = read_sample("a", tmp_path / "a.npz")
    assert sample.image.shape == (4, 5, 3)
    assert sample.image[0, 0].tolist() == [1, 0, 0]


def test_a_predicted_error_is_read_where_it_is_stored_and_refused_in_another_shape(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_sample(folder, "a", found=0.5, predicted_error=0.4)
    path = sample_files(folder)["a"]
    found = read_sample("a", path).predicted_error
    assert found is not None
    assert found.max() == pytest.approx(0.4)
    np.savez(
        path, **dict.fromkeys(("image", "label", "probability"), np.zeros((2, 2))), predicted_error=[0.1]
    )
    with pytest.raises(ValueError, match=r"predicted_error \(\); expected the image's shape \(2, 2\)"):
        read_sample("a", path)


def test_the_share_of_wrong_pixels_leaves_out_those_without_a_label() -> None:
    one = sample("a", [[1, 1, 0, 0]], [[0.1, 0.9, 0.9, 0.2]])
    assert one.wrong == 0.5
    half = Sample("a", one.image, one.label, one.probability, np.array([[True, True, False, False]]))
    assert half.wrong == 0.5


def test_the_predicted_error_is_a_column_only_where_it_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, overlays)
    plain = write_run(tmp_path, "ke/plain", seed=3, run=MadeUp())
    write_sample(plain, "a", found=0.5)
    asked = write_run(tmp_path, "ke/asked", seed=3, run=MadeUp())
    for name, found in (("a", 0.9), ("b", 0.5), ("c", 0.25)):
        write_sample(asked, name, found=found, predicted_error=0.4)
    study = read_study(tmp_path, "ke", out=tmp_path / "out")
    for condition in study.conditions:
        assert draw_overlays(study, condition, synthetic=True)[0] is not None
    assert texts(kept["overlay_plain"].axes[0])[-4:] == ["image", "label", "prediction", "error"]
    best, median, worst, bar = kept["overlay_asked"].axes
    assert texts(best)[-1] == "predicted error"
    below = [label.get_text() for label in worst.get_xticklabels()]
    assert below[3:] == ["wrong 18.8 %", "mean .078"]  # 3/4 of 1/4 of the image; .4 there, .004 elsewhere
    assert median.get_ylabel() == "median\nmean IoU .500\nseed 3: .500"
    assert bar.get_ylim()[1] == pytest.approx(0.4)


def test_missed_and_invented_pixels_have_their_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep_figures(monkeypatch, overlays)
    folder = write_run(tmp_path, "ke/x", seed=3, run=MadeUp())
    label, probability = np.zeros((8, 8), dtype=np.uint8), np.zeros((8, 8))
    label[0, 0], probability[7, 7] = 1, 1.0
    np.savez(folder.predictions / "a.npz", image=np.zeros((8, 8)), label=label, probability=probability)
    draw_overlays(read_study(tmp_path, "ke", out=tmp_path / "out"), "x", synthetic=True)
    strip = np.asarray(kept["overlay_x"].axes[0].images[0].get_array())
    error = strip[:, 3 * 9 : 3 * 9 + 8] / 255
    place = 0.1 * 0.45
    assert error[0, 0] == pytest.approx(place + 0.9 * np.array(overlays.MISSED), abs=0.01)
    assert error[7, 7] == pytest.approx(place + 0.9 * np.array(overlays.INVENTED), abs=0.01)


def test_no_samples_are_no_overlay(tmp_path: Path) -> None:
    write_run(tmp_path, "ke/x", seed=3, run=MadeUp())
    assert draw_overlays(read_study(tmp_path, "ke", out=tmp_path / "out"), "x", synthetic=True) == (None, [])
